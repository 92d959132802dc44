//! Upstream's `luo_kexec_simple`, made bootable as its `vmtest.sh` does.
//!
//! Two things differ, and neither reaches the guest: the headers come from `make headers`, and they are made outside the
//! kernel's build folder, which belongs to the cache. This is for comparing times; what the test says of a kernel is
//! `lab::selftest`'s, whose guests the lab's agent runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use lab::cache::{Built, Cache, Key, Layout};
use lab::host::{Cancel, Progress, Versions};
use lab::kernel::Kernel;
use lab::selftest::{self, headers};

use crate::Failure;

/// The test's folder in a kernel tree.
const FOLDER: &str = "tools/testing/selftests/liveupdate";
/// The test that `vmtest.sh` runs unless told otherwise.
const TEST: &str = "luo_kexec_simple";

/// What both archives hold, as `gen_init_cpio` reads it.
const INNER: &str = "\
dir /dev 0755 0 0
dir /proc 0755 0 0
dir /debugfs 0755 0 0
nod /dev/console 0600 0 0 c 5 1
file /init init 0755 0 0
file /test_binary test_binary 0755 0 0
";

/// What the archive of the first boot holds besides: the next kernel and its initramfs.
const OUTER: &str = "\
file /kernel kernel 0644 0 0
file /initrd.img inner_initrd.cpio 0644 0 0
";

/// The initramfs for this kernel, built unless the cache has it.
///
/// # Errors
/// The kernel's source has no such test, or it does not compile.
pub fn initramfs(kernel: &Kernel, cache: &Cache, progress: &dyn Progress, cancel: &Cancel) -> Result<PathBuf, Failure> {
    let compiler = Versions::recall(cache).of("gcc").unwrap_or_default();
    // The kernel's key stands for its source and its configuration: the test's own source is in that tree.
    let inputs = [("recipe", "1"), ("kernel", &kernel.key), ("image", &kernel.image_sha256), ("compiler", &compiler)];
    let entry = cache.entry("upstream", &Key::of(inputs));
    let ready = entry.obtain(Layout::Moved, "upstream's test", (progress, cancel), |dir| {
        progress.stage("build upstream's luo_kexec_simple", None);
        let work = tempfile::tempdir()?;
        let result = dir.join("initrd.cpio");
        compile(kernel, work.path(), cancel)?;
        pack(kernel, work.path(), cancel)?;
        fs::copy(work.path().join("initrd.cpio"), &result)?;
        Ok::<_, Failure>(Built::of(&["initrd.cpio"]))
    })?;
    Ok(ready.dir.join("initrd.cpio"))
}

/// The first half of `mkinitrd()`.
fn compile(kernel: &Kernel, work: &Path, cancel: &Cancel) -> Result<(), Failure> {
    let tree = &kernel.source_dir;
    let test = tree.join(FOLDER);
    let includes = [
        format!("-I{}", headers(tree, &work.join("headers"), cancel)?.display()),
        format!("-I{}", tree.join("tools/include/nolibc").display()),
    ];

    let mut gcc = Command::new("gcc");
    gcc.current_dir(work).args(["-static", "-O2", "-nostdinc", "-nostdlib"]).args(&includes);
    gcc.arg(format!("-I{}", test.join("lib/include").display())).args(["-o", "test_binary"]);
    run(gcc.arg(test.join(format!("{TEST}.c"))).arg(test.join("lib/lu_utils.c")), cancel)?;

    let mut gcc = Command::new("gcc");
    gcc.current_dir(work).args(["-s", "-static", "-Os", "-nostdinc", "-nostdlib"]);
    gcc.args(["-fno-asynchronous-unwind-tables", "-fno-ident", "-fno-stack-protector"]).args(&includes);
    run(gcc.args(["-o", "init"]).arg(test.join("init.c")), cancel)
}

/// The second half.
fn pack(kernel: &Kernel, work: &Path, cancel: &Cancel) -> Result<(), Failure> {
    // Lists name files by words: a path with a space in it could not be said.
    fs::copy(&kernel.image, work.join("kernel"))?;
    fs::write(work.join("inner"), INNER)?;
    fs::write(work.join("outer"), format!("{INNER}{OUTER}"))?;
    for (list, archive) in [("inner", "inner_initrd.cpio"), ("outer", "initrd.cpio")] {
        // Before 6.18 it knows no way to write but to its standard output.
        let mut shell = Command::new("sh");
        shell.current_dir(work).args(["-c", r#""$1" "$2" >"$3""#, "sh"]);
        run(shell.arg(kernel.build_dir.join("usr/gen_init_cpio")).args([list, archive]), cancel)?;
    }
    Ok(())
}

fn run(command: &mut Command, cancel: &Cancel) -> Result<(), Failure> {
    let owned = std::mem::replace(command, Command::new(""));
    Ok(selftest::command(owned, cancel)?)
}
