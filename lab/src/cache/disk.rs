//! A full disk, explained.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// A file system with too little room, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortage {
    /// Where the file system is mounted.
    pub mount: PathBuf,
    /// What was being written.
    pub path: PathBuf,
    /// Bytes free.
    pub free: u64,
    /// Bytes that the step is known to need.
    pub needed: Option<u64>,
}

impl std::fmt::Display for Shortage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "no space left on the file system mounted at {} ", self.mount.display())?;
        match self.needed {
            Some(needed) => write!(f, "({} free, about {} needed)", human(self.free), human(needed))?,
            None => write!(f, "({} free)", human(self.free))?,
        }
        write!(
            f,
            " while writing {}. Free some space there, or put the cache on another file system by setting \
             XDG_CACHE_HOME. Everything under the cache directory may be deleted: it is built again when needed; \
             kernel trees in `tree/` take 1.8 GB each",
            self.path.display()
        )
    }
}

/// Describes the shortage if this error is one.
#[must_use]
pub fn shortage(error: &io::Error, path: &Path) -> Option<Shortage> {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded).then(|| describe(path, None))
}

/// Describes the shortage if a command's words say that there is one.
#[must_use]
pub fn shortage_in<'a>(output: impl IntoIterator<Item = &'a str>, path: &Path) -> Option<Shortage> {
    output
        .into_iter()
        .any(|line| line.contains("No space left on device") || line.contains("Disk quota exceeded"))
        .then(|| describe(path, None))
}

/// Checks for room before a step that is known to need much of it.
///
/// # Errors
/// There is too little.
pub fn require(path: &Path, needed: u64) -> Result<(), Shortage> {
    let found = describe(path, Some(needed));
    if found.free < needed { Err(found) } else { Ok(()) }
}

fn describe(path: &Path, needed: Option<u64>) -> Shortage {
    let existing = path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    // A file system that does not tell counts as roomy: the write itself has the last word.
    let free = rustix::fs::statvfs(existing).map_or(u64::MAX, |fs| fs.f_bavail.saturating_mul(fs.f_frsize));
    Shortage { mount: mount_point(existing), path: path.to_path_buf(), free, needed }
}

fn mount_point(path: &Path) -> PathBuf {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let device = |path: &Path| path.metadata().map(|meta| meta.dev()).ok();
    let home = device(&path);
    path.ancestors().take_while(|dir| device(dir) == home).last().unwrap_or(&path).to_path_buf()
}

fn human(bytes: u64) -> String {
    const MIB: u64 = 1 << 20;
    if bytes >= 1 << 30 {
        // Tenths are enough, and exact in integers.
        let tenths = bytes / ((1 << 30) / 10);
        format!("{}.{} GiB", tenths / 10, tenths % 10)
    } else {
        format!("{} MiB", bytes / MIB)
    }
}
