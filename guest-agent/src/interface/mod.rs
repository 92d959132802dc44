//! The kernel interfaces that preserve memory.

mod device;
mod files;
mod kexecfs;
mod luo;
mod module;

pub(crate) use device::{load as load_module, load_file};
use protocol::message::{self, Claim, Event, ObjectId, Token};
use rustix::fd::{BorrowedFd, OwnedFd};

use crate::failure::{Outcome, refuse};

/// What an interface does for the holder. Sessions live as long as the value.
pub(crate) trait Interface {
    /// Makes a zeroed memory file of `bytes` bytes for the object.
    fn create(&mut self, id: ObjectId, bytes: u64) -> Outcome<OwnedFd>;
    /// Registers a memory file to be preserved.
    fn preserve(&mut self, id: ObjectId, file: BorrowedFd<'_>) -> Outcome<Token>;
    /// Moves the state machine.
    fn signal(&mut self, event: Event) -> Outcome<()>;
    /// Opens what the previous kernel preserved; `None` if the kernel says that there is no such thing.
    fn retrieve(&mut self, claim: Claim) -> Outcome<Option<OwnedFd>>;
    /// The holder has closed the object's file: if it is not preserved, its memory shall be free.
    fn closed(&mut self, id: ObjectId) -> Outcome<()> {
        // A file without a name is gone with its last descriptor.
        let _ = id;
        Ok(())
    }
}

/// Opens an interface.
pub(crate) fn open(interface: message::Interface) -> Outcome<Box<dyn Interface>> {
    Ok(match interface {
        message::Interface::Luo => Box::new(luo::Luo::open()?),
        message::Interface::Module => Box::new(module::Module::open()?),
        message::Interface::Kexecfs => Box::new(kexecfs::Kexecfs::open()?),
        message::Interface::Kho => return Err(refuse("open plain Kexec HandOver", "it preserves no files")),
    })
}
