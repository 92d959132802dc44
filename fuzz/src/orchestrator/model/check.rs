//! The way through an update, and what must be so after each call.

use std::collections::BTreeSet;
use std::rc::Rc;

use kmod_core::name::Name;
use kmod_core::orchestrator::{Label, Orchestrator};
use kmod_core::state::{Event, Refusal, State};

use super::super::participant::{Failure, Fake, Stage};
use super::super::store::{Std, fail_after, starved};
use super::{Bench, Node};

impl Bench {
    /// An update's step that had to come to this.
    fn stepped(&mut self, result: Result<(), Failure>, expected: Result<(), Failure>, from: State) {
        if result.is_err() && matches!(from, State::Normal | State::Prepared) && self.machine.state() == State::Normal {
            self.machine.forget_closed(drop);
        }
        let starved = starved();
        if !starved {
            assert_eq!(result, expected);
        } else if result.is_err() {
            assert!(result == expected || result == Err(Failure::Refused(Refusal::NoMemory)));
        }
        if result.is_err() && self.machine.state() == State::Normal {
            self.forget_closed(starved);
        }
    }

    /// Whether one of them will fail, of those who are there.
    fn fails(&self, stage: Stage) -> bool {
        let fails = self.track.borrow().fails;
        let numbers: Vec<u64> =
            self.machine.in_order().filter_map(|(_, it)| it.participant()).map(Fake::number).collect();
        fails.is_some_and(|(number, at)| at == stage && numbers.contains(&number))
    }

    pub(in super::super) fn prepare(&mut self, described: bool) {
        let from = self.machine.state();
        let missing = self.needs.iter().any(|(_, on)| !self.live.contains_key(on));
        let expected = match self.verdict(Event::Prepare) {
            Err(refusal) => Err(Failure::Refused(refusal)),
            Ok(()) if missing => Err(Failure::Refused(Refusal::NotFound)),
            Ok(()) if self.fails(Stage::Prepare) || !described => Err(Failure::Broken),
            Ok(()) => Ok(()),
        };
        let all = self.live.len();
        let track = Rc::clone(&self.track);
        let result = self.machine.prepare(|_: &Orchestrator<Std, Fake>| {
            assert_eq!(track.borrow().progress(), (all, 0), "described when all are prepared");
            if described { Ok(()) } else { Err(Failure::Broken) }
        });
        let state = if result.is_ok() { State::Prepared } else { from };
        assert_eq!(self.machine.state(), state);
        self.stepped(result, expected, from);
    }

    pub(in super::super) fn freeze(&mut self, event: Event, sealed: bool) {
        let from = self.machine.state();
        let expected = match self.verdict(event) {
            Err(refusal) => Err(Failure::Refused(refusal)),
            Ok(()) if from != State::Prepared => Ok(()),
            Ok(()) if self.fails(Stage::Freeze) || !sealed => Err(Failure::Broken),
            Ok(()) => Ok(()),
        };
        let all = self.live.len();
        let track = Rc::clone(&self.track);
        let result = self.machine.freeze(event, |_: &Orchestrator<Std, Fake>| {
            assert_eq!(track.borrow().progress(), (all, all), "sealed when all are frozen");
            if sealed { Ok(()) } else { Err(Failure::Broken) }
        });
        let state = match (from, &result) {
            (State::Prepared, Ok(())) => State::Frozen,
            (State::Prepared, Err(_)) => State::Normal,
            (other, _) => other,
        };
        assert_eq!(self.machine.state(), state);
        self.stepped(result, expected, from);
    }

    pub(in super::super) fn cancel(&mut self) {
        let expected = self.verdict(Event::Cancel);
        let result = self.machine.cancel(drop);
        let starved = starved();
        assert_eq!(result, expected, "it needs no memory");
        if result.is_ok() {
            assert_eq!(self.machine.state(), State::Normal);
            self.forget_closed(starved);
        }
    }

    pub(in super::super) fn finish(&mut self) {
        let expected = self.verdict(Event::Finish);
        if expected.is_ok() {
            self.disinherit();
        }
        assert_eq!(self.machine.finish(), expected);
    }

    /// What must always be so.
    pub(in super::super) fn check(&mut self) {
        fail_after(None);
        let all = self.live.len();
        let progress = match self.machine.state() {
            State::Normal | State::Updated => (0, 0),
            State::Prepared => (all, 0),
            State::Frozen => (all, all),
        };
        assert_eq!(self.track.borrow().progress(), progress, "nobody is left half prepared");
        assert_eq!(self.track.borrow().alive, all as u64, "nobody is lost, and nobody is kept");
        assert_eq!(self.machine.participants(), all as u64);

        let order: Vec<Node> = self.machine.in_order().map(|(_, node)| place(node.label)).collect();
        let at = |node: &Node| order.iter().position(|other| other == node);
        assert!(order.len() == all && self.live.keys().all(|node| at(node).is_some()));
        for (from, on) in &self.needs {
            assert!(at(on).is_none_or(|on| Some(on) < at(from)), "{from:?} needs {on:?}: {order:?}");
        }
        for (id, node) in self.machine.in_order() {
            let from = place(node.label);
            assert_eq!(node.session, self.live[&from]);
            let needs: BTreeSet<Node> = self.machine.needs(id).map(place).collect();
            assert!(self.needs.iter().filter(|(a, _)| *a == from).map(|(_, b)| *b).eq(needs));
        }
        for number in 1..=self.last {
            let live = self.live.contains_key(&Node::Number(number));
            assert_eq!(self.machine.knows_token(number), live && !self.is_an_instance(number));
        }
        let there: Vec<u64> = self.machine.sessions().map(|(id, _)| id).collect();
        assert!(self.live.values().flatten().all(|session| there.contains(session)));
        assert!(there.iter().all(|id| self.held.contains(id) || self.closed.contains(id)), "a session without end");
        let words = self.machine.reason();
        assert_eq!(words.as_str().as_bytes(), words.as_bytes(), "a reason is text");
    }
}

/// The model's word for it.
fn place(label: Label) -> Node {
    let number = |name: Name| name.as_str()[1..].parse::<u64>().expect("a name of ours");
    match label {
        Label::File(number) => Node::Number(number),
        Label::Instance(name) => Node::Number(number(name)),
        Label::Subsystem(name) => Node::Subsystem(number(name) as u8),
    }
}
