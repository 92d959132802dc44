//! This project's module through its file system: an object is a file in one instance, mounted nowhere.

use liveupdate_client::{
    Control, Device, Name,
    kexecfs::{Huge, Instance},
};
use protocol::message::{Claim, Event, ObjectId, Token};
use rustix::fd::{BorrowedFd, OwnedFd};

use super::{
    Interface,
    device::{self, nothing_there, signal},
    files::Files,
};
use crate::{
    failure::{Outcome, Tell, refuse, refused},
    memory,
};

/// The instance's one name, in every generation.
const NAME: Name = match Name::new("lab") {
    Ok(name) => name,
    Err(_) => panic!("not a name"),
};

/// Where that is, for the reader of a failure.
pub(super) const PLACE: &str = "kexecfs instance lab";

/// The instance, once somebody has wanted something from it.
pub(super) struct Kexecfs {
    /// For events while nothing is mounted: what nobody retrieves must be given back too.
    device: Device,
    mounted: Option<Mounted>,
}

/// Its mount ends with this value, and the instance with its mount.
struct Mounted {
    control: Control,
    files: Files,
}

impl Mounted {
    fn new(instance: Instance) -> Outcome<Self> {
        let control = instance.control().tell(format!("open control of {PLACE}"))?;
        Ok(Self { control, files: Files::new(instance) })
    }
}

impl Kexecfs {
    pub(super) fn open() -> Outcome<Self> {
        Ok(Self { device: device::open()?, mounted: None })
    }

    /// For new objects: what the previous kernel left, or a new one.
    fn mounted(&mut self) -> Outcome<&mut Files> {
        let mounted = match self.mounted.take() {
            Some(mounted) => mounted,
            None => {
                // As large as the other interfaces' objects may be, and of the same pages.
                let size = memory::counters()?.total;
                let instance = Instance::builder().name(NAME).size(size).huge(Huge::Always).mode(0o700).mount();
                Mounted::new(instance.tell(format!("mount {PLACE}"))?)?
            }
        };
        Ok(&mut self.mounted.insert(mounted).files)
    }

    /// What the previous kernel left, if it left anything.
    fn retrieved(&mut self) -> Outcome<Option<&mut Files>> {
        if self.mounted.is_none() {
            match Instance::builder().name(NAME).retrieve().mount() {
                Ok(instance) => self.mounted = Some(Mounted::new(instance)?),
                Err(error) if nothing_there(&error, &self.device) => {}
                Err(error) => return Err(refused(format!("retrieve {PLACE}"), &error)),
            }
        }
        Ok(self.mounted.as_mut().map(|mounted| &mut mounted.files))
    }
}

impl Interface for Kexecfs {
    fn create(&mut self, id: ObjectId, bytes: u64) -> Outcome<OwnedFd> {
        self.mounted()?.create(id, bytes)
    }

    fn preserve(&mut self, id: ObjectId, _file: BorrowedFd<'_>) -> Outcome<Token> {
        match &mut self.mounted {
            Some(mounted) => mounted.files.preserve(id),
            None => Err(refuse(format!("preserve object {} in {PLACE}", id.0), "nothing is mounted")),
        }
    }

    fn signal(&mut self, event: Event) -> Outcome<()> {
        let Some(Mounted { control, files }) = &mut self.mounted else {
            return signal(&self.device, event, Device::PATH);
        };
        if event == Event::Prepare {
            files.leave_out()?;
        }
        signal(control, event, PLACE)?;
        match event {
            Event::Prepare | Event::Freeze => {}
            // CANCEL leaves every file where it is; who cancels here gives them up.
            Event::Cancel => files.give_up(),
            Event::Finish => files.give_back()?,
        }
        Ok(())
    }

    fn retrieve(&mut self, claim: Claim) -> Outcome<Option<OwnedFd>> {
        match self.retrieved()? {
            Some(files) => files.retrieve(claim),
            None => Ok(None),
        }
    }

    fn closed(&mut self, id: ObjectId) -> Outcome<()> {
        match &mut self.mounted {
            Some(mounted) => mounted.files.closed(id),
            None => Ok(()),
        }
    }
}
