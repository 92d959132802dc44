//! One entry: found and verified, or built once however many ask.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::lock::Lock;
use super::manifest::{self, Manifest};
use super::{Cache, Error, Key};
use crate::host::{Cancel, Progress};

/// How an entry comes to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Built aside and moved into place whole; an interrupted attempt is thrown away.
    Moved,
    /// Built where it will stay, because what is built remembers its own path; an interrupted attempt is resumed.
    /// The manifest, written last, makes it an entry.
    InPlace,
}

/// What a builder hands over.
#[derive(Debug, Default)]
pub struct Built {
    /// Files to verify at every use, relative to the entry.
    pub files: Vec<String>,
    /// Where it came from and what made it.
    pub provenance: BTreeMap<String, String>,
}

impl Built {
    /// Vouches for these files.
    #[must_use]
    pub fn of(files: &[&str]) -> Self {
        Self { files: files.iter().map(ToString::to_string).collect(), provenance: BTreeMap::new() }
    }

    /// Adds a word on the origin.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.provenance.insert(name.to_owned(), value.into());
        self
    }
}

/// A verified entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// Its directory.
    pub dir: PathBuf,
    /// Its description.
    pub manifest: Manifest,
}

impl Ready {
    /// A word on the origin, empty if it was never given.
    #[must_use]
    pub fn provenance(&self, name: &str) -> &str {
        self.manifest.provenance.get(name).map_or("", String::as_str)
    }

    /// The hash of a file that the entry vouches for, empty for any other.
    #[must_use]
    pub fn sha256(&self, file: &str) -> &str {
        self.manifest.files.get(file).map_or("", |fingerprint| &fingerprint.sha256)
    }
}

/// A place in the cache, filled or not.
#[derive(Debug)]
pub struct Entry<'a> {
    pub(super) cache: &'a Cache,
    pub(super) kind: &'static str,
    pub(super) key: Key,
}

impl Entry<'_> {
    /// Where it is, or will be.
    #[must_use]
    pub fn dir(&self) -> PathBuf {
        self.cache.root().join(self.kind).join(self.key.short())
    }

    /// The entry, if it is there and sound. A corrupted one is reported as an error.
    ///
    /// # Errors
    /// It is corrupted or cannot be read.
    pub fn find(&self) -> Result<Option<Ready>, Error> {
        let dir = self.dir();
        if Manifest::read(&dir)?.is_none() {
            return Ok(None);
        }
        // From here on it stays; it may have gone before.
        self.cache.keep(self.kind, self.key.short())?;
        let Some(manifest) = Manifest::read(&dir)? else { return Ok(None) };
        manifest.verify(&dir, self.key.as_str())?;
        Ok(Some(Ready { dir, manifest }))
    }

    /// What it says of itself, if it is there; nothing is verified, and it may be gone at any time.
    #[must_use]
    pub fn peek(&self) -> Option<Manifest> {
        Manifest::read(&self.dir()).ok().flatten()
    }

    /// The entry, built by `build` if need be: it fills the directory that it is given.
    /// While one process builds, another waits; a corrupted entry is thrown away with a note.
    /// `purpose` is what those who wait are told.
    ///
    /// # Errors
    /// The build failed, was cancelled, or the cache cannot be written.
    pub fn obtain<E: From<Error>>(
        &self,
        layout: Layout,
        purpose: &str,
        (progress, cancel): (&dyn Progress, &Cancel),
        build: impl FnOnce(&Path) -> Result<Built, E>,
    ) -> Result<Ready, E> {
        match self.find() {
            Ok(Some(ready)) => return Ok(ready),
            Ok(None) | Err(Error::Corrupt { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let _lock = Lock::take(&self.cache.lock_path(self.kind, &self.key), purpose, progress, cancel)?;
        // Someone may have built or repaired it while we waited.
        match self.find() {
            Ok(Some(ready)) => return Ok(ready),
            Ok(None) => {}
            Err(error @ Error::Corrupt { .. }) => {
                progress.note(&format!("{error}; thrown away, building it again"));
                remove(&self.dir())?;
            }
            Err(error) => return Err(error.into()),
        }
        self.cache.sweep()?;
        self.cache.keep(self.kind, self.key.short())?;
        match layout {
            Layout::Moved => self.build_aside(build),
            Layout::InPlace => self.build_in_place(build),
        }
    }

    /// Runs under the entry's lock.
    fn build_aside<E: From<Error>>(&self, build: impl FnOnce(&Path) -> Result<Built, E>) -> Result<Ready, E> {
        let temporary = self.cache.temporary(self.kind, &self.key);
        remove(&temporary)?;
        create(&temporary)?;
        let attempt = build(&temporary).and_then(|built| Ok(self.seal(&temporary, built)?));
        let manifest = match attempt {
            Ok(manifest) => manifest,
            Err(error) => {
                let _ = remove(&temporary);
                return Err(error);
            }
        };
        let dir = self.dir();
        // Without a manifest it was no entry, but its directory may be in the way.
        remove(&dir)?;
        let publish = || {
            fs::create_dir_all(dir.parent().unwrap_or(&dir))?;
            fs::rename(&temporary, &dir)?;
            manifest::sync_parent(&dir)
        };
        publish().map_err(|source| Error::io("publish", &dir, source))?;
        Ok(Ready { dir, manifest })
    }

    /// Runs under the entry's lock.
    fn build_in_place<E: From<Error>>(&self, build: impl FnOnce(&Path) -> Result<Built, E>) -> Result<Ready, E> {
        let dir = self.dir();
        create(&dir)?;
        let built = build(&dir)?;
        let manifest = self.seal(&dir, built)?;
        Ok(Ready { dir, manifest })
    }

    fn seal(&self, dir: &Path, built: Built) -> Result<Manifest, Error> {
        let manifest = Manifest::describe(dir, self.key.as_str(), &built.files, built.provenance)?;
        manifest.write(dir)?;
        Ok(manifest)
    }
}

fn create(dir: &Path) -> Result<(), Error> {
    fs::create_dir_all(dir).map_err(|source| Error::io("create", dir, source))
}

/// Removes a directory if it is there. Its manifest goes first, so that half of it is never an entry.
pub(super) fn remove(dir: &Path) -> Result<(), Error> {
    let absent = |error: &io::Error| matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
    for result in [fs::remove_file(dir.join(manifest::NAME)), fs::remove_dir_all(dir)] {
        match result {
            Err(error) if !absent(&error) => return Err(Error::io("remove", dir, error)),
            _ => {}
        }
    }
    Ok(())
}
