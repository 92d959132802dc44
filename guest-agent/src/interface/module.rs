//! This project's module, `kmod/uapi/liveupdate_lab.h`.

use protocol::message::{Claim, Event, ObjectId, Token};
use rustix::{
    fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    fs::{Mode, OFlags},
    io::Errno,
    ioctl::{Updater, ioctl, opcode},
    system::finit_module,
};

use super::Interface;
use crate::failure::{Outcome, Tell, refuse, system};

const DEVICE: &str = "/dev/liveupdate_lab";
const FILE: &str = "/lib/liveupdate_lab.ko";

const TYPE: u8 = 0xBB;
const FD_PRESERVE: u32 = opcode::none(TYPE, 0x00);
const FD_UNPRESERVE: u32 = opcode::none(TYPE, 0x01);
const FD_RESTORE: u32 = opcode::none(TYPE, 0x02);
const GET_STATE: u32 = opcode::none(TYPE, 0x03);
const PREPARE: u32 = opcode::none(TYPE, 0x04);
const FREEZE: u32 = opcode::none(TYPE, 0x05);
const CANCEL: u32 = opcode::none(TYPE, 0x06);
const FINISH: u32 = opcode::none(TYPE, 0x07);
const MEM_CREATE: u32 = opcode::none(TYPE, 0x10);

const STATE_NORMAL: u32 = 0;

/// `struct liveupdate_lab_fd_preserve`, `..._fd_unpreserve`, whose second is `reserved`, `..._fd_restore`
/// and `..._mem_create`, whose last is `bytes`.
#[repr(C, align(8))]
struct FileArgument {
    size: u32,
    fd: i32,
    value: u64,
}
const _: () = assert!(size_of::<FileArgument>() == 16);

/// `struct liveupdate_lab_get_state` and `..._event`, whose last is `reserved`.
#[repr(C)]
struct StateArgument {
    size: u32,
    state: u32,
}
const _: () = assert!(size_of::<StateArgument>() == 8);

/// The open device: what it has registered is given up with it.
pub(super) struct Module {
    device: OwnedFd,
    registered: Vec<Token>,
}

impl Module {
    pub(super) fn open() -> Outcome<Self> {
        let device = match open_device() {
            Err(Errno::NOENT) => {
                load()?;
                open_device()
            }
            other => other,
        };
        Ok(Self { device: device.tell(format!("open {DEVICE}"))?, registered: Vec::new() })
    }

    fn file<const OPERATION: u32>(&self, fd: i32, value: u64) -> Result<FileArgument, Errno> {
        let mut argument = FileArgument { size: size_of::<FileArgument>() as u32, fd, value };
        // SAFETY: the argument has the layout that these ioctls read and write.
        unsafe { ioctl(&self.device, Updater::<OPERATION, _>::new(&mut argument)) }?;
        Ok(argument)
    }

    fn state<const OPERATION: u32>(&self) -> Result<u32, Errno> {
        let mut argument = StateArgument { size: size_of::<StateArgument>() as u32, state: 0 };
        // SAFETY: the argument has the layout that these ioctls read and write.
        unsafe { ioctl(&self.device, Updater::<OPERATION, _>::new(&mut argument)) }?;
        Ok(argument.state)
    }
}

impl Interface for Module {
    fn create(&mut self, bytes: u64) -> Outcome<OwnedFd> {
        let made = self.file::<MEM_CREATE>(-1, bytes);
        let made = made.tell(format!("ioctl MEM_CREATE of {bytes} bytes on {DEVICE}"))?;
        // SAFETY: the kernel has just opened this descriptor for this process.
        Ok(unsafe { OwnedFd::from_raw_fd(made.fd) })
    }

    fn preserve(&mut self, id: ObjectId, file: BorrowedFd<'_>) -> Outcome<Token> {
        let preserved = self.file::<FD_PRESERVE>(file.as_raw_fd(), 0);
        let token = Token(preserved.tell(format!("ioctl FD_PRESERVE of object {} on {DEVICE}", id.0))?.value);
        self.registered.push(token);
        Ok(token)
    }

    fn signal(&mut self, event: Event) -> Outcome<()> {
        let (name, result) = match event {
            Event::Prepare => ("PREPARE", self.state::<PREPARE>()),
            Event::Freeze => ("FREEZE", self.state::<FREEZE>()),
            Event::Cancel => ("CANCEL", self.state::<CANCEL>()),
            Event::Finish => ("FINISH", self.state::<FINISH>()),
        };
        result.tell(format!("ioctl {name} on {DEVICE}"))?;
        if event == Event::Cancel {
            // CANCEL leaves files registered for the next PREPARE; who cancels here gives them up.
            for token in std::mem::take(&mut self.registered) {
                self.file::<FD_UNPRESERVE>(0, token.0).tell(format!("ioctl FD_UNPRESERVE on {DEVICE}"))?;
            }
        }
        Ok(())
    }

    fn retrieve(&mut self, claim: Claim) -> Outcome<Option<OwnedFd>> {
        match self.file::<FD_RESTORE>(-1, claim.token.0) {
            // SAFETY: the kernel has just opened this descriptor for this process.
            Ok(restored) => Ok(Some(unsafe { OwnedFd::from_raw_fd(restored.fd) })),
            Err(Errno::NOENT) => Ok(None),
            // In this state nothing was handed over, or it is finished.
            Err(Errno::BUSY) if self.state::<GET_STATE>() == Ok(STATE_NORMAL) => Ok(None),
            Err(errno) => Err(system(format!("ioctl FD_RESTORE of object {} on {DEVICE}", claim.id.0), errno)),
        }
    }
}

fn open_device() -> Result<OwnedFd, Errno> {
    rustix::fs::open(DEVICE, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
}

fn load() -> Outcome<()> {
    let operation = format!("load {FILE}");
    match rustix::fs::open(FILE, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
        Ok(file) => match finit_module(&file, c"", 0) {
            Err(Errno::EXIST) => Ok(()),
            other => other.tell(operation),
        },
        Err(Errno::NOENT) => Err(refuse(operation, "the initramfs holds no module")),
        Err(errno) => Err(system(operation, errno)),
    }
}
