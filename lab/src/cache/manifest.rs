//! An entry's own description: which files it vouches for, and where they came from.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use super::{Error, digest};

/// The file that makes an entry complete. It is written last.
pub(super) const NAME: &str = "manifest.json";

/// What is known of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The key in full: the directory's name holds only its beginning.
    pub key: String,
    /// Files that are verified at every use, relative to the entry.
    pub files: BTreeMap<String, Fingerprint>,
    /// Where it came from and what made it.
    pub provenance: BTreeMap<String, String>,
}

/// What a file has to look like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Its size in bytes.
    pub size: u64,
    /// The hash of its content.
    pub sha256: String,
}

impl Manifest {
    /// Describes `files` of the finished directory `dir`, after flushing them to the disk.
    pub(super) fn describe(
        dir: &Path,
        key: &str,
        files: &[String],
        provenance: BTreeMap<String, String>,
    ) -> Result<Self, Error> {
        let mut described = BTreeMap::new();
        for name in files {
            let path = dir.join(name);
            let fingerprint = File::open(&path).and_then(|file| {
                file.sync_all()?;
                Ok(Fingerprint { size: file.metadata()?.len(), sha256: digest::file(&path)? })
            });
            described.insert(name.clone(), fingerprint.map_err(|source| Error::io("read back", &path, source))?);
        }
        Ok(Self { key: key.to_owned(), files: described, provenance })
    }

    /// Reads an entry's manifest; `None` if there is no entry.
    pub(super) fn read(dir: &Path) -> Result<Option<Self>, Error> {
        let path = dir.join(NAME);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(source) => return Err(Error::io("read", &path, source)),
        };
        serde_json::from_slice(&text)
            .map(Some)
            .map_err(|error| Error::Corrupt { path, reason: format!("it cannot be read: {error}") })
    }

    /// Writes it so that it is there in full, or not at all.
    pub(super) fn write(&self, dir: &Path) -> Result<(), Error> {
        let path = dir.join(NAME);
        let bytes = serde_json::to_vec_pretty(self).map_err(|error| Error::io("describe", &path, error.into()))?;
        write_atomically(&path, &bytes)
    }

    /// Compares every file that it vouches for with what is there.
    pub(super) fn verify(&self, dir: &Path, key: &str) -> Result<(), Error> {
        let corrupt = |path: &Path, reason: String| Err(Error::Corrupt { path: path.to_path_buf(), reason });
        if self.key != key {
            return corrupt(&dir.join(NAME), format!("it describes {} instead of {key}", self.key));
        }
        for (name, expected) in &self.files {
            let path = dir.join(name);
            match path.metadata() {
                Ok(meta) if meta.len() == expected.size => {}
                Ok(meta) => return corrupt(&path, format!("{} bytes instead of {}", meta.len(), expected.size)),
                Err(error) => return corrupt(&path, error.to_string()),
            }
            match digest::file(&path) {
                Ok(found) if found == expected.sha256 => {}
                Ok(found) => return corrupt(&path, format!("sha256 {found} instead of {}", expected.sha256)),
                Err(error) => return corrupt(&path, error.to_string()),
            }
        }
        Ok(())
    }
}

/// Replaces a file by way of a temporary one beside it; a crash leaves the old one or the new one.
///
/// # Errors
/// It cannot be written.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // Its own, even among this process's threads.
    static WRITES: AtomicU64 = AtomicU64::new(0);
    let count = WRITES.fetch_add(1, Ordering::Relaxed);
    let temporary = path.with_file_name(format!(".{name}.{}.{count}", std::process::id()));
    let write = || {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        sync_parent(path)
    };
    write().map_err(|source| {
        let _ = fs::remove_file(&temporary);
        Error::io("write", path, source)
    })
}

/// Makes a rename last.
pub(super) fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}
