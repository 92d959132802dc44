//! What there is, and whose it is: the tables that the oracle keeps.

use std::collections::{BTreeMap, BTreeSet};

use super::operation::{FILES, INSTANCES, SESSIONS, TOKENS};

/// A number that nothing else has ever had.
pub(super) type Id = u32;

/// How a session is known to the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// An open device.
    Nameless,
    /// A session file, by its name's number.
    Named(u8),
    /// An instance.
    Instance(Id),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Memory,
    Memfd,
    Eventfd,
    Pipe,
    /// A file of an instance.
    Data(Id),
}

/// A file, whoever has it open.
#[derive(Clone, Debug)]
pub(super) struct Object {
    pub(super) kind: Kind,
    /// Each page all of one byte; `None` is a hole.
    pub(super) pages: Vec<Option<u8>>,
    /// Of an eventfd.
    pub(super) count: u64,
}

/// A place in the program's table of files.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpenFile {
    pub(super) object: Id,
    /// What its duplicates share.
    pub(super) open: Id,
}

/// What somebody needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Need {
    Registration(Id),
    Subsystem(u8),
}

#[derive(Clone, Debug)]
pub(super) struct Registration {
    pub(super) session: Id,
    pub(super) object: Id,
    /// What tells it apart: no two registrations have the same.
    pub(super) identity: Id,
    pub(super) needs: BTreeSet<Need>,
}

#[derive(Clone, Debug)]
pub(super) struct Instance {
    pub(super) name: u8,
    pub(super) session: Id,
    pub(super) files: BTreeMap<u8, Id>,
    pub(super) needs: BTreeSet<Need>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Books {
    last: Id,
    pub(super) sessions: BTreeMap<Id, Known>,
    pub(super) instances: BTreeMap<Id, Instance>,
    pub(super) objects: BTreeMap<Id, Object>,
    pub(super) registrations: BTreeMap<Id, Registration>,
    pub(super) session_at: [Option<Id>; SESSIONS],
    pub(super) file_at: [Option<OpenFile>; FILES],
    pub(super) token_at: [Option<Id>; TOKENS],
    pub(super) mount_at: [Option<Id>; INSTANCES],
}

impl Books {
    pub(super) fn number(&mut self) -> Id {
        self.last += 1;
        self.last
    }

    pub(super) fn session(&self, slot: u8) -> Option<(Id, Known)> {
        let id = self.session_at[usize::from(slot)]?;
        Some((id, *self.sessions.get(&id)?))
    }

    pub(super) fn file(&self, slot: u8) -> Option<OpenFile> {
        self.file_at[usize::from(slot)]
    }

    pub(super) fn mount(&self, slot: u8) -> Option<Id> {
        self.mount_at[usize::from(slot)]
    }

    pub(super) fn token(&self, slot: u8) -> Option<Id> {
        self.token_at[usize::from(slot)]
    }

    /// A new object in this place.
    pub(super) fn put(&mut self, slot: u8, kind: Kind, pages: Vec<Option<u8>>) -> Id {
        let object = self.number();
        self.objects.insert(object, Object { kind, pages, count: 0 });
        self.reopen(slot, object);
        object
    }

    /// One more opening of an object.
    pub(super) fn reopen(&mut self, slot: u8, object: Id) {
        let open = self.number();
        self.file_at[usize::from(slot)] = Some(OpenFile { object, open });
    }

    /// The node of a session's own token.
    pub(super) fn own(&self, session: Id, token: u8) -> Option<Id> {
        let id = self.token(token)?;
        (self.registrations.get(&id)?.session == session).then_some(id)
    }

    fn needs(&self, id: Id) -> impl Iterator<Item = Id> + '_ {
        let needs = self.registrations.get(&id).into_iter().flat_map(|registration| registration.needs.iter());
        needs.filter_map(|need| match need {
            Need::Registration(id) => Some(*id),
            Need::Subsystem(_) => None,
        })
    }

    /// Whether `from` needs `to`, over however many.
    pub(super) fn reaches(&self, from: Id, to: Id) -> bool {
        let (mut seen, mut rest) = (BTreeSet::new(), vec![from]);
        while let Some(id) = rest.pop() {
            if id == to {
                return true;
            }
            if seen.insert(id) {
                rest.extend(self.needs(id));
            }
        }
        false
    }

    /// Whether somebody registered needs what is not.
    pub(super) fn something_is_missing(&self) -> bool {
        let needs = self.registrations.values().flat_map(|registration| &registration.needs);
        let mut needs = needs.chain(self.instances.values().flat_map(|instance| &instance.needs));
        needs.any(|need| match need {
            Need::Registration(id) => !self.registrations.contains_key(id),
            Need::Subsystem(_) => true,
        })
    }

    /// Whether the layout of this object is fixed once an update is prepared.
    pub(super) fn takes_part(&self, object: Id) -> bool {
        self.registrations.values().any(|registration| registration.object == object)
            || self.instances.values().any(|instance| instance.files.values().any(|file| *file == object))
    }

    /// Whether a mount, a `control` or a file keeps the instance.
    fn is_kept(&self, instance: Id) -> bool {
        let session = self.instances.get(&instance).map(|found| found.session);
        let in_it =
            |file: &OpenFile| self.objects.get(&file.object).is_some_and(|object| object.kind == Kind::Data(instance));
        self.mount_at.contains(&Some(instance))
            || self.session_at.iter().any(|at| at.is_some() && *at == session)
            || self.file_at.iter().flatten().any(in_it)
    }

    /// Ends what nobody holds any more, outside of an update.
    pub(super) fn settle(&mut self) {
        let gone: Vec<Id> = self.instances.keys().copied().filter(|id| !self.is_kept(*id)).collect();
        for id in gone {
            if let Some(instance) = self.instances.remove(&id) {
                self.sessions.remove(&instance.session);
            }
        }
        let held = self.session_at;
        self.sessions.retain(|id, known| matches!(known, Known::Instance(_)) || held.contains(&Some(*id)));
        let sessions = &self.sessions;
        self.registrations.retain(|_, registration| sessions.contains_key(&registration.session));
    }
}
