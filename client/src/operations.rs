//! What can be asked of the orchestrator.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::{
    event::{EventfdFlags, eventfd},
    io::Errno,
};

use crate::{
    Error, Name, Result, Session, State, Token,
    abi::{self, Command, Opens, call},
    error::Name as _,
};

/// How a file is to be preserved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PreserveFlags(u32);

impl PreserveFlags {
    /// Nothing out of the ordinary.
    pub const NONE: Self = Self(0);
    /// The file may be a memfd, and the caller knows that what comes back differs from one: content, place,
    /// size, position and seals are the same, but the memory is not charged to shmem (`st_blocks` is 0), is
    /// never swapped out, and the name is another.
    pub const MEMFD: Self = Self(abi::PRESERVE_MEMFD);
}

/// Pages of a new memory file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PageSize {
    /// As the kernel sees fit.
    #[default]
    Any,
    /// 4 KiB, all of them.
    Small,
    /// 2 MiB, or ENOMEM. The file's length must be a multiple.
    Huge,
}

/// What is needed by what depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// A file of the same session.
    File(Token),
    /// A subsystem: a kernel module that takes part. It need not be there yet.
    Subsystem(Name),
}

/// What a token of the previous kernel stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// What sort of file.
    pub kind: Kind,
    /// Its length in bytes.
    pub bytes: u64,
    /// Whether it has been restored already.
    pub restored: bool,
}

/// A sort of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A memory file of [`Preserve::create_memory`].
    Memory,
    /// A memfd.
    Memfd,
    /// An eventfd.
    Eventfd {
        /// `EFD_SEMAPHORE`: each read takes 1.
        semaphore: bool,
        /// `O_NONBLOCK`.
        nonblocking: bool,
    },
    /// One that this crate does not know, with the kernel's number for it.
    Other(u32),
}

/// Figures of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Where it stands.
    pub state: State,
    /// The generation that this kernel writes, counted from 1.
    pub generation: u64,
    /// Files, instances and subsystems that are registered.
    pub participants: u64,
    /// Files that the previous kernel handed over.
    pub inherited: u64,
    /// Those of them that are not restored.
    pub unclaimed: u64,
    /// Pages that the last FINISH gave back.
    pub freed_pages: u64,
}

pub(crate) mod sealed {
    /// An open file that takes the calls.
    pub trait Takes: std::os::fd::AsFd {}
    /// One that can drive the machine.
    pub trait Driver: Takes {}
}

/// What every session can do: the device, a session file, the `control` of an instance.
pub trait Preserve: sealed::Takes {
    /// Registers an open file: from now on it is handed over in every update until the session ends.
    ///
    /// # Errors
    /// ENOENT if there is no way to preserve such a file; EEXIST if it is registered already, or lies in a
    /// kexecfs instance, which preserves it; EOPNOTSUPP for a memfd without [`PreserveFlags::MEMFD`]; EBUSY
    /// unless the machine is NORMAL or UPDATED.
    fn preserve<F: AsFd>(&self, file: F, flags: PreserveFlags) -> Result<Token> {
        let mut argument = abi::FdPreserve::new();
        (argument.fd, argument.flags) = (file.as_fd().as_raw_fd(), flags.0);
        made(self.as_fd(), &abi::FD_PRESERVE, &mut argument)?;
        Token::new(argument.token).ok_or_else(|| nonsense(abi::FD_PRESERVE.name, "0 is no token"))
    }

    /// Takes a registration back.
    ///
    /// # Errors
    /// ENOENT if this session has no such token, EBUSY unless the machine is NORMAL or UPDATED.
    fn unpreserve(&self, token: Token) -> Result<()> {
        let mut argument = abi::FdUnpreserve::new();
        argument.token = token.get();
        made(self.as_fd(), &abi::FD_UNPRESERVE, &mut argument)
    }

    /// Tells what a token of the previous kernel stands for.
    ///
    /// # Errors
    /// ENOENT if this session has no such token, EBUSY unless the machine is UPDATED.
    fn info(&self, token: Token) -> Result<Info> {
        let mut argument = abi::FdInfo::new();
        argument.token = token.get();
        made(self.as_fd(), &abi::FD_INFO, &mut argument)?;
        Ok(Info { kind: kind(&argument), bytes: argument.bytes, restored: argument.restored != 0 })
    }

    /// Opens what the previous kernel preserved. A failed attempt may be made again.
    ///
    /// # Errors
    /// ENOENT if this session has no such token or has restored it already; EIO if its memory is not there;
    /// EPROTO if a newer kernel preserved it in a way that this one cannot restore; EBUSY unless the machine
    /// is UPDATED.
    fn restore(&self, token: Token) -> Result<OwnedFd> {
        let kind = match self.info(token) {
            Ok(info) => Some(info.kind),
            // The module's first version: it has memory alone.
            Err(error) if error.errno() == Errno::NOTTY => None,
            Err(error) => return Err(error),
        };
        let Some(Kind::Eventfd { semaphore, nonblocking }) = kind else {
            let mut argument = abi::FdRestore::new();
            argument.token = token.get();
            return opened(self.as_fd(), &abi::FD_RESTORE, &mut argument);
        };
        // No module can make an eventfd; it fills one that the caller has made.
        let mut flags = EventfdFlags::CLOEXEC;
        flags.set(EventfdFlags::SEMAPHORE, semaphore);
        flags.set(EventfdFlags::NONBLOCK, nonblocking);
        let counter = eventfd(0, flags).of("eventfd")?;
        self.restore_into(token, &counter)?;
        Ok(counter)
    }

    /// Has an eventfd of the caller's take over one that the previous kernel preserved: a new one, its counter 0,
    /// a semaphore exactly if that was one. Whoever waits for it is woken. [`Self::restore`] makes one itself.
    ///
    /// # Errors
    /// EINVAL if it is no such eventfd, and those of [`Self::restore`].
    fn restore_into<F: AsFd>(&self, token: Token, eventfd: F) -> Result<()> {
        let mut argument = abi::FdRestore::new();
        (argument.fd, argument.token) = (eventfd.as_fd().as_raw_fd(), token.get());
        made(self.as_fd(), &abi::FD_RESTORE, &mut argument)
    }

    /// A preserved file needs something else to be prepared and frozen before it, and undone after it.
    ///
    /// # Errors
    /// ELOOP if that leads back to the file, the way told in words; ENOENT if this session has no such token;
    /// EBUSY unless the machine is NORMAL or UPDATED.
    fn depend(&self, token: Token, need: Need) -> Result<()> {
        depend(self.as_fd(), token.get(), need)
    }

    /// Makes a memory file of `bytes` bytes, zeroed, all its pages allocated. It is not yet registered.
    ///
    /// # Errors
    /// ENOMEM, EFBIG; EINVAL if huge pages are wanted and `bytes` is not a multiple of one.
    fn create_memory(&self, bytes: u64, pages: PageSize) -> Result<OwnedFd> {
        let flags = match pages {
            PageSize::Any => 0,
            PageSize::Small => abi::MEM_SMALL,
            PageSize::Huge => abi::MEM_HUGE,
        };
        let mut argument = abi::MemCreate::new();
        (argument.bytes, argument.flags) = (bytes, flags);
        opened(self.as_fd(), &abi::MEM_CREATE, &mut argument)
    }

    /// Where the machine stands.
    ///
    /// # Errors
    /// ENOTTY if the file is not the orchestrator's.
    fn state(&self) -> Result<State> {
        let mut argument = abi::GetState::new();
        made(self.as_fd(), &abi::GET_STATE, &mut argument)?;
        state(abi::GET_STATE.name, argument.state)
    }

    /// In words, why the last call on this open file failed; empty if it did not.
    ///
    /// Every [`Error`] of this crate has asked already.
    fn reason(&self) -> String {
        reason(self.as_fd())
    }
}

/// What the device and the `control` of an instance can do beyond that.
pub trait Drive: Preserve + sealed::Driver {
    /// NORMAL → PREPARED: everything registered is made ready, and its layout stays as it is from now on.
    ///
    /// # Errors
    /// EEXIST if it is prepared already, EINVAL in UPDATED, EOPNOTSUPP if Kexec HandOver is off, EPERM through
    /// a `control` opened without `CAP_SYS_ADMIN`; else what a participant said, with everything undone.
    fn prepare(&self) -> Result<()> {
        event(self.as_fd(), &abi::PREPARE)
    }

    /// PREPARED → FROZEN: nothing more can change but what is mapped. The next kernel is loaded after this.
    ///
    /// # Errors
    /// EINVAL unless PREPARED; else what a participant said, with everything undone and the machine NORMAL.
    fn freeze(&self) -> Result<()> {
        event(self.as_fd(), &abi::FREEZE)
    }

    /// PREPARED or FROZEN → NORMAL: everything is undone, and stays registered.
    ///
    /// # Errors
    /// ENOENT if nothing is prepared.
    fn cancel(&self) -> Result<()> {
        event(self.as_fd(), &abi::CANCEL)
    }

    /// UPDATED → NORMAL: what was not restored is freed.
    ///
    /// # Errors
    /// EINVAL unless UPDATED.
    fn finish(&self) -> Result<()> {
        event(self.as_fd(), &abi::FINISH)
    }

    /// One of these four.
    ///
    /// # Errors
    /// As theirs.
    fn signal(&self, event: crate::Event) -> Result<()> {
        match event {
            crate::Event::Prepare => self.prepare(),
            crate::Event::Freeze => self.freeze(),
            crate::Event::Cancel => self.cancel(),
            crate::Event::Finish => self.finish(),
        }
    }

    /// Makes a session.
    ///
    /// # Errors
    /// EEXIST if the name is in use, or handed over and not yet retrieved; EBUSY unless the machine is NORMAL
    /// or UPDATED.
    fn create_session(&self, name: &Name) -> Result<Session> {
        session(self.as_fd(), &abi::SESSION_CREATE, name)
    }

    /// Opens a session that the previous kernel had.
    ///
    /// # Errors
    /// ENOENT if it had none of this name; EBUSY while somebody holds it, and unless the machine is UPDATED.
    fn retrieve_session(&self, name: &Name) -> Result<Session> {
        session(self.as_fd(), &abi::SESSION_RETRIEVE, name)
    }

    /// Figures of the machine.
    ///
    /// # Errors
    /// EPERM through a `control` opened without `CAP_SYS_ADMIN`.
    fn status(&self) -> Result<Status> {
        let mut argument = abi::Status::new();
        made(self.as_fd(), &abi::STATUS, &mut argument)?;
        let abi::Status { generation, participants, inherited, unclaimed, freed_pages, .. } = argument;
        let state = state(abi::STATUS.name, argument.state)?;
        Ok(Status { state, generation, participants, inherited, unclaimed, freed_pages })
    }
}

/// Makes a call; if it fails, asks why.
fn made<T>(file: BorrowedFd<'_>, command: &Command<T>, argument: &mut T) -> Result<()> {
    call(file, command, argument).map_err(|errno| Error::new(command.name, errno, reason(file)))
}

fn opened<T: Opens>(file: BorrowedFd<'_>, command: &Command<T>, argument: &mut T) -> Result<OwnedFd> {
    abi::open(file, command, argument).map_err(|errno| Error::new(command.name, errno, reason(file)))
}

/// Empty too from a kernel that does not know the call.
fn reason(file: BorrowedFd<'_>) -> String {
    let mut argument = abi::Reason::new();
    if call(file, &abi::REASON, &mut argument).is_err() {
        return String::new();
    }
    let length = (argument.len as usize).min(argument.text.len());
    String::from_utf8_lossy(&argument.text[..length]).into_owned()
}

fn event(file: BorrowedFd<'_>, command: &Command<abi::Event>) -> Result<()> {
    made(file, command, &mut abi::Event::new())
}

fn session(file: BorrowedFd<'_>, command: &Command<abi::Session>, name: &Name) -> Result<Session> {
    let mut argument = abi::Session::new();
    argument.name = name.terminated();
    opened(file, command, &mut argument).map(Session::opened)
}

/// `token`: 0 for an instance as a whole.
pub(crate) fn depend(file: BorrowedFd<'_>, token: u64, need: Need) -> Result<()> {
    let mut argument = abi::Depend::new();
    argument.token = token;
    match need {
        Need::File(on) => argument.on = on.get(),
        Need::Subsystem(name) => argument.name = name.terminated(),
    }
    made(file, &abi::DEPEND, &mut argument)
}

fn state(operation: &'static str, number: u32) -> Result<State> {
    State::from_number(number).ok_or_else(|| nonsense(operation, &format!("{number} is no state")))
}

fn kind(argument: &abi::FdInfo) -> Kind {
    let has = |flag: EventfdFlags| argument.flags & flag.bits() != 0;
    match argument.kind {
        abi::KIND_MEMORY => Kind::Memory,
        abi::KIND_MEMFD => Kind::Memfd,
        abi::KIND_EVENTFD => {
            Kind::Eventfd { semaphore: has(EventfdFlags::SEMAPHORE), nonblocking: has(EventfdFlags::NONBLOCK) }
        }
        other => Kind::Other(other),
    }
}

/// The kernel said yes, and something that makes no sense.
fn nonsense(operation: &'static str, what: &str) -> Error {
    Error::new(operation, Errno::PROTO, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_apart() {
        let info = |kind, flags| {
            let mut info = abi::FdInfo::new();
            (info.kind, info.flags) = (kind, flags);
            info
        };
        assert_eq!(kind(&info(1, 0)), Kind::Memory);
        assert_eq!(kind(&info(2, 0)), Kind::Memfd);
        assert_eq!(kind(&info(3, 0)), Kind::Eventfd { semaphore: false, nonblocking: false });
        assert_eq!(kind(&info(3, 1)), Kind::Eventfd { semaphore: true, nonblocking: false });
        assert_eq!(kind(&info(3, 0o4001)), Kind::Eventfd { semaphore: true, nonblocking: true });
        assert_eq!(kind(&info(9, 0)), Kind::Other(9));
    }

    #[test]
    fn a_state_that_does_not_exist_is_an_error() {
        let error = state("GET_STATE", 7).unwrap_err();
        assert_eq!((error.errno(), error.reason()), (Errno::PROTO, "7 is no state"));
    }
}
