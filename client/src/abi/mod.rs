//! The ioctls, as `kmod/uapi/liveupdate_lab.h` has them. The only place with unsafe code.

#![allow(unsafe_code, reason = "ioctl(2) trusts its caller with the argument's layout")]

#[cfg(test)]
mod tests;

use std::{ffi::c_void, marker::PhantomData, mem::offset_of};

use rustix::{
    fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd},
    io::Errno,
    ioctl::{Ioctl, IoctlOutput, Opcode, ioctl, opcode},
};

const TYPE: u8 = 0xBB;

/// Bytes of a name, its terminator included.
pub(crate) const NAME_LEN: usize = 64;
/// Most bytes of a reason.
pub(crate) const REASON_LEN: usize = 240;

pub(crate) const KIND_MEMORY: u32 = 1;
pub(crate) const KIND_MEMFD: u32 = 2;
pub(crate) const KIND_EVENTFD: u32 = 3;

pub(crate) const PRESERVE_MEMFD: u32 = 1 << 0;

pub(crate) const MEM_SMALL: u32 = 1 << 0;
pub(crate) const MEM_HUGE: u32 = 1 << 1;

/// What an [`OwnedFd`] that the kernel is to fill in holds until then.
pub(crate) const NO_FD: RawFd = -1;

/// An ioctl: its number, and the structure `T` that it reads and writes.
pub(crate) struct Command<T> {
    pub(crate) name: &'static str,
    opcode: Opcode,
    argument: PhantomData<fn(T) -> T>,
}

impl<T> Command<T> {
    /// Private to this file: that number and structure belong together is what makes [`call`] sound.
    const fn new(name: &'static str, number: u8) -> Self {
        Self { name, opcode: opcode::none(TYPE, number), argument: PhantomData }
    }
}

pub(crate) const FD_PRESERVE: Command<FdPreserve> = Command::new("FD_PRESERVE", 0x00);
pub(crate) const FD_UNPRESERVE: Command<FdUnpreserve> = Command::new("FD_UNPRESERVE", 0x01);
pub(crate) const FD_RESTORE: Command<FdRestore> = Command::new("FD_RESTORE", 0x02);
pub(crate) const GET_STATE: Command<GetState> = Command::new("GET_STATE", 0x03);
pub(crate) const PREPARE: Command<Event> = Command::new("PREPARE", 0x04);
pub(crate) const FREEZE: Command<Event> = Command::new("FREEZE", 0x05);
pub(crate) const CANCEL: Command<Event> = Command::new("CANCEL", 0x06);
pub(crate) const FINISH: Command<Event> = Command::new("FINISH", 0x07);
pub(crate) const SESSION_CREATE: Command<Session> = Command::new("SESSION_CREATE", 0x08);
pub(crate) const SESSION_RETRIEVE: Command<Session> = Command::new("SESSION_RETRIEVE", 0x09);
pub(crate) const DEPEND: Command<Depend> = Command::new("DEPEND", 0x0a);
pub(crate) const FD_INFO: Command<FdInfo> = Command::new("FD_INFO", 0x0b);
pub(crate) const REASON: Command<Reason> = Command::new("REASON", 0x0c);
pub(crate) const STATUS: Command<Status> = Command::new("STATUS", 0x0d);
pub(crate) const MEM_CREATE: Command<MemCreate> = Command::new("MEM_CREATE", 0x10);

/// Declares an argument: `size` first, the other fields as they are given, the C structure's length checked.
/// Nobody else can set the size, by which the kernel knows how much it may write.
macro_rules! argument {
    ($(#[$about:meta])* $name:ident, $bytes:literal, { $($field:ident: $type:ty = $value:expr),* $(,)? }) => {
        $(#[$about])*
        #[repr(C, align(4))]
        pub(crate) struct $name {
            size: u32,
            $(pub(crate) $field: $type,)*
        }

        impl $name {
            pub(crate) fn new() -> Self {
                Self { size: $bytes, $($field: $value,)* }
            }
        }

        const _: () = assert!(size_of::<$name>() == $bytes && offset_of!($name, size) == 0);
    };
}

argument!(
    /// `struct liveupdate_lab_fd_preserve`
    FdPreserve, 24, { fd: i32 = NO_FD, token: u64 = 0, flags: u32 = 0, reserved: u32 = 0 }
);
argument!(
    /// `struct liveupdate_lab_fd_unpreserve`
    FdUnpreserve, 16, { reserved: u32 = 0, token: u64 = 0 }
);
argument!(
    /// `struct liveupdate_lab_fd_restore`
    FdRestore, 16, { fd: i32 = NO_FD, token: u64 = 0 }
);
argument!(
    /// `struct liveupdate_lab_get_state`
    GetState, 8, { state: u32 = 0 }
);
argument!(
    /// `struct liveupdate_lab_event`
    Event, 8, { reserved: u32 = 0 }
);
argument!(
    /// `struct liveupdate_lab_session`
    Session, 72, { fd: i32 = NO_FD, name: [u8; NAME_LEN] = [0; NAME_LEN] }
);
argument!(
    /// `struct liveupdate_lab_depend`
    Depend, 88, { reserved: u32 = 0, token: u64 = 0, on: u64 = 0, name: [u8; NAME_LEN] = [0; NAME_LEN] }
);
argument!(
    /// `struct liveupdate_lab_fd_info`
    FdInfo, 32, { kind: u32 = 0, token: u64 = 0, bytes: u64 = 0, flags: u32 = 0, restored: u32 = 0 }
);
argument!(
    /// `struct liveupdate_lab_reason`
    Reason, 248, { len: u32 = 0, text: [u8; REASON_LEN] = [0; REASON_LEN] }
);
argument!(
    /// `struct liveupdate_lab_status`
    Status, 48, {
        state: u32 = 0, generation: u64 = 0, participants: u64 = 0, inherited: u64 = 0, unclaimed: u64 = 0,
        freed_pages: u64 = 0,
    }
);
argument!(
    /// `struct liveupdate_lab_mem_create`
    MemCreate, 24, { fd: i32 = NO_FD, bytes: u64 = 0, flags: u32 = 0, reserved: u32 = 0 }
);

struct Call<'a, T> {
    opcode: Opcode,
    argument: &'a mut T,
}

// SAFETY: number and structure belong together (`Command`), and each structure tells its own size, beyond
// which the kernel does not write.
unsafe impl<T> Ioctl for Call<'_, T> {
    type Output = ();
    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        self.opcode
    }

    fn as_ptr(&mut self) -> *mut c_void {
        std::ptr::from_mut(self.argument).cast()
    }

    unsafe fn output_from_ptr(_: IoctlOutput, _: *mut c_void) -> rustix::io::Result<()> {
        Ok(())
    }
}

/// Makes the call. To any file but the orchestrator's it is unknown: ENOTTY.
pub(crate) fn call<T>(file: BorrowedFd<'_>, command: &Command<T>, argument: &mut T) -> Result<(), Errno> {
    // SAFETY: as for `Call`, and every field is an integer or made of some, so that any bytes are a value.
    unsafe { ioctl(file, Call { opcode: command.opcode, argument }) }
}

/// An argument in which the kernel leaves a new descriptor.
pub(crate) trait Opens {
    fn opened(&self) -> RawFd;
}

macro_rules! opens {
    ($($name:ident),*) => {
        $(impl Opens for $name {
            fn opened(&self) -> RawFd {
                self.fd
            }
        })*
    };
}
opens!(FdRestore, Session, MemCreate);

/// Makes a call that opens a file. The argument must hold [`NO_FD`].
pub(crate) fn open<T: Opens>(file: BorrowedFd<'_>, command: &Command<T>, argument: &mut T) -> Result<OwnedFd, Errno> {
    assert_eq!(argument.opened(), NO_FD, "{} was given a descriptor to overwrite", command.name);
    call(file, command, argument)?;
    match argument.opened() {
        // SAFETY: it was none, so the kernel has filled it in: opened for this process, not known to anyone else.
        fd @ 0.. => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(Errno::PROTO),
    }
}
