//! Locks between processes. The kernel drops them when their holder dies, so none can go stale.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;
use std::sync::mpsc;

use super::Error;
use crate::host::{Cancel, Progress};

/// An exclusive lock, held until dropped. Its file stays: deleting it would let two holders in.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "open is what it has to be")] File);

impl Lock {
    /// Takes the lock if nobody has it.
    ///
    /// # Errors
    /// The lock file cannot be opened.
    pub fn try_take(path: &Path) -> Result<Option<Self>, Error> {
        let file = open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(Error::io("lock", path, source)),
        }
    }

    /// Takes the lock together with others who share it. Who has it alone has it for a moment only.
    ///
    /// # Errors
    /// The lock file cannot be used.
    pub fn share(path: &Path) -> Result<Self, Error> {
        let file = open(path)?;
        file.lock_shared().map_err(|source| Error::io("lock", path, source))?;
        Ok(Self(file))
    }

    /// Takes the lock, waiting for its holder if need be, and telling who that is.
    /// `purpose` is what the next one who waits will read.
    ///
    /// # Errors
    /// The lock file cannot be used, or the wait was cancelled.
    pub fn take(path: &Path, purpose: &str, progress: &dyn Progress, cancel: &Cancel) -> Result<Self, Error> {
        let file = open(path)?;
        let mut file = match file.try_lock() {
            Ok(()) => file,
            Err(TryLockError::WouldBlock) => {
                progress.note(&format!("waiting for {}", holder(path)));
                wait(file, path, cancel)?
            }
            Err(TryLockError::Error(source)) => return Err(Error::io("lock", path, source)),
        };
        // Who holds it is a courtesy to others; the lock is held either way.
        let _ = sign(&mut file, purpose);
        Ok(Self(file))
    }
}

fn open(path: &Path) -> Result<File, Error> {
    let open = || {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        File::options().create(true).truncate(false).read(true).write(true).open(path)
    };
    open().map_err(|source| Error::io("open the lock", path, source))
}

/// Blocks in a thread of its own, so that a cancellation is heard meanwhile.
fn wait(file: File, path: &Path, cancel: &Cancel) -> Result<File, Error> {
    let (sender, inbox) = mpsc::channel();
    let wake = sender.clone();
    let _subscription = cancel.on_cancel(move || drop(wake.send(None)));
    std::thread::spawn(move || {
        let locked = file.lock().map(|()| file);
        // Nobody listens after a cancellation: the file is dropped, and with it the lock.
        let _ = sender.send(Some(locked));
    });
    match inbox.recv() {
        Ok(Some(locked)) => locked.map_err(|source| Error::io("lock", path, source)),
        Ok(None) | Err(_) => Err(Error::Cancelled { what: holder(path) }),
    }
}

fn sign(file: &mut File, purpose: &str) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    write!(file, "process {} ({purpose})", std::process::id())
}

/// Who holds the lock, as far as it says.
fn holder(path: &Path) -> String {
    let mut text = String::new();
    let read = File::open(path).and_then(|mut file| file.read_to_string(&mut text));
    if read.is_err() || text.is_empty() { format!("the holder of {}", path.display()) } else { text }
}
