//! Source trees: unpacked from tarballs, or taken from repositories, once each.

use std::fs;
use std::path::{Path, PathBuf};

use xshell::{Shell, cmd};

use super::{Error, Job, Series};
use crate::cache::{Built, Key, Layout, Ready, disk};
use crate::host::process;

/// What a tree takes on the disk.
const TREE_BYTES: u64 = 2_000_000_000;
/// Files that show whether a tree is still one; 90,000 are too many to hash at every use.
const WITNESSES: [&str; 2] = ["Makefile", "Kconfig"];

/// The tree with this content, unpacked by `unpack` if need be.
pub(super) fn obtain(
    content: &str,
    name: &str,
    job: &Job<'_>,
    unpack: impl FnOnce(&Path) -> Result<(), Error>,
) -> Result<Ready, Error> {
    let entry = job.cache.entry("tree", &key(content));
    let purpose = format!("unpacks {name}");
    entry.obtain(Layout::Moved, &purpose, (job.progress, job.cancel), |dir| {
        disk::require(dir, TREE_BYTES).map_err(crate::cache::Error::NoSpace)?;
        job.progress.stage(&format!("unpack {name}"), None);
        unpack(dir)?;
        series(dir)?;
        Ok(Built::of(&WITNESSES).with("source", name))
    })
}

/// The tree with this content, if it is there.
pub(super) fn find(content: &str, job: &Job<'_>) -> Result<Option<PathBuf>, Error> {
    match job.cache.entry("tree", &key(content)).find() {
        Ok(found) => Ok(found.map(|ready| ready.dir)),
        Err(crate::cache::Error::Corrupt { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn key(content: &str) -> Key {
    Key::of([("content", content)])
}

/// Unpacks a tarball, whatever its compression, without its top directory.
pub(super) fn unpack(tarball: &Path, dir: &Path, job: &Job<'_>) -> Result<(), Error> {
    let shell = shell()?;
    // A mark every 1,000 records of 10 KiB shows that it goes on.
    let command = cmd!(
        shell,
        "tar --extract --file {tarball} --strip-components=1 --no-same-owner --directory {dir}
         --checkpoint=1000 --checkpoint-action=echo=%u"
    );
    let mut done = 0;
    job.run(command, dir, |_| {
        done += 1;
        job.progress.advance(done);
    })?;
    Ok(())
}

/// Unpacks a commit of a local repository.
pub(super) fn unpack_commit(repository: &Path, commit: &str, dir: &Path, job: &Job<'_>) -> Result<(), Error> {
    let shell = shell()?;
    let script = "set -e; git -C \"$1\" archive --format=tar \"$2\" | tar --extract --directory \"$3\"";
    job.run(cmd!(shell, "sh -c {script} sh {repository} {commit} {dir}"), dir, |_| {})?;
    Ok(())
}

/// The series that a tree belongs to; an error if it is no kernel tree.
pub(super) fn series(dir: &Path) -> Result<Series, Error> {
    let not_a_tree = |reason: String| Error::NotATree { path: dir.to_path_buf(), reason };
    let makefile =
        fs::read_to_string(dir.join("Makefile")).map_err(|error| not_a_tree(format!("Makefile: {error}")))?;
    if !dir.join("Kconfig").is_file() {
        return Err(not_a_tree("it has no Kconfig".to_owned()));
    }
    Series::of_makefile(&makefile).ok_or_else(|| not_a_tree("its Makefile names no VERSION and PATCHLEVEL".to_owned()))
}

pub(super) fn shell() -> Result<Shell, Error> {
    Shell::new().map_err(|error| {
        Error::Process(process::Error::Spawn { program: "sh".to_owned(), source: std::io::Error::other(error) })
    })
}
