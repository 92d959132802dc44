//! The in-tree Live Update Orchestrator.

use protocol::message::{Claim, Event, ObjectId, Token};
use rustix::{
    fd::{BorrowedFd, OwnedFd},
    fs::{MemfdFlags, ftruncate, memfd_create},
    io::Errno,
};

use super::Interface;
use crate::{
    failure::{Outcome, Tell, refuse, system},
    luo::{DEVICE, Session, open_device},
};

const SESSION: &str = "lab";

/// What became of the previous generation's session.
enum Incoming {
    /// Nobody has asked.
    Unasked,
    /// The kernel has none, or it is finished.
    None,
    /// Open.
    Open(Session),
}

/// Sessions named [`SESSION`], one in each direction: the kernel keeps their names apart.
pub(super) struct Luo {
    incoming: Incoming,
    outgoing: Option<Session>,
}

impl Luo {
    pub(super) fn open() -> Outcome<Self> {
        // Only whether it can be opened: the kernel lets in one process at a time.
        open_device().tell(format!("open {DEVICE}"))?;
        Ok(Self { incoming: Incoming::Unasked, outgoing: None })
    }

    fn outgoing(&mut self) -> Outcome<&Session> {
        let session = match self.outgoing.take() {
            Some(session) => session,
            None => Session::create(SESSION).tell(format!("ioctl CREATE_SESSION on {DEVICE}"))?,
        };
        Ok(self.outgoing.insert(session))
    }

    fn incoming(&mut self) -> Outcome<Option<&Session>> {
        if matches!(self.incoming, Incoming::Unasked) {
            self.incoming = match Session::retrieve(SESSION) {
                Ok(session) => Incoming::Open(session),
                Err(Errno::NOENT) => Incoming::None,
                Err(errno) => return Err(system(format!("ioctl RETRIEVE_SESSION on {DEVICE}"), errno)),
            };
        }
        Ok(match &self.incoming {
            Incoming::Open(session) => Some(session),
            Incoming::Unasked | Incoming::None => None,
        })
    }

    fn finish(&mut self) -> Outcome<()> {
        let operation = "ioctl FINISH on the incoming session";
        let Some(session) = self.incoming()? else {
            return Err(refuse(operation, "nothing was handed over, or it is finished"));
        };
        session.finish().tell(operation)?;
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
        let token = id.0.into();
        self.outgoing()?
            .preserve(file, token)
            .tell(format!("ioctl PRESERVE_FD of object {} on the outgoing session", id.0))?;
        Ok(Token(token))
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
        match session.retrieve_fd(claim.token.0) {
            Ok(file) => Ok(Some(file)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => {
                Err(system(format!("ioctl RETRIEVE_FD of object {} on the incoming session", claim.id.0), errno))
            }
        }
    }
}
