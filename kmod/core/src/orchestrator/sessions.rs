// SPDX-License-Identifier: GPL-2.0

//! Sessions: who registered what, and who may have it back.

use super::{Label, Orchestrator, Participant};
use crate::{
    graph::Id,
    name::{Name, Reason},
    state::{decide, Event, Refusal, Verdict},
    store::{List, Map, Store},
};

/// An open session, by number.
pub type SessionId = u64;

/// The way by which a session is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum Face {
    /// A session file of the ioctl device.
    Session = 2,
    /// A kexecfs instance.
    Instance = 3,
}

impl Face {
    /// By its number in the wire format.
    pub fn from_number(number: u32) -> Option<Self> {
        match number {
            2 => Some(Face::Session),
            3 => Some(Face::Instance),
            _ => None,
        }
    }
}

/// What a session is found by. Names are their owner's: two owners may use one name, and
/// neither can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The way of use.
    pub face: Face,
    /// The user, in the initial namespace; for session files always root.
    pub owner: u32,
    /// The name.
    pub name: Name,
}

/// What of the previous kernel's a session may restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Domain {
    /// What open devices had registered, as they have no name to be told apart by.
    Device,
    /// What the session of this number in the description had registered.
    Named(u64),
}

/// A session of the previous kernel.
pub(super) struct Inherited {
    id: u64,
    held_by: Option<SessionId>,
}

/// An open session.
pub struct Session<S: Store> {
    /// What it is found by; none for an open device.
    pub key: Option<Key>,
    /// What it may restore.
    pub domain: Option<Domain>,
    pub(super) members: S::Map<Id, ()>,
    pub(super) instance: Option<Id>,
    /// Whether somebody holds it: if not, it lasts until the update is cancelled.
    open: bool,
    /// Why its last call was refused.
    pub reason: Reason,
}

impl<S: Store> Session<S> {
    fn is_instance(&self) -> bool {
        self.key.is_some_and(|key| key.face == Face::Instance)
    }
}

impl<S: Store, P: Participant> Orchestrator<S, P> {
    /// The previous kernel had this session.
    pub fn inherit(&mut self, key: Key, id: u64) -> Result<(), Refusal> {
        if self.inherited.get(&key).is_some() {
            return Err(Refusal::Exists);
        }
        let new = Inherited { id, held_by: None };
        Ok(self.inherited.insert(key, new)?)
    }

    /// Nothing of the previous kernel's is left. An instance that was about to be restored finds
    /// its session closed, rather than itself empty.
    pub(super) fn disinherit(&mut self) {
        self.inherited = Map::new();
        for (_, session) in self.sessions.iter_mut() {
            let named = matches!(session.domain.take(), Some(Domain::Named(_)));
            if named && session.is_instance() && session.instance.is_none() {
                session.open = false;
            }
        }
    }

    /// An open device: a session without a name.
    pub fn open(&mut self) -> Result<SessionId, Refusal> {
        self.add_session(None, Some(Domain::Device))
    }

    fn add_session(
        &mut self,
        key: Option<Key>,
        domain: Option<Domain>,
    ) -> Result<SessionId, Refusal> {
        let id = self.next_id();
        let session = Session {
            key,
            domain,
            members: Map::new(),
            instance: None,
            open: true,
            reason: Reason::new(),
        };
        self.sessions.insert(id, session)?;
        if let Some(key) = key {
            if let Err(err) = self.keys.insert(key, id) {
                self.sessions.remove(&id);
                return Err(err.into());
            }
        }
        Ok(id)
    }

    /// A new session under a name that nobody uses and none was handed over under.
    pub fn create(&mut self, key: Key) -> Result<SessionId, Refusal> {
        self.verdict(Event::Register)?;
        if self.keys.get(&key).is_some() {
            self.reason.set(format_args!("{} is in use", key.name));
            return Err(Refusal::Exists);
        }
        if self.inherited.get(&key).is_some() {
            self.reason
                .set(format_args!("{} waits to be retrieved", key.name));
            return Err(Refusal::Exists);
        }
        self.add_session(Some(key), None)
    }

    /// Whether an open session has this key.
    pub fn is_in_use(&self, key: Key) -> bool {
        self.keys.get(&key).is_some()
    }

    /// The number of the previous kernel's session under this key.
    pub fn inherited(&self, key: Key) -> Option<u64> {
        self.inherited.get(&key).map(|found| found.id)
    }

    /// The session of the previous kernel's under this key, for one holder at a time.
    pub fn retrieve(&mut self, key: Key) -> Result<SessionId, Refusal> {
        self.verdict(Event::Restore)?;
        let Some(found) = self.inherited.get(&key) else {
            self.reason
                .set(format_args!("{} was not handed over", key.name));
            return Err(Refusal::NotFound);
        };
        if found.held_by.is_some() || self.keys.get(&key).is_some() {
            self.reason.set(format_args!("{} is held", key.name));
            return Err(Refusal::Busy);
        }
        let id = self.add_session(Some(key), Some(Domain::Named(found.id)))?;
        if let Some(found) = self.inherited.get_mut(&key) {
            found.held_by = Some(id);
        }
        Ok(id)
    }

    /// An open session.
    pub fn session(&self, id: SessionId) -> Option<&Session<S>> {
        self.sessions.get(&id)
    }

    /// An open session, to be changed.
    pub fn session_mut(&mut self, id: SessionId) -> Option<&mut Session<S>> {
        self.sessions.get_mut(&id)
    }

    /// All sessions that are open, or carried over though closed.
    pub fn sessions(&self) -> impl Iterator<Item = (SessionId, &Session<S>)> + '_ {
        self.sessions.iter().map(|(id, session)| (*id, session))
    }

    /// The instance that a session is.
    pub fn instance_of(&self, session: &Session<S>) -> Option<&P> {
        self.node(session.instance?)?.participant()
    }

    /// Registers the instance that a session is, as one participant.
    pub fn register_instance(
        &mut self,
        session: SessionId,
        name: Name,
        identity: u64,
        participant: P,
    ) -> Result<Id, Refusal> {
        if !self.sessions.get(&session).is_some_and(|found| found.open) {
            return Err(Refusal::NotFound);
        }
        let id = self.register(session, Label::Instance(name), identity, participant)?;
        if let Some(session) = self.sessions.get_mut(&session) {
            session.instance = Some(id);
        }
        Ok(id)
    }

    /// A session's holder is gone. What it registered goes too, one at a time through `gone`,
    /// unless an update is under way: then it is carried over, for nobody could tell the other
    /// services' whole update from a half one.
    pub fn close(&mut self, id: SessionId, gone: impl FnMut(P)) {
        if decide(self.state(), Event::Close) == Verdict::Forget {
            self.end_session(id, gone);
        } else if let Some(session) = self.sessions.get_mut(&id) {
            session.open = false;
        }
    }

    /// Ends a session whatever the state: its memory is going away.
    pub fn end_session(&mut self, id: SessionId, mut gone: impl FnMut(P)) {
        while let Some(member) = self.first_member(id) {
            match self.forget(member) {
                Some(participant) => gone(participant),
                None => break,
            }
        }
        if let Some(Session { key: Some(key), .. }) = self.sessions.remove(&id) {
            self.keys.remove(&key);
            if let Some(inherited) = self.inherited.get_mut(&key) {
                inherited.held_by = None;
            }
        }
    }

    fn first_member(&self, id: SessionId) -> Option<Id> {
        let (member, ()) = self.sessions.get(&id)?.members.first()?;
        Some(*member)
    }

    /// Ends the sessions that lost their holder during an update that did not take place.
    pub(super) fn end_closed(&mut self, mut gone: impl FnMut(P)) -> Result<(), Refusal> {
        let mut closed = <S::List<SessionId> as List<SessionId>>::new();
        for (id, session) in self.sessions.iter() {
            if !session.open {
                closed.push(*id)?;
            }
        }
        for id in closed.as_slice() {
            self.end_session(*id, &mut gone);
        }
        Ok(())
    }
}
