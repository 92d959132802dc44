// SPDX-License-Identifier: GPL-2.0

//! Who needs whom, as sessions say it.

use super::{Label, Orchestrator, Participant, SessionId};
use crate::{
    graph::{Id, Refused},
    name::Name,
    state::{Event, Refusal},
    store::{List, Map, Store},
};
use core::fmt;

impl<S: Store, P: Participant> Orchestrator<S, P> {
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

    pub(super) fn need(&mut self, id: Id, on: Id) -> Result<(), Refusal> {
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
