//! Machines that lack what the lab needs. Nothing here can install anything: the `PATH` holds only what
//! the test puts there, and the cache is empty and vanishes.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::common::{Programs, ended, find, say, xtask};

/// What the doctor looks for, besides QEMU and what cargo brings.
const NEEDED: [&str; 13] =
    ["make", "gcc", "ld", "flex", "bison", "bc", "perl", "lz4", "xz", "tar", "curl", "git", "patch"];

fn on_machine(words: &[&str], path: &Path, cache: &tempfile::TempDir) -> Command {
    let mut command = xtask();
    command.args(words).env("PATH", path).env("XDG_CACHE_HOME", cache.path());
    command.current_dir(cache.path());
    command
}

/// Adds those of the machine's own programs that it has.
fn with_real(programs: Programs, names: &[&str]) -> Programs {
    for name in names {
        if let Some(real) = find(name) {
            symlink(real, programs.folder().join(name)).expect("a link");
        }
    }
    programs
}

/// A machine with all that a kernel's build needs, and no QEMU.
fn builder() -> Programs {
    with_real(Programs::none(), &NEEDED)
}

fn cache() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder for a cache")
}

#[test]
fn the_doctor_is_content_here() {
    let ended = say(&["doctor"]).exits(0);
    assert!(!ended.out.contains("MISSING"), "{ended}");
    ended.says(&["ok      qemu-system-x86_64: QEMU emulator version", "rust-src: installed", "bindgen"]);
}

#[test]
fn the_doctor_names_what_is_missing_and_the_command() {
    let nothing = Programs::none();
    let ended = ended(on_machine(&["doctor"], nothing.folder(), &cache())).exits(1);
    ended.says(&["MISSING qemu-system-x86_64: missing; QEMU 7.2 or later", "install qemu-system-x86"]);
}

#[test]
fn the_doctor_speaks_the_package_managers_language() {
    for (manager, typed) in [
        ("apt-get", "sudo apt-get install --no-install-recommends qemu-system-x86\n"),
        ("dnf", "sudo dnf install qemu-system-x86-core\n"),
        ("pacman", "sudo pacman -S --needed qemu-system-x86\n"),
        ("zypper", "sudo zypper install qemu-x86\n"),
    ] {
        let machine = Programs::none().with_script(manager, "exit 1");
        ended(on_machine(&["doctor"], machine.folder(), &cache())).exits(1).says(&[typed]);
    }
}

#[test]
fn clang_is_asked_for_only_by_the_profile_that_takes_it() {
    let doctor = |machine: &Programs, profile: &str| {
        ended(on_machine(&["doctor", "--profile", profile], machine.folder(), &cache())).exits(1)
    };
    let machine = builder();
    for profile in ["fast", "debug"] {
        let ended = doctor(&machine, profile);
        assert!(!ended.out.contains(" clang:"), "{ended}");
    }
    doctor(&machine, "kasan").says(&["MISSING clang: missing; clang 17 or later", "install clang"]);
    let machine = machine.with_script("clang", "echo 'Debian clang version 14.0.6'");
    doctor(&machine, "kasan").says(&["MISSING clang: Debian clang version 14.0.6 is too old"]);
    let machine = machine.with_script("clang-19", "echo 'Debian clang version 19.1.7 (3~deb12u1)'");
    doctor(&machine, "kasan").says(&["ok      clang: Debian clang version 19.1.7"]);
}

#[test]
fn a_scenario_without_qemu_says_what_to_install() {
    let machine = builder();
    let cache = cache();
    let ended = ended(on_machine(&["scenario", "one-object"], machine.folder(), &cache)).exits(69);
    assert!(ended.out.is_empty(), "{ended}");
    ended.says(&["this machine lacks", "qemu-system-x86_64: missing", "Install it with:", "install qemu-system-x86"]);
    assert!(!cache.path().join("runs").exists(), "it began to run");
}

#[test]
fn a_qemu_that_is_too_old_is_named_with_its_version() {
    let old = "echo 'QEMU emulator version 5.2.0 (Debian 1:5.2+dfsg-11)'";
    let machine = builder().with_script("qemu-system-x86_64", old);
    let ended = ended(on_machine(&["scenario", "one-object"], machine.folder(), &cache())).exits(69);
    ended.says(&["5.2.0", "is too old", "QEMU 7.2 or later", "install qemu-system-x86"]);
}

#[test]
fn a_qemu_that_cannot_even_tell_its_version_counts_as_missing() {
    let broken = "echo 'error while loading shared libraries' >&2; exit 127";
    let machine = builder().with_script("qemu-system-x86_64", broken);
    ended(on_machine(&["doctor"], machine.folder(), &cache())).exits(1).says(&["MISSING qemu-system-x86_64"]);
}

#[test]
fn an_installation_that_fails_is_told_in_its_own_words() {
    let told = tempfile::tempdir().expect("a folder");
    let log = told.path().join("apt");
    let apt = format!("echo \"$@\" >> {}; echo 'E: Unable to locate package' >&2; exit 100", log.display());
    // For those who are not root: `sudo -n command …` runs the command as the same user.
    let sudo = "shift; exec \"$@\"";
    let machine = with_real(builder(), &["env", "true"]).with_script("apt-get", &apt).with_script("sudo", sudo);
    let ended = ended(on_machine(&["scenario", "one-object"], machine.folder(), &cache())).exits(69);
    let asked = fs::read_to_string(&log).expect("apt-get was called");
    assert!(asked.contains("install --yes") && asked.contains("qemu-system-x86"), "{asked}\n{ended}");
    ended.says(&["an installation failed", "E: Unable to locate package"]);
}

#[test]
fn rust_too_old_is_for_a_person_to_mend() {
    let old = "case \"$1\" in --version) echo 'rustc 1.70.0 (90c541806 2023-05-31)';; *) exit 1;; esac";
    // A toolchain of its own, without source and without the guest's target.
    let sysroot = tempfile::tempdir().expect("a folder");
    fs::create_dir(sysroot.path().join("bin")).expect("a folder");
    let rustc = Programs::none().with_script("rustc", old);
    fs::copy(rustc.folder().join("rustc"), sysroot.path().join("bin/rustc")).expect("a copy");
    let print = format!("case \"$1\" in --print) echo {};; *) exit 1;; esac", sysroot.path().display());
    let machine = builder().with_script("rustc", &print);
    let cache = cache();
    let mut command = on_machine(&["doctor"], machine.folder(), &cache);
    command.env_remove("RUSTUP_TOOLCHAIN");
    let ended = ended(command).exits(1);
    ended.says(&[
        "1.70.0",
        "is too old",
        "rustup",
        "MISSING rust-src",
        "rustup component add rust-src",
        "rustup target add x86_64-unknown-linux-musl",
    ]);
}
