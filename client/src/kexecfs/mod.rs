//! Instances of kexecfs: files that are there again under the next kernel, found by the instance's name.
//!
//! ```no_run
//! use liveupdate_client::{Name, kexecfs::Instance};
//!
//! # fn main() -> Result<(), liveupdate_client::Error> {
//! // Fresh at the first start; after a live update, with the files that the previous kernel handed over.
//! let instance = Instance::builder().name(Name::new("ledger").expect("a valid name")).size(64 << 20).mount()?;
//! let accounts = match instance.files()?.iter().any(|name| name == "accounts") {
//!     true => instance.open("accounts")?,
//!     false => instance.create_allocated("accounts", 2 << 20)?,
//! };
//! # Ok(())
//! # }
//! ```

mod builder;
mod context;
mod state_file;

use std::{
    ffi::{OsStr, OsString},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::ffi::{OsStrExt as _, OsStringExt as _},
    },
    path::Path,
};

use rustix::{
    fs::{AtFlags, CWD, Dir, FallocateFlags, Mode, OFlags, fallocate, openat, unlinkat},
    io::Errno,
    mount::{MoveMountFlags, move_mount},
};

pub use builder::{Builder, Huge, InvalidKey, Key};
pub use state_file::StateFile;

use crate::{Control, Error, Result, Token, error::Name as _};

/// The files in an instance's root that are not data.
const CONTROL_FILES: [&str; 4] = ["control", "state", "preserve_fd", "reason"];

/// A mounted instance.
///
/// [`Instance::builder`] mounts one nowhere: it can be reached through this value alone until
/// [`Instance::attach`] gives it a place. The end of a process that has not attached it is the instance's
/// end, unless an update is prepared.
#[derive(Debug)]
pub struct Instance {
    mount: OwnedFd,
}

impl Instance {
    /// Mounts one: what is to be said of it comes first.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// One that is mounted at `place` already.
    ///
    /// # Errors
    /// ENOENT, ENOTDIR; ENODEV if something else is mounted there.
    pub fn at(place: impl AsRef<Path>) -> Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mount = openat(CWD, place.as_ref(), flags, Mode::empty()).of("open an instance's root")?;
        Self::from_fd(mount)
    }

    /// Takes over the root of an instance that another process has mounted.
    ///
    /// # Errors
    /// ENODEV if it is something else.
    pub fn from_fd(mount: OwnedFd) -> Result<Self> {
        let instance = Self { mount };
        match rustix::fs::statat(&instance.mount, CONTROL_FILES[0], AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(instance),
            Err(Errno::NOENT | Errno::NOTDIR) => {
                Err(Error::new("open an instance's root", Errno::NODEV, "it has no `control`: not a kexecfs"))
            }
            Err(errno) => Err(Error::new("open an instance's root", errno, "")),
        }
    }

    /// The orchestrator's calls, for this instance as their session.
    ///
    /// # Errors
    /// EACCES unless the caller owns the instance.
    pub fn control(&self) -> Result<Control> {
        self.open_control_file("control", OFlags::RDWR).map(Control::opened)
    }

    /// The machine's state: to read, to wait for, to change.
    ///
    /// # Errors
    /// EACCES unless the caller owns the instance.
    pub fn state(&self) -> Result<StateFile<'_>> {
        let file = self.open_control_file("state", OFlags::RDWR)?;
        Ok(StateFile::new(self, file))
    }

    /// Registers an open file of another sort (an eventfd, a memory file) with this instance: the same as
    /// [`Preserve::preserve`](crate::Preserve::preserve) of its `control`, by writing to a file.
    ///
    /// # Errors
    /// As there.
    pub fn preserve_fd<F: AsFd>(&self, file: F) -> Result<Token> {
        let operation = "write to preserve_fd";
        let number = file.as_fd().as_raw_fd().to_string();
        let registry = self.open_control_file("preserve_fd", OFlags::RDWR)?;
        rustix::io::write(&registry, number.as_bytes()).map_err(|errno| self.explain(operation, errno))?;
        let mut text = [0; 64];
        let length = read_from_start(&registry, &mut text).of("read preserve_fd")?;
        first_token(&text[..length])
            .ok_or_else(|| Error::new("read preserve_fd", Errno::PROTO, "what is there is no token"))
    }

    /// In words, why the last call on this instance failed; empty if it did not.
    ///
    /// # Errors
    /// EACCES unless the caller owns the instance.
    pub fn reason(&self) -> Result<String> {
        let file = self.open_control_file("reason", OFlags::RDONLY)?;
        let mut text = [0; 512];
        let length = read_from_start(&file, &mut text).of("read reason")?;
        Ok(String::from_utf8_lossy(&text[..length]).trim_end().to_owned())
    }

    /// The names of the files in it, in no particular order.
    ///
    /// # Errors
    /// EACCES.
    pub fn files(&self) -> Result<Vec<OsString>> {
        let operation = "list an instance";
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = openat(&self.mount, ".", flags, Mode::empty()).of(operation)?;
        let mut names = Vec::new();
        for entry in Dir::new(root).of(operation)? {
            let name = entry.of(operation)?.file_name().to_bytes().to_vec();
            if check_file_name(OsStr::from_bytes(&name)).is_ok() {
                names.push(OsString::from_vec(name));
            }
        }
        Ok(names)
    }

    /// Opens a file for reading and writing.
    ///
    /// # Errors
    /// ENOENT, EACCES; EINVAL if `name` cannot be that of a file here.
    pub fn open(&self, name: impl AsRef<OsStr>) -> Result<OwnedFd> {
        self.open_file(name.as_ref(), OFlags::RDWR)
    }

    /// Opens a file for reading.
    ///
    /// # Errors
    /// ENOENT, EACCES; EINVAL if `name` cannot be that of a file here.
    pub fn open_read_only(&self, name: impl AsRef<OsStr>) -> Result<OwnedFd> {
        self.open_file(name.as_ref(), OFlags::RDONLY)
    }

    /// Makes an empty file, readable and writable for its owner.
    ///
    /// # Errors
    /// EEXIST; EBUSY while an update is prepared; EINVAL if `name` cannot be that of a file here.
    pub fn create(&self, name: impl AsRef<OsStr>) -> Result<OwnedFd> {
        self.open_file(name.as_ref(), OFlags::RDWR | OFlags::CREATE | OFlags::EXCL)
    }

    /// Makes a file of `bytes` bytes, all its pages allocated: nothing that is written into it later can fail
    /// for want of memory. If they cannot be had, there is no file.
    ///
    /// # Errors
    /// ENOSPC beyond the instance's size, ENOMEM, and those of [`Self::create`].
    pub fn create_allocated(&self, name: impl AsRef<OsStr>, bytes: u64) -> Result<OwnedFd> {
        let name = name.as_ref();
        let file = self.create(name)?;
        // The call refuses a length of nothing.
        if bytes > 0
            && let Err(errno) = fallocate(&file, FallocateFlags::empty(), 0, bytes)
        {
            let _ = self.remove(name);
            return Err(Error::new("fallocate", errno, ""));
        }
        Ok(file)
    }

    /// Removes a file. Its memory is free when nobody has it open any more.
    ///
    /// # Errors
    /// ENOENT; EBUSY while an update is prepared; EINVAL if `name` cannot be that of a file here.
    pub fn remove(&self, name: impl AsRef<OsStr>) -> Result<()> {
        let name = checked_file_name(name.as_ref())?;
        unlinkat(&self.mount, name, AtFlags::empty()).of("unlink")
    }

    /// Gives a mount that has no place yet one: the directory `place`. Until it is unmounted the instance
    /// lives on without this value.
    ///
    /// # Errors
    /// ENOENT, ENOTDIR, EPERM.
    pub fn attach(&self, place: impl AsRef<Path>) -> Result<()> {
        move_mount(&self.mount, "", CWD, place.as_ref(), MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH).of("move_mount")
    }

    fn open_file(&self, name: &OsStr, flags: OFlags) -> Result<OwnedFd> {
        let name = checked_file_name(name)?;
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        openat(&self.mount, name, flags, Mode::RUSR | Mode::WUSR).of("open a file of an instance")
    }

    fn open_control_file(&self, name: &'static str, flags: OFlags) -> Result<OwnedFd> {
        let opened = openat(&self.mount, name, flags | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty());
        opened.map_err(|errno| Error::new("open a control file", errno, name))
    }

    /// A write to a control file failed; the instance knows why.
    fn explain(&self, operation: &'static str, errno: Errno) -> Error {
        Error::new(operation, errno, self.reason().unwrap_or_default())
    }
}

impl AsFd for Instance {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.mount.as_fd()
    }
}

impl From<Instance> for OwnedFd {
    fn from(instance: Instance) -> Self {
        instance.mount
    }
}

/// Why it cannot be the name of a data file in an instance's root.
fn check_file_name(name: &OsStr) -> std::result::Result<(), &'static str> {
    let bytes = name.as_bytes();
    if bytes.is_empty() || bytes == b"." || bytes == b".." || bytes.contains(&b'/') || bytes.contains(&0) {
        return Err("not the name of a file");
    }
    match CONTROL_FILES.iter().any(|control| name == *control) {
        true => Err("the name of a control file"),
        false => Ok(()),
    }
}

fn checked_file_name(name: &OsStr) -> Result<&OsStr> {
    match check_file_name(name) {
        Ok(()) => Ok(name),
        Err(why) => Err(Error::new("name a file of an instance", Errno::INVAL, format!("{name:?}: {why}"))),
    }
}

/// The token on the first line.
fn first_token(text: &[u8]) -> Option<Token> {
    std::str::from_utf8(text).ok()?.lines().next()?.parse().ok()
}

/// Reads what a control file says now, wherever its position is.
fn read_from_start(file: impl AsFd, text: &mut [u8]) -> std::result::Result<usize, Errno> {
    match rustix::io::pread(&file, &mut *text, 0) {
        // A file that is a stream.
        Err(Errno::SPIPE) => rustix::io::read(&file, text),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_are_checked() {
        for good in ["ledger", "a b", "ä", "..."] {
            assert_eq!(check_file_name(OsStr::new(good)), Ok(()), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "/", "a\0", "control", "state", "preserve_fd", "reason"] {
            assert!(check_file_name(OsStr::new(bad)).is_err(), "{bad:?}");
        }
        let error = checked_file_name(OsStr::new("control")).unwrap_err();
        assert_eq!(error.errno(), Errno::INVAL);
    }

    #[test]
    fn another_directory_is_no_instance() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(Instance::at(directory.path()).unwrap_err().errno(), Errno::NODEV);
        assert_eq!(Instance::at(directory.path().join("nowhere")).unwrap_err().errno(), Errno::NOENT);
    }

    /// A directory with the right files in it does for what is file work alone.
    #[test]
    fn files_are_made_listed_and_removed() {
        let directory = tempfile::tempdir().unwrap();
        for name in CONTROL_FILES {
            std::fs::write(directory.path().join(name), "").unwrap();
        }
        std::fs::write(directory.path().join("reason"), "because\n").unwrap();
        let instance = Instance::at(directory.path()).unwrap();
        assert_eq!(instance.reason().unwrap(), "because");
        assert_eq!(instance.files().unwrap(), Vec::<OsString>::new());

        drop(instance.create("one").unwrap());
        assert_eq!(instance.create("one").unwrap_err().errno(), Errno::EXIST);
        assert_eq!(rustix::fs::fstat(instance.create_allocated("empty", 0).unwrap()).unwrap().st_size, 0);
        assert_eq!(rustix::fs::fstat(instance.create_allocated("page", 4096).unwrap()).unwrap().st_size, 4096);
        assert_eq!(instance.create_allocated("immense", u64::MAX / 2).unwrap_err().operation(), "fallocate");
        let mut files = instance.files().unwrap();
        files.sort();
        assert_eq!(files, ["empty", "one", "page"]);

        instance.remove("one").unwrap();
        assert_eq!(instance.open("one").unwrap_err().errno(), Errno::NOENT);
        assert_eq!(instance.remove("control").unwrap_err().errno(), Errno::INVAL);
        let page = instance.open_read_only("page").unwrap();
        assert_eq!(rustix::io::write(&page, b"x"), Err(Errno::BADF));
    }

    #[test]
    fn tokens_are_lines() {
        let token = Token::new(42);
        assert_eq!(first_token(b"0x000000000000002a\n"), token);
        assert_eq!(first_token(b"0x000000000000002a\n0x0000000000000001\n"), token);
        for bad in [&b""[..], b"\n", b"42\n", b"0x\xff\n"] {
            assert_eq!(first_token(bad), None);
        }
    }
}
