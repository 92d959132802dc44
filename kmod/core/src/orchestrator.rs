// SPDX-License-Identifier: GPL-2.0

//! The orchestrator: sessions, what they registered, and the way through an update.
//!
//! It decides and keeps the books. What takes part does its work through [`Participant`], and
//! whoever calls an event hands the description's writing over as a function.

#[path = "orchestrator/dependencies.rs"]
mod dependencies;
#[path = "orchestrator/registrations.rs"]
mod registrations;
#[path = "orchestrator/sessions.rs"]
mod sessions;
#[path = "orchestrator/subsystems.rs"]
mod subsystems;
#[path = "orchestrator/update.rs"]
mod update;

use crate::{
    graph::{Graph, Id},
    name::{Name, Reason},
    state::{decide, Event, Refusal, State, Verdict},
    store::{List, Map, Store},
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

#[cfg(test)]
#[path = "orchestrator/tests.rs"]
mod tests;
