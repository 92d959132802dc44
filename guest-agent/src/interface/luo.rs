//! The in-tree Live Update Orchestrator, `include/uapi/linux/liveupdate.h`.

use protocol::message::{Claim, Event, ObjectId, Token};
use rustix::{
    fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    fs::{MemfdFlags, Mode, OFlags, ftruncate, memfd_create},
    io::Errno,
    ioctl::{Updater, ioctl, opcode},
};

use super::Interface;
use crate::failure::{Outcome, Tell, refuse, system};

const DEVICE: &str = "/dev/liveupdate";
const SESSION: &str = "lab";

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

/// What became of the previous generation's session.
enum Incoming {
    /// Nobody has asked.
    Unasked,
    /// The kernel has none, or it is finished.
    None,
    /// Open.
    Open(OwnedFd),
}

/// Sessions named [`SESSION`], one in each direction: the kernel keeps their names apart.
pub(super) struct Luo {
    incoming: Incoming,
    outgoing: Option<OwnedFd>,
}

impl Luo {
    pub(super) fn open() -> Outcome<Self> {
        // Only whether it can be opened: the kernel lets in one process at a time.
        device()?;
        Ok(Self { incoming: Incoming::Unasked, outgoing: None })
    }

    fn outgoing(&mut self) -> Outcome<BorrowedFd<'_>> {
        let session = match self.outgoing.take() {
            Some(session) => session,
            None => session::<CREATE_SESSION>().tell(format!("ioctl CREATE_SESSION on {DEVICE}"))?,
        };
        let session: &OwnedFd = self.outgoing.insert(session);
        Ok(session.as_fd())
    }

    fn incoming(&mut self) -> Outcome<Option<BorrowedFd<'_>>> {
        if matches!(self.incoming, Incoming::Unasked) {
            self.incoming = match session::<RETRIEVE_SESSION>() {
                Ok(session) => Incoming::Open(session),
                Err(Errno::NOENT) => Incoming::None,
                Err(errno) => return Err(system(format!("ioctl RETRIEVE_SESSION on {DEVICE}"), errno)),
            };
        }
        Ok(match &self.incoming {
            Incoming::Open(session) => Some(session.as_fd()),
            Incoming::Unasked | Incoming::None => None,
        })
    }

    fn finish(&mut self) -> Outcome<()> {
        let operation = "ioctl FINISH on the incoming session";
        let Some(session) = self.incoming()? else {
            return Err(refuse(operation, "nothing was handed over, or it is finished"));
        };
        let mut argument = FinishArgument { size: size_of::<FinishArgument>() as u32, reserved: 0 };
        // SAFETY: the argument has the layout that this ioctl reads and writes.
        unsafe { ioctl(session, Updater::<FINISH, _>::new(&mut argument)) }.tell(operation)?;
        self.incoming = Incoming::None;
        Ok(())
    }
}

impl Interface for Luo {
    fn create(&mut self, _id: ObjectId, bytes: u64) -> Outcome<OwnedFd> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = memfd_create(c"lab", flags).tell("memfd_create")?;
        ftruncate(&file, bytes).tell(format!("ftruncate of a memfd to {bytes} bytes"))?;
        Ok(file)
    }

    fn preserve(&mut self, id: ObjectId, file: BorrowedFd<'_>) -> Outcome<Token> {
        let session = self.outgoing()?;
        let mut argument = FileArgument { size: SIZE_OF_FILE, fd: file.as_raw_fd(), token: id.0.into() };
        // SAFETY: the argument has the layout that this ioctl reads and writes.
        unsafe { ioctl(session, Updater::<PRESERVE_FD, _>::new(&mut argument)) }
            .tell(format!("ioctl PRESERVE_FD of object {} on the outgoing session", id.0))?;
        Ok(Token(argument.token))
    }

    fn signal(&mut self, event: Event) -> Outcome<()> {
        match event {
            // There is no such state: PRESERVE_FD prepares, reboot(2) freezes.
            Event::Prepare | Event::Freeze => Ok(()),
            Event::Cancel => {
                self.outgoing = None;
                Ok(())
            }
            Event::Finish => self.finish(),
        }
    }

    fn retrieve(&mut self, claim: Claim) -> Outcome<Option<OwnedFd>> {
        let Some(session) = self.incoming()? else { return Ok(None) };
        let mut argument = FileArgument { size: SIZE_OF_FILE, fd: -1, token: claim.token.0 };
        // SAFETY: the argument has the layout that this ioctl reads and writes.
        match unsafe { ioctl(session, Updater::<RETRIEVE_FD, _>::new(&mut argument)) } {
            // SAFETY: the kernel has just opened this descriptor for this process.
            Ok(()) => Ok(Some(unsafe { OwnedFd::from_raw_fd(argument.fd) })),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => {
                Err(system(format!("ioctl RETRIEVE_FD of object {} on the incoming session", claim.id.0), errno))
            }
        }
    }
}

const SIZE_OF_FILE: u32 = size_of::<FileArgument>() as u32;

fn device() -> Outcome<OwnedFd> {
    open_device().tell(format!("open {DEVICE}"))
}

fn open_device() -> Result<OwnedFd, Errno> {
    rustix::fs::open(DEVICE, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
}

/// Makes or retrieves the session; the device is open no longer than that.
fn session<const OPERATION: u32>() -> Result<OwnedFd, Errno> {
    let device = open_device()?;
    let mut name = [0; 64];
    name[..SESSION.len()].copy_from_slice(SESSION.as_bytes());
    let mut argument = SessionArgument { size: size_of::<SessionArgument>() as u32, fd: -1, name };
    // SAFETY: the argument has the layout that both ioctls read and write.
    unsafe { ioctl(&device, Updater::<OPERATION, _>::new(&mut argument)) }?;
    // SAFETY: the kernel has just opened this descriptor for this process.
    Ok(unsafe { OwnedFd::from_raw_fd(argument.fd) })
}
