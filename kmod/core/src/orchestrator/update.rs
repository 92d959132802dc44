// SPDX-License-Identifier: GPL-2.0

//! The way through an update, and back.

use super::{Orchestrator, Participant};
use crate::{
    graph::Id,
    state::{decide, Event, Refusal, State, Verdict},
    store::{List, Map, Store},
};

impl<S: Store, P: Participant> Orchestrator<S, P> {
    /// PREPARE: everybody in order, then the description. Whatever fails, all is undone.
    pub fn prepare<D>(
        &mut self,
        describe: impl FnOnce(&Self) -> Result<D, P::Error>,
    ) -> Result<D, P::Error> {
        let next = self.verdict(Event::Prepare)?;
        self.plan = self.plan()?;
        let mut done = 0usize;
        let result = self.each(&mut done, "prepare", P::prepare);
        let result = result.and_then(|()| describe(self));
        match result {
            Ok(description) => {
                self.state = next;
                Ok(description)
            }
            Err(err) => {
                self.undo(done, 0);
                Err(err)
            }
        }
    }

    /// FREEZE, and the same from the way down: everybody in order, then the seal. Whatever fails,
    /// everything is undone, PREPARE included, and the state is NORMAL.
    pub fn freeze(
        &mut self,
        event: Event,
        seal: impl FnOnce(&Self) -> Result<(), P::Error>,
    ) -> Result<(), P::Error> {
        let next = self.verdict(event)?;
        if next == self.state {
            return Ok(());
        }
        let mut done = 0usize;
        let result = self.each(&mut done, "freeze", P::freeze);
        let result = result.and_then(|()| seal(self));
        if result.is_err() {
            self.undo(usize::MAX, done);
            self.state = State::Normal;
        } else {
            self.state = next;
        }
        result
    }

    /// CANCEL: everything undone, in reverse. Participants of sessions that lost their holder
    /// meanwhile go through `gone`.
    pub fn cancel(&mut self, gone: impl FnMut(P)) -> Result<(), Refusal> {
        let next = self.verdict(Event::Cancel)?;
        let frozen = match self.state {
            State::Frozen => usize::MAX,
            _ => 0,
        };
        self.undo(usize::MAX, frozen);
        self.state = next;
        self.forget_closed(gone);
        Ok(())
    }

    /// After a failed event: as CANCEL does for sessions without a holder. Where an update is
    /// under way, the event was refused, and they are still carried over.
    pub fn forget_closed(&mut self, gone: impl FnMut(P)) {
        if decide(self.state, Event::Close) != Verdict::Forget {
            return;
        }
        // Without memory for their list they stay until the next time, harmless.
        _ = self.end_closed(gone);
    }

    /// FINISH, when what came in is dealt with.
    pub fn finish(&mut self) -> Result<(), Refusal> {
        self.state = self.verdict(Event::Finish)?;
        self.disinherit();
        Ok(())
    }

    /// The previous kernel left something.
    pub fn hand_over(&mut self) -> Result<(), Refusal> {
        self.state = self.verdict(Event::Handover)?;
        Ok(())
    }

    /// Everybody in order; ENOENT, with its name, if one that is needed is missing.
    fn plan(&mut self) -> Result<S::List<Id>, Refusal> {
        let mut plan = <S::List<Id> as List<Id>>::new();
        for id in self.graph.order() {
            let Some(node) = self.nodes.get(&id) else {
                continue;
            };
            if node.participant.is_some() {
                plan.push(id)?;
                continue;
            }
            let dependent = self.graph.dependent(id);
            if let Some(dependent) = dependent.and_then(|id| self.nodes.get(&id)) {
                let (needs, missing) = (dependent.label, node.label);
                self.reason
                    .set(format_args!("{needs} needs {missing}, which is missing"));
            }
            return Err(Refusal::NotFound);
        }
        Ok(plan)
    }

    /// Has the planned ones do something in order; `done` counts those that succeeded.
    fn each(
        &mut self,
        done: &mut usize,
        what: &str,
        act: impl Fn(&mut P) -> Result<(), P::Error>,
    ) -> Result<(), P::Error> {
        for id in self.plan.as_slice() {
            let Some(node) = self.nodes.get_mut(id) else {
                continue;
            };
            let label = node.label;
            if let Some(Err(err)) = node.participant.as_mut().map(&act) {
                self.reason
                    .set(format_args!("{what} of {label} failed: {err:?}"));
                return Err(err);
            }
            *done = done.saturating_add(1);
        }
        Ok(())
    }

    /// Has the first `frozen` unfreeze and then the first `prepared` cancel, each in reverse.
    fn undo(&mut self, prepared: usize, frozen: usize) {
        for (count, act) in [
            (frozen, P::unfreeze as fn(&mut P)),
            (prepared, P::cancel as fn(&mut P)),
        ] {
            for id in self.plan.as_slice().iter().take(count).rev() {
                let node = self.nodes.get_mut(id);
                if let Some(participant) = node.and_then(|node| node.participant.as_mut()) {
                    act(participant);
                }
            }
        }
        self.plan = List::new();
    }
}
