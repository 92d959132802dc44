// SPDX-License-Identifier: GPL-2.0

//! What takes part in an update: files of several kinds, kexecfs instances, subsystems.
//!
//! A kind of file is a handler: it knows such a file when it sees one, prepares, freezes and
//! cancels it, and writes down what the next kernel needs to restore it. The other half, which
//! restores, is in [`crate::incoming`]; both agree on the compatible string.

pub(crate) mod eventfd;
pub(crate) mod instance;
pub(crate) mod memfd;
pub(crate) mod memory;
pub(crate) mod subsystem;

use crate::{
    orchestrator::{self, Label, Node},
    state::Refusal,
    sys,
    wire::{BodyWriter, WireError},
};
use kernel::{
    fs::{File, LocalFile},
    prelude::*,
    sync::aref::ARef,
};

/// Everything that can take part.
pub(crate) enum Participant {
    Memory(memory::Memory),
    Memfd(memfd::Memfd),
    Eventfd(eventfd::Eventfd),
    Instance(instance::Instance),
    Subsystem(subsystem::Subsystem),
}

/// An error of the kernel's, made from the core's too.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) Error);

impl From<Error> for Failure {
    fn from(err: Error) -> Self {
        Self(err)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self(errno_of(refusal))
    }
}

/// The number that user space sees.
pub(crate) fn errno_of(refusal: Refusal) -> Error {
    match refusal {
        Refusal::Busy => EBUSY,
        Refusal::Exists => EEXIST,
        Refusal::Invalid => EINVAL,
        Refusal::NotFound => ENOENT,
        Refusal::Loop => crate::errno::too_many_links(),
        Refusal::NoMemory => ENOMEM,
        Refusal::Denied => EACCES,
    }
}

impl orchestrator::Participant for Participant {
    type Error = Failure;

    fn prepare(&mut self) -> Result<(), Failure> {
        match self {
            Self::Memory(memory) => memory.prepare(),
            Self::Memfd(memfd) => memfd.prepare(),
            Self::Eventfd(_) => Ok(()),
            Self::Instance(instance) => instance.prepare(),
            Self::Subsystem(subsystem) => subsystem.prepare(),
        }?;
        Ok(())
    }

    fn freeze(&mut self) -> Result<(), Failure> {
        match self {
            Self::Memory(memory) => memory.fix(sys::LU_FIXED_CONTENT),
            // The kernel has nothing that would refuse a write to a memfd for a while.
            Self::Memfd(_) => {}
            // Read when it is described, after everybody is frozen.
            Self::Eventfd(_) => {}
            Self::Instance(instance) => instance.fix(sys::LU_FIXED_CONTENT),
            Self::Subsystem(subsystem) => subsystem.freeze()?,
        }
        Ok(())
    }

    fn unfreeze(&mut self) {
        match self {
            Self::Memory(memory) => memory.fix(sys::LU_FIXED_LAYOUT),
            Self::Instance(instance) => instance.fix(sys::LU_FIXED_LAYOUT),
            // A subsystem has one way back, cancel, which follows.
            Self::Memfd(_) | Self::Eventfd(_) | Self::Subsystem(_) => {}
        }
    }

    fn cancel(&mut self) {
        match self {
            Self::Memory(memory) => memory.cancel(),
            Self::Memfd(memfd) => memfd.cancel(),
            Self::Eventfd(_) => {}
            Self::Instance(instance) => instance.cancel(),
            Self::Subsystem(subsystem) => subsystem.cancel(),
        }
    }
}

impl Participant {
    /// Whether its words in the description change with FREEZE. Their length does not.
    pub(crate) fn changes_at_freeze(&self) -> bool {
        matches!(self, Self::Eventfd(_) | Self::Subsystem(_))
    }

    /// Writes down what the next kernel needs. `session` is its session's number there.
    pub(crate) fn describe(
        node: &Node<Self>,
        session: u64,
        writer: &mut BodyWriter<'_>,
    ) -> Result<(), WireError> {
        let token = match node.label {
            Label::File(token) => token,
            _ => 0,
        };
        match node.participant() {
            Some(Self::Memory(memory)) => memory.describe(token, session, writer),
            Some(Self::Memfd(memfd)) => memfd.describe(token, session, writer),
            Some(Self::Eventfd(eventfd)) => eventfd.describe(token, session, writer),
            Some(Self::Instance(instance)) => instance.describe(session, writer),
            Some(Self::Subsystem(subsystem)) => subsystem.describe(writer),
            None => Ok(()),
        }
    }
}

/// The participant that one of this process's files is, and what tells it apart from others.
/// EBADF; the inner errors are those of a file that cannot be preserved, and why.
pub(crate) fn from_fd(fd: i32, flags: u32) -> Result<Result<(u64, Participant), Unfit>> {
    let fd = u32::try_from(fd).map_err(|_| EBADF)?;
    let file = LocalFile::fget(fd)?;
    // SAFETY: This thread is in a system call that does not hold a file's position.
    let file = unsafe { LocalFile::assume_no_fdget_pos(file) };
    if let Some(found) = memory::Memory::of(&file) {
        return Ok(found.map(|memory| (memory.identity(), Participant::Memory(memory))));
    }
    if memfd::Memfd::is(&file) {
        if flags & sys::LIVEUPDATE_LAB_PRESERVE_MEMFD == 0 {
            return Ok(Err(Unfit::MemfdUnasked));
        }
        let memfd = memfd::Memfd::new(file);
        return Ok(Ok((memfd.identity(), Participant::Memfd(memfd))));
    }
    if eventfd::Eventfd::is(&file) {
        let eventfd = eventfd::Eventfd::new(file);
        return Ok(Ok((eventfd.identity(), Participant::Eventfd(eventfd))));
    }
    Ok(Err(Unfit::NoHandler))
}

/// Why a file cannot be preserved.
pub(crate) enum Unfit {
    /// Nothing knows such files.
    NoHandler,
    /// It is in an instance, which preserves it.
    InInstance,
    /// A memfd whose differences the caller did not accept.
    MemfdUnasked,
}

impl Unfit {
    pub(crate) fn errno(&self) -> Error {
        match self {
            Self::NoHandler => ENOENT,
            Self::InInstance => EEXIST,
            Self::MemfdUnasked => crate::errno::not_supported(),
        }
    }

    pub(crate) fn words(&self) -> &'static str {
        match self {
            Self::NoHandler => "no handler for such a file",
            Self::InInstance => "a file of a kexecfs instance, which preserves it itself",
            Self::MemfdUnasked => {
                "a memfd comes back a little different: say that you know, with PRESERVE_MEMFD"
            }
        }
    }
}

/// The address of an open file: what tells it apart while it is registered, and so open.
fn address(file: &ARef<File>) -> u64 {
    file.as_ptr().addr() as u64
}
