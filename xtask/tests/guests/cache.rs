//! The cache: a warm one makes a run cheap, a damaged one is noticed and mended.
//!
//! Damage is done to a private copy only, and there by replacing files, never by writing into them: the copy
//! shares its kernels with the real cache by hard links.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use lab::cache::Cache;
use rustix::process::Signal;

use crate::common::Programs;
use crate::support::{Bench, PATIENCE, PROMPT, bench};

/// What takes no time to copy and is all that a warm run uses, besides kernels and their sources.
const SMALL: [&str; 7] = ["agent", "agent-target", "initramfs", "module", "resolved", "accelerator", "tools.json"];

/// A copy of the cache, itself in the folder that stands for `XDG_CACHE_HOME`.
struct Private {
    home: PathBuf,
}

impl Private {
    fn new(bench: &Bench) -> Self {
        let warm = Cache::open().expect("a cache").root().to_owned();
        let home = bench.path("cache");
        let copy = home.join("liveupdate-lab");
        fs::create_dir_all(&copy).expect("a folder");
        for name in SMALL {
            cp(&["-a"], &warm.join(name), &copy);
        }
        cp(&["-al"], &warm.join("kernel"), &copy);
        // 1.8 GB that are only read.
        std::os::unix::fs::symlink(warm.join("tree"), copy.join("tree")).expect("a link");
        Self { home }
    }

    fn scenario(&self, bench: &Bench, words: &[&str]) -> Command {
        let mut command = bench.scenario(words);
        command.env("XDG_CACHE_HOME", &self.home);
        command
    }

    /// The files of this name in entries of this kind.
    fn files(&self, kind: &str, name: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.home.join("liveupdate-lab").join(kind)).expect("the kind").flatten();
        let found: Vec<_> = entries.map(|entry| entry.path().join(name)).filter(|path| path.is_file()).collect();
        assert!(!found.is_empty(), "the cache has no {kind} with {name}");
        found
    }
}

fn cp(options: &[&str], from: &Path, to: &Path) {
    let done = Command::new("cp").args(options).args([from, to]).status().expect("cp");
    assert!(done.success(), "cp {} {}", from.display(), to.display());
}

/// Puts other content in a file's place.
fn replace(path: &Path, spoil: impl Fn(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).expect("the file");
    spoil(&mut bytes);
    let aside = path.with_extension("spoilt");
    fs::write(&aside, bytes).expect("a file");
    fs::set_permissions(&aside, fs::metadata(path).expect("the file").permissions()).expect("the mode");
    fs::rename(&aside, path).expect("a rename");
}

#[test]
fn what_is_cheap_to_build_is_mended() {
    let bench = bench();
    let cache = Private::new(&bench);
    let flip = |bytes: &mut Vec<u8>| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    };
    cache.files("agent", "init").iter().for_each(|path| replace(path, flip));
    cache.files("module", "liveupdate_lab.ko").iter().for_each(|path| fs::remove_file(path).expect("the module"));
    cache.files("initramfs", "initramfs").iter().for_each(|path| replace(path, |bytes| bytes.truncate(5000)));
    let command = cache.scenario(&bench, &["one-object", "--interface", "module"]);
    let ended = bench.start(command).end(PATIENCE).exits(0);
    let noted =
        |what: &str| ended.err.lines().any(|line| line.contains("the cache is corrupted") && line.contains(what));
    for what in ["/init: sha256", "liveupdate_lab.ko: No such file", "/initramfs: 5000 bytes instead of"] {
        assert!(noted(what), "no note of {what}\n{ended}");
    }
    let again = cache.scenario(&bench, &["one-object", "--interface", "luo", "--timeout", "0.1"]);
    let again = bench.start(again).end(PATIENCE).exits(1);
    assert!(!again.err.contains("corrupted") && !again.err.contains("build"), "mended for good\n{again}");
}

#[test]
fn a_flipped_bit_in_a_kernel_is_noticed_and_never_booted() {
    let bench = bench();
    let cache = Private::new(&bench);
    for image in cache.files("kernel", "arch/x86/boot/bzImage") {
        replace(&image, |bytes| bytes[100_000] ^= 1);
    }
    let run = bench.start(cache.scenario(&bench, &["one-object", "--interface", "luo", "-v"]));
    run.hears("thrown away, building it again");
    // Building takes minutes, and is tested elsewhere: it begins, and is stopped.
    bench.sees("make", PATIENCE);
    run.signal(Signal::INT);
    // make has five seconds to clean up.
    let ended = run.end(PROMPT * 4).exits(130);
    assert!(!ended.err.contains("generation 0: boot"), "{ended}");
    ended.says(&["the cache is corrupted at", "bzImage: sha256"]);
    bench.all_gone(PROMPT);
    bench.no_litter();
}

#[test]
fn a_warm_run_builds_nothing() {
    let bench = bench();
    let cache = Private::new(&bench);
    let log = bench.path("called");
    let mut tools = Programs::none();
    for name in ["make", "gcc", "cc", "ld", "bindgen", "cargo", "rustc", "rustup", "tar", "curl", "apt-get", "git"] {
        let Some(real) = crate::common::find(name) else { continue };
        let body = format!("echo \"{name} $*\" >> {}\nexec {} \"$@\"", log.display(), real.display());
        tools = tools.with_script(name, &body);
    }
    let mut command = cache.scenario(&bench, &["one-object", "--interface", "luo"]);
    // Set by cargo for its tests, and more to the point than what is in PATH.
    let path = std::env::var_os("PATH").unwrap_or_default();
    let first = std::iter::once(tools.folder().to_owned()).chain(std::env::split_paths(&path));
    command
        .env("PATH", std::env::join_paths(first).expect("no colon in folder names"))
        .env("CARGO", tools.folder().join("cargo"));
    let ended = bench.start(command).end(PATIENCE).exits(0);
    assert!(!ended.err.contains("Working"), "a stage of work\n{ended}");
    let called = fs::read_to_string(&log).unwrap_or_default();
    assert!(called.contains("gcc --version"), "the recording tools were found: {called}");
    // These tools are new to the cache, so that it asks for their versions; nothing else.
    let more: Vec<_> =
        called.lines().filter(|line| !line.ends_with(" --version") && !line.ends_with(" --print sysroot")).collect();
    assert!(more.is_empty(), "a warm run started {more:#?}\n{ended}");
}
