//! The state of a directory that someone works in: equal states build equal kernels.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Error;
use crate::cache::digest::{self, Hasher};

/// A hash over everything that a build may read.
pub(super) fn of(dir: &Path) -> Result<String, Error> {
    if dir.join(".git").exists() { in_git(dir) } else { by_walk(dir) }
}

/// The commit, and the content of every file that differs from it or that it does not know.
fn in_git(dir: &Path) -> Result<String, Error> {
    let mut hasher = Hasher::new();
    // A tree without a commit yet is all untracked files.
    hasher.field(git(dir, &["rev-parse", "--verify", "--quiet", "HEAD^{tree}"]).unwrap_or_default());
    let status = git(dir, &["status", "--porcelain=v1", "-z", "--untracked-files=all", "--no-renames"])?;
    for record in status.split(|byte| *byte == 0).filter(|record| record.len() > 3) {
        hasher.field(record);
        let path = dir.join(bytes_to_path(&record[3..]));
        match fs::symlink_metadata(&path) {
            Ok(meta) if meta.is_file() => {
                hasher.field(digest::file(&path).map_err(|source| Error::io("read", &path, source))?);
                hasher.field(meta.mode().to_le_bytes());
            }
            Ok(meta) if meta.is_symlink() => hasher.field(link_target(&path)),
            _ => hasher.field("gone"),
        }
    }
    Ok(hasher.finish())
}

/// Name, size and time of change of every file: to hash 1.8 GB at every run would take too long.
fn by_walk(dir: &Path) -> Result<String, Error> {
    let mut hasher = Hasher::new();
    let mut pending = vec![dir.to_path_buf()];
    while let Some(current) = pending.pop() {
        let failed = |source| Error::io("read", &current, source);
        let mut entries = fs::read_dir(&current).map_err(failed)?.collect::<Result<Vec<_>, _>>().map_err(failed)?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            let meta = entry.metadata().map_err(|source| Error::io("read", &path, source))?;
            hasher.field(path.as_os_str().as_encoded_bytes());
            if meta.is_dir() {
                pending.push(path);
            } else if meta.is_symlink() {
                hasher.field(link_target(&path));
            } else {
                hasher.field(meta.len().to_le_bytes());
                hasher.field(meta.mtime().to_le_bytes());
                hasher.field(meta.mtime_nsec().to_le_bytes());
            }
        }
    }
    Ok(hasher.finish())
}

fn link_target(path: &Path) -> Vec<u8> {
    fs::read_link(path).map(|target| target.as_os_str().as_encoded_bytes().to_vec()).unwrap_or_default()
}

fn bytes_to_path(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt as _;
    std::ffi::OsStr::from_bytes(bytes).into()
}

/// What git says in a directory. Locks are left alone: someone may be at work there.
pub(super) fn git(dir: &Path, arguments: &[&str]) -> Result<Vec<u8>, Error> {
    let output = Command::new("git")
        .arg("-C")
        .arg(dir)
        .args(arguments)
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("LC_ALL", "C")
        .output()
        .map_err(|source| Error::io("run git in", dir, source))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(Error::Git(format!(
        "`git {}` in {}: {}",
        arguments.join(" "),
        dir.display(),
        String::from_utf8_lossy(&output.stderr).trim()
    )))
}
