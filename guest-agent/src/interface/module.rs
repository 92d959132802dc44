//! This project's module through its device.

use liveupdate_client::{Device, PageSize, Preserve as _, PreserveFlags, Token as ClientToken};
use protocol::message::{Claim, Event, ObjectId, Token};
use rustix::fd::{BorrowedFd, OwnedFd};

use super::{
    Interface,
    device::{self, nothing_there, signal},
};
use crate::failure::{Outcome, Tell, refused};

/// The open device: what it has registered is given up with it.
pub(super) struct Module {
    device: Device,
    registered: Vec<ClientToken>,
}

impl Module {
    pub(super) fn open() -> Outcome<Self> {
        Ok(Self { device: device::open()?, registered: Vec::new() })
    }
}

impl Interface for Module {
    fn create(&mut self, _id: ObjectId, bytes: u64) -> Outcome<OwnedFd> {
        let made = self.device.create_memory(bytes, PageSize::Any);
        made.tell(format!("ioctl MEM_CREATE of {bytes} bytes on {}", Device::PATH))
    }

    fn preserve(&mut self, id: ObjectId, file: BorrowedFd<'_>) -> Outcome<Token> {
        let preserved = self.device.preserve(file, PreserveFlags::NONE);
        let token = preserved.tell(format!("ioctl FD_PRESERVE of object {} on {}", id.0, Device::PATH))?;
        self.registered.push(token);
        Ok(Token(token.get()))
    }

    fn signal(&mut self, event: Event) -> Outcome<()> {
        signal(&self.device, event, Device::PATH)?;
        if event == Event::Cancel {
            // CANCEL leaves files registered for the next PREPARE; who cancels here gives them up.
            for token in std::mem::take(&mut self.registered) {
                self.device.unpreserve(token).tell(format!("ioctl FD_UNPRESERVE on {}", Device::PATH))?;
            }
        }
        Ok(())
    }

    fn retrieve(&mut self, claim: Claim) -> Outcome<Option<OwnedFd>> {
        // Zero is no token: what was never preserved may be claimed with it.
        let Some(token) = ClientToken::new(claim.token.0) else { return Ok(None) };
        match self.device.restore(token) {
            Ok(file) => Ok(Some(file)),
            Err(error) if nothing_there(&error, &self.device) => Ok(None),
            Err(error) => {
                Err(refused(format!("ioctl FD_RESTORE of object {} on {}", claim.id.0, Device::PATH), &error))
            }
        }
    }
}
