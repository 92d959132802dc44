//! The calls of the in-tree Live Update Orchestrator, `include/uapi/linux/liveupdate.h`.

use rustix::{
    fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
    fs::{Mode, OFlags},
    io::Errno,
    ioctl::{Updater, ioctl, opcode},
};

/// Lets in one process at a time.
pub(crate) const DEVICE: &str = "/dev/liveupdate";

const TYPE: u8 = 0xBA;
const CREATE_SESSION: u32 = opcode::none(TYPE, 0x00);
const RETRIEVE_SESSION: u32 = opcode::none(TYPE, 0x01);
const PRESERVE_FD: u32 = opcode::none(TYPE, 0x40);
const RETRIEVE_FD: u32 = opcode::none(TYPE, 0x41);
const FINISH: u32 = opcode::none(TYPE, 0x42);

/// `struct liveupdate_ioctl_create_session` and `..._retrieve_session`.
#[repr(C)]
struct SessionArgument {
    size: u32,
    fd: i32,
    name: [u8; 64],
}
const _: () = assert!(size_of::<SessionArgument>() == 72);

/// `struct liveupdate_session_preserve_fd` and `..._retrieve_fd`.
#[repr(C, align(8))]
struct FileArgument {
    size: u32,
    fd: i32,
    token: u64,
}
const _: () = assert!(size_of::<FileArgument>() == 16);

/// `struct liveupdate_session_finish`.
#[repr(C)]
struct FinishArgument {
    size: u32,
    reserved: u32,
}
const _: () = assert!(size_of::<FinishArgument>() == 8);

/// The device.
pub(crate) fn open_device() -> Result<OwnedFd, Errno> {
    rustix::fs::open(DEVICE, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
}

/// A session: what is preserved through it goes when it is closed before the kexec, and is finished when it is
/// closed after it.
pub(crate) struct Session(OwnedFd);

impl AsFd for Session {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<OwnedFd> for Session {
    /// What somebody else made or retrieved.
    fn from(file: OwnedFd) -> Self {
        Self(file)
    }
}

impl Session {
    /// A new one, to be handed over.
    pub(crate) fn create(name: &str) -> Result<Self, Errno> {
        Self::by_name::<CREATE_SESSION>(&open_device()?, name)
    }

    /// The same by an open device.
    pub(crate) fn create_by(device: impl AsFd, name: &str) -> Result<Self, Errno> {
        Self::by_name::<CREATE_SESSION>(device, name)
    }

    /// One of the previous kernel's.
    pub(crate) fn retrieve(name: &str) -> Result<Self, Errno> {
        Self::by_name::<RETRIEVE_SESSION>(&open_device()?, name)
    }

    /// The same by an open device.
    pub(crate) fn retrieve_by(device: impl AsFd, name: &str) -> Result<Self, Errno> {
        Self::by_name::<RETRIEVE_SESSION>(device, name)
    }

    fn by_name<const OPERATION: u32>(device: impl AsFd, wanted: &str) -> Result<Self, Errno> {
        let mut name = [0; 64];
        name.get_mut(..wanted.len()).ok_or(Errno::NAMETOOLONG)?.copy_from_slice(wanted.as_bytes());
        let mut argument = SessionArgument { size: size_of::<SessionArgument>() as u32, fd: -1, name };
        // SAFETY: the argument has the layout that both ioctls read and write.
        unsafe { ioctl(device, Updater::<OPERATION, _>::new(&mut argument)) }?;
        // SAFETY: the kernel has just opened this descriptor for this process.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(argument.fd) }))
    }

    /// Preserves a file under a token of the caller's choice.
    pub(crate) fn preserve(&self, file: impl AsFd, token: u64) -> Result<(), Errno> {
        let mut argument = FileArgument { size: SIZE_OF_FILE, fd: file.as_fd().as_raw_fd(), token };
        // SAFETY: the argument has the layout that this ioctl reads and writes.
        unsafe { ioctl(&self.0, Updater::<PRESERVE_FD, _>::new(&mut argument)) }
    }

    /// Opens what the previous kernel preserved.
    pub(crate) fn retrieve_fd(&self, token: u64) -> Result<OwnedFd, Errno> {
        let mut argument = FileArgument { size: SIZE_OF_FILE, fd: -1, token };
        // SAFETY: the argument has the layout that this ioctl reads and writes.
        unsafe { ioctl(&self.0, Updater::<RETRIEVE_FD, _>::new(&mut argument)) }?;
        // SAFETY: the kernel has just opened this descriptor for this process.
        Ok(unsafe { OwnedFd::from_raw_fd(argument.fd) })
    }

    /// Ends it: what was not retrieved is freed.
    pub(crate) fn finish(&self) -> Result<(), Errno> {
        let mut argument = FinishArgument { size: size_of::<FinishArgument>() as u32, reserved: 0 };
        // SAFETY: the argument has the layout that this ioctl reads and writes.
        unsafe { ioctl(&self.0, Updater::<FINISH, _>::new(&mut argument)) }
    }
}

const SIZE_OF_FILE: u32 = size_of::<FileArgument>() as u32;
