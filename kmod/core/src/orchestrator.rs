// SPDX-License-Identifier: GPL-2.0

//! The orchestrator: sessions, what they registered, and the way through an update.
//!
//! It decides and keeps the books. What takes part does its work through [`Participant`], and
//! whoever calls an event hands the description's writing over as a function.

#[path = "orchestrator/sessions.rs"]
mod sessions;
#[path = "orchestrator/update.rs"]
mod update;

use crate::{
    graph::{Graph, Id, Refused},
    name::{Name, Reason},
    state::{decide, Event, Refusal, State, Verdict},
    store::{List, Map, NoMemory, Store},
};
use core::fmt;

pub use sessions::{Domain, Face, Key, Session, SessionId};

/// What takes part in an update.
pub trait Participant {
    /// What can go wrong in it.
    type Error: From<Refusal> + fmt::Debug;

    /// Preserves it; all or nothing.
    fn prepare(&mut self) -> Result<(), Self::Error>;
    /// The last change before the kexec.
    fn freeze(&mut self) -> Result<(), Self::Error>;
    /// Undoes `freeze`.
    fn unfreeze(&mut self);
    /// Undoes `prepare`.
    fn cancel(&mut self);
}

/// What a participant is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// A file, by its token.
    File(u64),
    /// A kexecfs instance.
    Instance(Name),
    /// A subsystem.
    Subsystem(Name),
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Label::File(token) => write!(f, "file {token:#018x}"),
            Label::Instance(name) => write!(f, "instance {name}"),
            Label::Subsystem(name) => write!(f, "subsystem {name}"),
        }
    }
}

/// A place in the graph: a participant, or the gap that one left which others still need.
pub struct Node<P> {
    /// What it is called.
    pub label: Label,
    /// The session that it belongs to, if to any.
    pub session: Option<SessionId>,
    /// What tells it apart from all others: two registrations of one thing are refused.
    identity: u64,
    participant: Option<P>,
}

impl<P> Node<P> {
    /// The participant, unless it is gone.
    pub fn participant(&self) -> Option<&P> {
        self.participant.as_ref()
    }
}

/// The machine-wide orchestrator.
pub struct Orchestrator<S: Store, P: Participant> {
    state: State,
    nodes: S::Map<Id, Node<P>>,
    graph: Graph<S>,
    tokens: S::Map<u64, Id>,
    identities: S::Map<u64, Id>,
    subsystems: S::Map<Name, Id>,
    sessions: S::Map<SessionId, Session<S>>,
    keys: S::Map<Key, SessionId>,
    /// What the previous kernel handed over under a name, and who holds it now.
    inherited: S::Map<Key, sessions::Inherited>,
    last_id: u64,
    participants: u64,
    /// PREPARE's order, which the rest of the update follows.
    plan: S::List<Id>,
    reason: Reason,
}

impl<S: Store, P: Participant> Orchestrator<S, P> {
    /// In NORMAL, with nothing.
    pub fn new() -> Self {
        Self {
            state: State::Normal,
            nodes: Map::new(),
            graph: Graph::new(),
            tokens: Map::new(),
            identities: Map::new(),
            subsystems: Map::new(),
            sessions: Map::new(),
            keys: Map::new(),
            inherited: Map::new(),
            last_id: 0,
            participants: 0,
            plan: List::new(),
            reason: Reason::new(),
        }
    }

    /// The state.
    pub fn state(&self) -> State {
        self.state
    }

    /// How many participants are registered.
    pub fn participants(&self) -> u64 {
        self.participants
    }

    /// Why the last call was refused, in words.
    pub fn reason(&mut self) -> &mut Reason {
        &mut self.reason
    }

    /// The state after this event, or its refusal.
    pub fn verdict(&mut self, event: Event) -> Result<State, Refusal> {
        match decide(self.state, event) {
            Verdict::Move(next) => Ok(next),
            Verdict::Stay | Verdict::Forget => Ok(self.state),
            Verdict::Refuse(refusal) => {
                let state = self.state.name();
                self.reason.set(format_args!("not in state {state}"));
                Err(refusal)
            }
        }
    }

    fn next_id(&mut self) -> u64 {
        self.last_id = self.last_id.saturating_add(1);
        self.last_id
    }

    /// Whether somebody registered this token.
    pub fn knows_token(&self, token: u64) -> bool {
        self.tokens.get(&token).is_some()
    }

    /// Registers a file under a token that nobody has, or a whole instance, in a session.
    pub fn register(
        &mut self,
        session: SessionId,
        label: Label,
        identity: u64,
        participant: P,
    ) -> Result<Id, Refusal> {
        self.verdict(Event::Register)?;
        self.sessions.get(&session).ok_or(Refusal::NotFound)?;
        if self.identities.get(&identity).is_some() {
            self.reason.set(format_args!("{label}: registered already"));
            return Err(Refusal::Exists);
        }
        let id = self.next_id();
        self.graph.add(id)?;
        let added = self.enter(id, session, label, identity);
        let added = added.and_then(|()| {
            let node = Node {
                label,
                session: Some(session),
                identity,
                participant: Some(participant),
            };
            self.nodes.insert(id, node)
        });
        if let Err(err) = added {
            self.leave(id, Some(session), label, identity);
            self.graph.remove(id);
            return Err(err.into());
        }
        self.participants = self.participants.saturating_add(1);
        Ok(id)
    }

    /// Into the indexes.
    fn enter(
        &mut self,
        id: Id,
        session: SessionId,
        label: Label,
        identity: u64,
    ) -> Result<(), NoMemory> {
        self.identities.insert(identity, id)?;
        if let Label::File(token) = label {
            self.tokens.insert(token, id)?;
        }
        match self.sessions.get_mut(&session) {
            Some(session) => session.members.insert(id, ()),
            None => Ok(()),
        }
    }

    /// Out of the indexes, as far as it is in them.
    fn leave(&mut self, id: Id, session: Option<SessionId>, label: Label, identity: u64) {
        self.identities.remove(&identity);
        if let Label::File(token) = label {
            self.tokens.remove(&token);
        }
        if let Some(session) = session.and_then(|session| self.sessions.get_mut(&session)) {
            session.members.remove(&id);
        }
    }

    /// Ends a registration. Who needs it keeps the need, and the next PREPARE names it.
    fn forget(&mut self, id: Id) -> Option<P> {
        let node = self.nodes.get_mut(&id)?;
        let participant = node.participant.take()?;
        let (session, label, identity) = (node.session.take(), node.label, node.identity);
        self.leave(id, session, label, identity);
        self.participants = self.participants.saturating_sub(1);
        while let Some(need) = self.graph.drop_need(id) {
            self.reap(need);
        }
        self.reap(id);
        Some(participant)
    }

    /// Removes the gap that a participant left when nobody needs it any more.
    fn reap(&mut self, id: Id) {
        let gone = self.nodes.get(&id).map(|node| node.participant.is_none());
        if gone != Some(true) || self.graph.is_needed(id) {
            return;
        }
        if let Some(node) = self.nodes.remove(&id) {
            if let Label::Subsystem(name) = node.label {
                self.subsystems.remove(&name);
            }
        }
        self.graph.remove(id);
    }

    /// FD_UNPRESERVE: a file of this session.
    pub fn unregister(&mut self, session: SessionId, token: u64) -> Result<Option<P>, Refusal> {
        self.verdict(Event::Unregister)?;
        let id = self.own(session, token)?;
        Ok(self.forget(id))
    }

    /// The node of a session's token: another session's is as good as none.
    fn own(&mut self, session: SessionId, token: u64) -> Result<Id, Refusal> {
        let id = self.tokens.get(&token).copied().filter(|id| {
            let node = self.nodes.get(id);
            node.is_some_and(|node| node.session == Some(session))
        });
        id.ok_or_else(|| {
            self.reason
                .set(format_args!("this session has no file {token:#018x}"));
            Refusal::NotFound
        })
    }

    /// A subsystem's place, which others may have asked for before it came.
    fn subsystem_place(&mut self, name: Name) -> Result<Id, Refusal> {
        if let Some(id) = self.subsystems.get(&name) {
            return Ok(*id);
        }
        let id = self.next_id();
        self.graph.add(id)?;
        let node = Node {
            label: Label::Subsystem(name),
            session: None,
            identity: 0,
            participant: None,
        };
        let added = self.nodes.insert(id, node);
        if let Err(err) = added.and_then(|()| self.subsystems.insert(name, id)) {
            self.nodes.remove(&id);
            self.graph.remove(id);
            return Err(err.into());
        }
        Ok(id)
    }

    /// Registers a subsystem with the names of those that it needs.
    pub fn register_subsystem(
        &mut self,
        name: Name,
        needs: impl Iterator<Item = Name>,
        participant: P,
    ) -> Result<Id, Refusal> {
        self.verdict(Event::Register)?;
        let id = self.subsystem_place(name)?;
        let node = self.nodes.get_mut(&id).ok_or(Refusal::NotFound)?;
        if node.participant.is_some() {
            self.reason
                .set(format_args!("subsystem {name}: registered already"));
            return Err(Refusal::Exists);
        }
        node.participant = Some(participant);
        self.participants = self.participants.saturating_add(1);
        for need in needs {
            let done = self
                .subsystem_place(need)
                .and_then(|on| self.need(id, on).inspect_err(|_| self.reap(on)));
            if let Err(err) = done {
                self.forget(id);
                return Err(err);
            }
        }
        Ok(id)
    }

    /// Ends a subsystem's registration.
    pub fn unregister_subsystem(&mut self, name: Name) -> Result<Option<P>, Refusal> {
        self.verdict(Event::Unregister)?;
        let id = self.subsystems.get(&name).copied();
        let gone = id.and_then(|id| self.forget(id));
        gone.map(Some).ok_or_else(|| {
            self.reason.set(format_args!("no subsystem {name}"));
            Refusal::NotFound
        })
    }

    /// The registered participant of this subsystem.
    pub fn subsystem(&self, name: Name) -> Option<&P> {
        let id = self.subsystems.get(&name)?;
        self.nodes.get(id)?.participant()
    }

    /// All registered subsystems, in the order of their names.
    pub fn subsystems(&self) -> impl Iterator<Item = (Name, &P)> + '_ {
        self.subsystems
            .iter()
            .filter_map(|(name, id)| Some((*name, self.nodes.get(id)?.participant()?)))
    }

    /// DEPEND on a file: a token, or none for the session's instance, needs another token.
    pub fn depend(
        &mut self,
        session: SessionId,
        token: Option<u64>,
        on: u64,
    ) -> Result<(), Refusal> {
        self.verdict(Event::Register)?;
        let id = self.dependent(session, token)?;
        let on = self.own(session, on)?;
        self.need(id, on)
    }

    /// DEPEND on a subsystem, which may come later.
    pub fn depend_on_subsystem(
        &mut self,
        session: SessionId,
        token: Option<u64>,
        on: Name,
    ) -> Result<(), Refusal> {
        self.verdict(Event::Register)?;
        let id = self.dependent(session, token)?;
        let on = self.subsystem_place(on)?;
        self.need(id, on).inspect_err(|_| self.reap(on))
    }

    fn dependent(&mut self, session: SessionId, token: Option<u64>) -> Result<Id, Refusal> {
        match token {
            Some(token) => self.own(session, token),
            None => {
                let instance = self.sessions.get(&session).and_then(|found| found.instance);
                instance.ok_or_else(|| {
                    self.reason
                        .set(format_args!("this session is not a kexecfs instance"));
                    Refusal::Invalid
                })
            }
        }
    }

    fn need(&mut self, id: Id, on: Id) -> Result<(), Refusal> {
        match self.graph.need(id, on) {
            Ok(()) => Ok(()),
            Err(Refused::Unknown) => Err(Refusal::NotFound),
            Err(Refused::NoMemory) => Err(Refusal::NoMemory),
            Err(Refused::Cycle(path)) => {
                let nodes = &self.nodes;
                let circle = Circle {
                    ids: path.as_slice(),
                    label: |id| nodes.get(&id).map(|node| node.label),
                };
                self.reason.set(format_args!("a circle: {circle}"));
                Err(Refusal::Loop)
            }
        }
    }

    /// All registered participants, in the order in which they are prepared.
    pub fn in_order(&self) -> impl Iterator<Item = (Id, &Node<P>)> + '_ {
        self.graph.order().filter_map(|id| {
            let node = self.nodes.get(&id)?;
            node.participant.as_ref()?;
            Some((id, node))
        })
    }

    /// A place in the graph.
    pub fn node(&self, id: Id) -> Option<&Node<P>> {
        self.nodes.get(&id)
    }

    /// What this one needs.
    pub fn needs(&self, id: Id) -> impl Iterator<Item = Label> + '_ {
        self.graph
            .needs(id)
            .filter_map(|need| Some(self.nodes.get(&need)?.label))
    }

    /// A participant, to be changed.
    pub fn participant_mut(&mut self, id: Id) -> Option<&mut P> {
        self.nodes.get_mut(&id)?.participant.as_mut()
    }
}

impl<S: Store, P: Participant> Default for Orchestrator<S, P> {
    fn default() -> Self {
        Self::new()
    }
}

/// A circle in words: `a -> b -> a`.
struct Circle<'a, F> {
    ids: &'a [Id],
    label: F,
}

impl<F: Fn(Id) -> Option<Label>> fmt::Display for Circle<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let labels = || self.ids.iter().filter_map(|id| (self.label)(*id));
        for label in labels() {
            write!(f, "{label} -> ")?;
        }
        labels().take(1).try_for_each(|label| write!(f, "{label}"))
    }
}

#[cfg(test)]
#[path = "orchestrator/tests.rs"]
mod tests;
