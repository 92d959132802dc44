// SPDX-License-Identifier: GPL-2.0

//! Subsystems: participants with a name, which others may ask for before they come.

use super::{Label, Node, Orchestrator, Participant};
use crate::{
    graph::Id,
    name::Name,
    state::{Event, Refusal},
    store::{Map, Store},
};

impl<S: Store, P: Participant> Orchestrator<S, P> {
    /// A subsystem's place, which others may have asked for before it came.
    pub(super) fn subsystem_place(&mut self, name: Name) -> Result<Id, Refusal> {
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
}
