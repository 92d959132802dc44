//! The kernel's own tests, built from its tree as its makefiles build them.
//!
//! The tree is never written to: the liveupdate tests' makefile leaves objects beside the sources, so it works in a copy of
//! their folder. `test_kho` is the module of the same source that plain Kexec HandOver is tried with.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Error, Test};
use crate::cache::{self, Built, Cache, Key, Layout};
use crate::host::process::Watched;
use crate::host::{Cancel, Progress, Versions};
use crate::image::Artefact;
use crate::kernel::{self, Kernel, test_kho};

const SELFTESTS: &str = "tools/testing/selftests";
/// Variables of the caller that would change the build.
const MEDDLERS: [&str; 10] =
    ["ARCH", "CC", "CFLAGS", "CROSS_COMPILE", "KBUILD_OUTPUT", "LDFLAGS", "LLVM", "MAKEFLAGS", "MFLAGS", "O"];

/// What was built of a kernel's tests.
#[derive(Clone, Debug)]
pub(super) struct Tests {
    /// The programs, and those that run in the kernel as a module.
    pub(super) built: Vec<(Test, Artefact)>,
    /// Those that are there and cannot be built, and why.
    pub(super) broken: Vec<(Test, String)>,
}

/// Builds the tests of `from`, to be run on `kernel`: two builds of one kernel, if the other has been changed to see what
/// its tests catch.
pub(super) fn build(
    from: &Kernel,
    kernel: &Kernel,
    cache: &Cache,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Tests, Error> {
    let tree = &from.source_dir;
    let compiler = Versions::recall(cache).of("gcc").unwrap_or_default();
    let inputs = [("recipe", "2"), ("source", from.source.sha256.as_str()), ("compiler", compiler.as_str())];
    let entry = cache.entry("selftest", &Key::of(inputs));
    let purpose = format!("builds the tests of Linux {}", from.release);
    let ready = entry.obtain(Layout::Moved, &purpose, (progress, cancel), |dir| {
        progress.stage(&format!("build the tests of Linux {}", from.release), None);
        Ok::<_, Error>(Built { files: programs(tree, dir, cancel)?, ..Built::default() })
    })?;
    let mut tests = Tests { built: Vec::new(), broken: Vec::new() };
    for &test in Test::ALL.iter().filter(|test| test.is_in(tree)) {
        match test {
            // It is bound to the kernel that it runs in.
            Test::Kho => match test_kho::build(cache, kernel, progress, cancel) {
                Ok(module) => tests
                    .built
                    .extend(module.map(|module| (test, Artefact { path: module.path, sha256: module.sha256 }))),
                Err(error @ kernel::Error::Build { .. }) => tests.broken.push((test, error.to_string())),
                Err(error) => return Err(error.into()),
            },
            _ => {
                let artefact =
                    Artefact { path: ready.dir.join(test.name()), sha256: ready.sha256(test.name()).to_owned() };
                tests.built.push((test, artefact));
            }
        }
    }
    Ok(tests)
}

/// Builds the programs that this tree has, static, into `dir`; gives their names.
fn programs(tree: &Path, dir: &Path, cancel: &Cancel) -> Result<Vec<String>, Error> {
    let wanted: Vec<Test> = Test::ALL.iter().copied().filter(|&test| test != Test::Kho && test.is_in(tree)).collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let work = tempfile::tempdir().map_err(|source| cache::Error::io("create", &std::env::temp_dir(), source))?;
    let headers = headers(tree, &work.path().join("headers"), cancel)?;
    let copy = work.path().join("tree");
    let folder = Path::new(SELFTESTS).join("liveupdate");
    copy_files(&tree.join(SELFTESTS), &copy.join(SELFTESTS), &|path| {
        // What tests of all folders share lies beside the folders.
        path.extension().is_some_and(|extension| extension == "h" || extension == "mk")
    })?;
    copy_tree(&tree.join(&folder), &copy.join(&folder))?;
    copy_files(&tree.join("scripts"), &copy.join("scripts"), &|path| path.ends_with("subarch.include"))?;
    let mut make = Command::new("make");
    make.arg("-C").arg(copy.join(&folder)).arg(format!("OUTPUT={}", work.path().display())).arg("LDFLAGS=-static");
    make.arg(format!("KHDR_INCLUDES=-isystem {}", headers.display()));
    // Each by its name: a program that this lab does not know is not its business.
    make.args(wanted.iter().map(|test| work.path().join(test.name())));
    run(make, cancel)?;
    let keep = |test: &Test| {
        let (from, to) = (work.path().join(test.name()), dir.join(test.name()));
        fs::copy(&from, &to).map_err(|source| cache::Error::io("copy", &from, source))?;
        Ok(test.name().to_owned())
    };
    wanted.iter().map(keep).collect()
}

/// Makes the headers that this tree gives to programs, in `dir`; gives the folder to include. That is `headers_install`
/// without its last copy, which needs rsync.
///
/// # Errors
/// The tree does not make them.
pub fn headers(tree: &Path, dir: &Path, cancel: &Cancel) -> Result<PathBuf, Error> {
    let mut make = Command::new("make");
    make.arg("-C").arg(tree).arg(format!("O={}", dir.display())).args(["-s", "ARCH=x86", "headers"]);
    run(make, cancel)?;
    Ok(dir.join("usr/include"))
}

/// Runs a command of a build of tests. Whoever calls us from make or with a compiler of their own does not mean those.
///
/// # Errors
/// It fails.
pub fn run(mut command: Command, cancel: &Cancel) -> Result<(), Error> {
    for name in MEDDLERS {
        command.env_remove(name);
    }
    Ok(Watched::new(command, cancel).run(|_| {})?.success()?)
}

/// Copies the files of one folder that are wanted.
fn copy_files(from: &Path, to: &Path, wanted: &dyn Fn(&Path) -> bool) -> Result<(), Error> {
    let failed = |source| cache::Error::io("copy", from, source);
    fs::create_dir_all(to).map_err(failed)?;
    for entry in fs::read_dir(from).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_file() && wanted(&path) {
            fs::copy(&path, to.join(path.file_name().unwrap_or_default())).map_err(failed)?;
        }
    }
    Ok(())
}

/// Copies a folder with all that is in it. What a build by hand left there is none of it.
fn copy_tree(from: &Path, to: &Path) -> Result<(), Error> {
    let product = |path: &Path| path.extension().is_some_and(|extension| extension == "o" || extension == "d");
    copy_files(from, to, &|path| !product(path))?;
    let failed = |source| cache::Error::io("copy", from, source);
    for entry in fs::read_dir(from).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        // A link is no folder of this one.
        if path.is_dir() && !path.is_symlink() {
            copy_tree(&path, &to.join(path.file_name().unwrap_or_default()))?;
        }
    }
    Ok(())
}
