// SPDX-License-Identifier: GPL-2.0

//! What is registered, in all the indexes that find it.

use super::{Label, Node, Orchestrator, Participant, SessionId};
use crate::{
    graph::Id,
    state::{Event, Refusal},
    store::{Map, NoMemory, Store},
};

impl<S: Store, P: Participant> Orchestrator<S, P> {
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
    pub(super) fn forget(&mut self, id: Id) -> Option<P> {
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
    pub(super) fn reap(&mut self, id: Id) {
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
    pub(super) fn own(&mut self, session: SessionId, token: u64) -> Result<Id, Refusal> {
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
}
