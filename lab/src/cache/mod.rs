//! What is fetched or built once and kept: content-addressed, locked between processes, verified at every use.
//!
//! ```text
//! <root>/<kind>/<key>/manifest.json   an entry; without the manifest it is none
//! <root>/tmp/<kind>.<key>             an attempt, alive while its lock is held
//! <root>/locks/<kind>.<key>           locks of those who build; the kernel drops them with their holder
//! <root>/locks/use.<kind>.<key>       shared ones, of those who use an entry: it is not removed meanwhile
//! ```

pub mod digest;
pub mod disk;
mod entry;
mod lock;
mod manifest;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

pub use digest::Key;
pub use entry::{Built, Entry, Layout, Ready};
pub use lock::Lock;
pub use manifest::{Fingerprint, Manifest, write_atomically};

/// Why the cache could not serve.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is nowhere to put it.
    #[error("no place for the cache: neither XDG_CACHE_HOME nor HOME is set to an absolute path; set one of them")]
    NoHome,
    /// A file or directory could not be used.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The disk is full.
    #[error("{0}")]
    NoSpace(disk::Shortage),
    /// A file is not what it was.
    #[error("the cache is corrupted at {}: {reason}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// How it shows.
        reason: String,
    },
    /// We were told to stop while waiting.
    #[error("cancelled while waiting for {what}")]
    Cancelled {
        /// Whom we waited for.
        what: String,
    },
}

impl Error {
    /// An input or output error; a full disk is told apart.
    pub fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        match disk::shortage(&source, path) {
            Some(shortage) => Self::NoSpace(shortage),
            None => Self::Io { action, path: path.to_path_buf(), source },
        }
    }
}

/// The cache of one user.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
    /// The entries that were handed out, by the names of their locks.
    uses: Arc<Mutex<BTreeMap<String, Lock>>>,
}

/// What came of a removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// It is gone.
    Done,
    /// Someone uses it, or builds it.
    InUse,
}

impl Cache {
    /// `$XDG_CACHE_HOME/liveupdate-lab`, else `~/.cache/liveupdate-lab`.
    ///
    /// # Errors
    /// Neither is known, or it cannot be created.
    pub fn open() -> Result<Self, Error> {
        let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let base = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")));
        Self::at(&base.ok_or(Error::NoHome)?.join("liveupdate-lab"))
    }

    /// A cache in this directory.
    ///
    /// # Errors
    /// It cannot be created.
    pub fn at(root: &Path) -> Result<Self, Error> {
        let create = || {
            fs::create_dir_all(root)?;
            root.canonicalize()
        };
        let root = create().map_err(|source| Error::io("create", root, source))?;
        Ok(Self { root, uses: Arc::default() })
    }

    /// Its directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The place for what these inputs lead to.
    #[must_use]
    pub fn entry(&self, kind: &'static str, key: &Key) -> Entry<'_> {
        Entry { cache: self, kind, key: key.clone() }
    }

    /// The lock of a key, also of one that has no entry.
    #[must_use]
    pub fn lock_path(&self, kind: &str, key: &Key) -> PathBuf {
        self.root.join("locks").join(format!("{kind}.{key}"))
    }

    /// Keeps an entry from being removed for as long as this cache, or a copy of it, lives.
    fn keep(&self, kind: &str, name: &str) -> Result<(), Error> {
        let name = format!("use.{kind}.{name}");
        let mut uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
        if let std::collections::btree_map::Entry::Vacant(vacant) = uses.entry(name) {
            let lock = Lock::share(&self.root.join("locks").join(vacant.key()))?;
            vacant.insert(lock);
        }
        Ok(())
    }

    /// Removes the folder of an entry that nobody uses or builds.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn remove(&self, kind: &str, folder: &Path) -> Result<Removal, Error> {
        let locks = self.root.join("locks");
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let Some(_used) = Lock::try_take(&locks.join(format!("use.{kind}.{name}")))? else {
            return Ok(Removal::InUse);
        };
        let Some(_built) = Lock::try_take(&locks.join(format!("{kind}.{name}")))? else { return Ok(Removal::InUse) };
        entry::remove(folder)?;
        Ok(Removal::Done)
    }

    fn temporary(&self, kind: &str, key: &Key) -> PathBuf {
        self.root.join("tmp").join(format!("{kind}.{key}"))
    }

    /// Throws away attempts whose process is gone: nobody holds their lock.
    fn sweep(&self) -> Result<(), Error> {
        // No directory, no attempts.
        let Ok(attempts) = fs::read_dir(self.root.join("tmp")) else { return Ok(()) };
        for attempt in attempts.flatten() {
            let lock = self.root.join("locks").join(attempt.file_name());
            if let Some(_ours) = Lock::try_take(&lock)? {
                entry::remove(&attempt.path())?;
            }
        }
        Ok(())
    }
}
