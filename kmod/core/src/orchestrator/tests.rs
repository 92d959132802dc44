// SPDX-License-Identifier: GPL-2.0

extern crate std;

use super::*;
use crate::store::testing::{fail_after, Std};
use core::cell::RefCell;
use proptest::prelude::*;
use std::{collections::BTreeSet, format, rc::Rc, string::String, vec, vec::Vec};

/// What was called, in order.
type Log = Rc<RefCell<Vec<String>>>;

/// Records what is done to it, and fails where it is told to.
struct Fake {
    name: u64,
    log: Log,
    fail: Option<&'static str>,
    prepared: bool,
    frozen: bool,
}

#[derive(Debug, PartialEq)]
enum Failure {
    Refused(Refusal),
    Broken,
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Failure::Refused(refusal)
    }
}

impl Fake {
    fn new(name: u64, log: &Log) -> Self {
        let log = log.clone();
        Self {
            name,
            log,
            fail: None,
            prepared: false,
            frozen: false,
        }
    }

    fn act(&mut self, what: &'static str) -> Result<(), Failure> {
        if self.fail == Some(what) {
            return Err(Failure::Broken);
        }
        self.log.borrow_mut().push(format!("{what} {}", self.name));
        Ok(())
    }
}

impl Participant for Fake {
    type Error = Failure;

    fn prepare(&mut self) -> Result<(), Failure> {
        assert!(!self.prepared);
        self.act("prepare")?;
        self.prepared = true;
        Ok(())
    }

    fn freeze(&mut self) -> Result<(), Failure> {
        assert!(self.prepared && !self.frozen);
        self.act("freeze")?;
        self.frozen = true;
        Ok(())
    }

    fn unfreeze(&mut self) {
        assert!(self.frozen);
        self.frozen = false;
        _ = self.act("unfreeze");
    }

    fn cancel(&mut self) {
        assert!(self.prepared && !self.frozen);
        self.prepared = false;
        _ = self.act("cancel");
    }
}

type Machine = Orchestrator<Std, Fake>;

struct Bench {
    machine: Machine,
    log: Log,
    session: SessionId,
}

impl Bench {
    fn new() -> Self {
        let mut machine = Machine::new();
        let session = machine.open().unwrap();
        Self {
            machine,
            log: Log::default(),
            session,
        }
    }

    fn file(&mut self, token: u64) -> Id {
        let fake = Fake::new(token, &self.log);
        self.machine
            .register(self.session, Label::File(token), token, fake)
            .unwrap()
    }

    fn fail(&mut self, token: u64, what: &'static str) {
        let id = self.machine.tokens[&token];
        self.machine.participant_mut(id).unwrap().fail = Some(what);
    }

    fn needs(&mut self, token: u64, on: u64) -> Result<(), Refusal> {
        self.machine.depend(self.session, Some(token), on)
    }

    fn prepare(&mut self) -> Result<(), Failure> {
        self.machine.prepare(|_| Ok(()))
    }

    fn freeze(&mut self) -> Result<(), Failure> {
        self.machine.freeze(Event::Freeze, |_| Ok(()))
    }

    fn said(&mut self) -> Vec<String> {
        std::mem::take(&mut *self.log.borrow_mut())
    }
}

fn name(text: &str) -> Name {
    Name::new(text.as_bytes()).unwrap()
}

#[test]
fn what_is_needed_comes_first_and_is_undone_last() {
    let mut bench = Bench::new();
    (1..=3).for_each(|token| _ = bench.file(token));
    bench.needs(1, 3).unwrap();
    bench.needs(3, 2).unwrap();
    bench.prepare().unwrap();
    assert_eq!(bench.said(), ["prepare 2", "prepare 3", "prepare 1"]);
    bench.freeze().unwrap();
    assert_eq!(bench.said(), ["freeze 2", "freeze 3", "freeze 1"]);
    bench.machine.cancel(|_| ()).unwrap();
    assert_eq!(
        bench.said(),
        [
            "unfreeze 1",
            "unfreeze 3",
            "unfreeze 2",
            "cancel 1",
            "cancel 3",
            "cancel 2"
        ]
    );
    assert_eq!(bench.machine.state(), State::Normal);
}

#[test]
fn a_failed_prepare_is_undone_and_the_next_one_works() {
    let mut bench = Bench::new();
    (1..=3).for_each(|token| _ = bench.file(token));
    bench.fail(2, "prepare");
    assert_eq!(bench.prepare(), Err(Failure::Broken));
    assert_eq!(bench.said(), ["prepare 1", "cancel 1"]);
    assert_eq!(bench.machine.state(), State::Normal);
    assert!(bench
        .machine
        .reason()
        .as_str()
        .starts_with("prepare of file 0x0000000000000002 failed"));
    let id = bench.machine.tokens[&2];
    bench.machine.participant_mut(id).unwrap().fail = None;
    bench.prepare().unwrap();
}

#[test]
fn a_failed_freeze_does_not_wedge() {
    let mut bench = Bench::new();
    (1..=3).for_each(|token| _ = bench.file(token));
    bench.fail(3, "freeze");
    bench.prepare().unwrap();
    bench.said();
    assert_eq!(bench.freeze(), Err(Failure::Broken));
    assert_eq!(
        bench.said(),
        [
            "freeze 1",
            "freeze 2",
            "unfreeze 2",
            "unfreeze 1",
            "cancel 3",
            "cancel 2",
            "cancel 1"
        ]
    );
    assert_eq!(bench.machine.state(), State::Normal);
    let id = bench.machine.tokens[&3];
    bench.machine.participant_mut(id).unwrap().fail = None;
    bench.prepare().unwrap();
    bench.freeze().unwrap();
}

#[test]
fn a_description_that_fails_undoes_everybody() {
    let mut bench = Bench::new();
    bench.file(1);
    let result = bench.machine.prepare(|_| Err::<(), _>(Failure::Broken));
    assert_eq!(result, Err(Failure::Broken));
    assert_eq!(bench.said(), ["prepare 1", "cancel 1"]);
    bench.prepare().unwrap();
    let result = bench
        .machine
        .freeze(Event::Freeze, |_| Err(Failure::Broken));
    assert_eq!(result, Err(Failure::Broken));
    assert_eq!(bench.machine.state(), State::Normal);
}

#[test]
fn a_circle_is_refused_and_its_path_named() {
    let mut bench = Bench::new();
    (1..=3).for_each(|token| _ = bench.file(token));
    bench.needs(1, 2).unwrap();
    bench.needs(2, 3).unwrap();
    assert_eq!(bench.needs(3, 1), Err(Refusal::Loop));
    let file = |n: u64| format!("file {n:#018x}");
    let path = [3, 1, 2, 3].map(file).join(" -> ");
    assert_eq!(bench.machine.reason().as_str(), format!("a circle: {path}"));
    assert_eq!(bench.needs(1, 1), Err(Refusal::Loop));
    bench.prepare().unwrap();
}

#[test]
fn a_missing_one_fails_everything_and_is_named() {
    let mut bench = Bench::new();
    bench.file(1);
    bench.file(2);
    bench.needs(1, 2).unwrap();
    bench.machine.unregister(bench.session, 2).unwrap();
    assert_eq!(bench.prepare(), Err(Failure::Refused(Refusal::NotFound)));
    assert_eq!(
        bench.machine.reason().as_str(),
        "file 0x0000000000000001 needs file 0x0000000000000002, which is missing"
    );
    assert!(bench.said().is_empty());
    bench.machine.unregister(bench.session, 1).unwrap();
    bench.prepare().unwrap();
    assert!(bench.machine.nodes.is_empty());
}

#[test]
fn a_subsystem_may_come_after_those_that_need_it() {
    let mut bench = Bench::new();
    bench.file(1);
    let (bus, log) = (name("bus"), bench.log.clone());
    bench
        .machine
        .depend_on_subsystem(bench.session, Some(1), bus)
        .unwrap();
    assert_eq!(bench.prepare(), Err(Failure::Refused(Refusal::NotFound)));
    let none = || std::iter::empty();
    bench
        .machine
        .register_subsystem(bus, none(), Fake::new(9, &log))
        .unwrap();
    let twice = bench
        .machine
        .register_subsystem(bus, none(), Fake::new(9, &log));
    assert_eq!(twice, Err(Refusal::Exists));
    bench.prepare().unwrap();
    assert_eq!(bench.said(), ["prepare 9", "prepare 1"]);
    bench.machine.cancel(|_| ()).unwrap();
    bench.machine.unregister_subsystem(bus).unwrap();
    assert!(bench.machine.unregister_subsystem(bus).is_err());
    let circle = [name("b")].into_iter();
    bench
        .machine
        .register_subsystem(name("a"), circle, Fake::new(10, &log))
        .unwrap();
    let circle = [name("a")].into_iter();
    let refused = bench
        .machine
        .register_subsystem(name("b"), circle, Fake::new(11, &log));
    assert_eq!(refused, Err(Refusal::Loop));
    assert_eq!(bench.machine.participants(), 2);
}

#[test]
fn a_session_takes_what_it_registered_with_it() {
    let mut bench = Bench::new();
    bench.file(1);
    let other = bench.machine.open().unwrap();
    assert!(matches!(
        bench.machine.unregister(other, 1),
        Err(Refusal::NotFound)
    ));
    let mut gone = vec![];
    bench
        .machine
        .close(bench.session, |fake| gone.push(fake.name));
    assert_eq!(gone, [1]);
    assert_eq!(bench.machine.participants(), 0);
}

#[test]
fn a_session_that_closes_during_an_update_is_carried_over() {
    let mut bench = Bench::new();
    bench.file(1);
    bench.prepare().unwrap();
    bench
        .machine
        .close(bench.session, |_| panic!("nothing goes now"));
    assert_eq!(bench.machine.participants(), 1);
    assert_eq!(bench.prepare(), Err(Failure::Refused(Refusal::Exists)));
    bench
        .machine
        .forget_closed(|_| panic!("a refusal changes nothing"));
    bench.freeze().unwrap();
    let mut gone = vec![];
    bench.machine.cancel(|fake| gone.push(fake.name)).unwrap();
    assert_eq!(gone, [1]);
    assert!(bench.machine.session(bench.session).is_none());
}

#[test]
fn an_inherited_session_has_one_holder_at_a_time() {
    let mut machine = Machine::new();
    let key = Key {
        face: Face::Session,
        owner: 0,
        name: name("db"),
    };
    machine.inherit(key, 7).unwrap();
    machine.hand_over().unwrap();
    assert_eq!(machine.create(key), Err(Refusal::Exists));
    let first = machine.retrieve(key).unwrap();
    assert_eq!(
        machine.session(first).unwrap().domain,
        Some(Domain::Named(7))
    );
    assert_eq!(machine.retrieve(key), Err(Refusal::Busy));
    machine.close(first, |_| ());
    machine.retrieve(key).unwrap();
    let foreign = Key { owner: 1000, ..key };
    assert_eq!(machine.retrieve(foreign), Err(Refusal::NotFound));
    machine.create(foreign).unwrap();
    machine.finish().unwrap();
    assert_eq!(machine.retrieve(key), Err(Refusal::Busy));
}

#[derive(Clone, Debug)]
enum Step {
    Open,
    Close(usize),
    Register(usize, u64),
    Unregister(usize, u64),
    Depend(usize, u64, u64),
    Fail(u64, &'static str),
    Prepare,
    Freeze,
    Cancel,
}

fn steps() -> impl Strategy<Value = Vec<(Step, Option<usize>)>> {
    let what = prop_oneof![Just("prepare"), Just("freeze")];
    let step = prop_oneof![
        1 => Just(Step::Open),
        1 => (0..4usize).prop_map(Step::Close),
        6 => (0..4usize, 1..9u64).prop_map(|(s, t)| Step::Register(s, t)),
        2 => (0..4usize, 1..9u64).prop_map(|(s, t)| Step::Unregister(s, t)),
        3 => (0..4usize, 1..9u64, 1..9u64).prop_map(|(s, a, b)| Step::Depend(s, a, b)),
        1 => (1..9u64, what).prop_map(|(t, what)| Step::Fail(t, what)),
        2 => Just(Step::Prepare),
        2 => Just(Step::Freeze),
        2 => Just(Step::Cancel),
    ];
    proptest::collection::vec((step, proptest::option::weighted(0.1, 0..6usize)), 0..80)
}

proptest! {
    /// Whatever is done in whatever order, and wherever memory runs out: the documented table
    /// decides, nobody is left half prepared, and after a failure the machine is in NORMAL.
    #[test]
    fn the_books_are_always_right(steps in steps()) {
        let mut bench = Bench::new();
        let mut sessions = vec![bench.session];
        // The model: which token belongs to which session.
        let mut owner: Vec<(u64, SessionId)> = vec![];
        for (step, fail) in steps {
            let before = bench.machine.state();
            fail_after(fail);
            let pick = |i: usize| sessions[i % sessions.len()];
            match step {
                Step::Open => if let Ok(id) = bench.machine.open() { sessions.push(id); },
                Step::Close(i) => {
                    let id = pick(i);
                    bench.machine.close(id, |_| ());
                    if matches!(before, State::Normal) {
                        owner.retain(|(_, session)| *session != id);
                    }
                }
                Step::Register(i, token) => {
                    let fake = Fake::new(token, &bench.log);
                    let result = bench.machine.register(pick(i), Label::File(token), token, fake);
                    if result.is_ok() {
                        prop_assert_eq!(before, State::Normal);
                        owner.push((token, pick(i)));
                    }
                }
                Step::Unregister(i, token) => {
                    if bench.machine.unregister(pick(i), token).is_ok() {
                        let at = owner.iter().position(|pair| *pair == (token, pick(i)));
                        owner.remove(at.expect("only its own session may"));
                    }
                }
                Step::Depend(i, a, b) => _ = bench.machine.depend(pick(i), Some(a), b),
                Step::Fail(token, what) => {
                    if let Some(id) = bench.machine.tokens.get(&token).copied() {
                        bench.machine.participant_mut(id).unwrap().fail = Some(what);
                    }
                }
                Step::Prepare => {
                    let failed = bench.prepare().is_err();
                    if failed && before == State::Normal {
                        prop_assert_eq!(bench.machine.state(), State::Normal);
                    }
                }
                Step::Freeze => {
                    let failed = bench.freeze().is_err();
                    if failed && before == State::Prepared {
                        prop_assert_eq!(bench.machine.state(), State::Normal);
                    }
                }
                Step::Cancel => {
                    let cancelled = bench.machine.cancel(|_| ()).is_ok();
                    prop_assert_eq!(cancelled, matches!(before, State::Prepared | State::Frozen));
                }
            }
            fail_after(None);
            let live: BTreeSet<u64> = bench.machine.tokens.keys().copied().collect();
            if bench.machine.state() == State::Normal {
                // What a failed or cancelled update did to sessions without holder, the model learns.
                owner.retain(|(token, session)| live.contains(token) || bench.machine.session(*session).is_some());
            }
            let expected: BTreeSet<u64> = owner.iter().map(|(token, _)| *token).collect();
            prop_assert_eq!(&live, &expected);
            prop_assert_eq!(bench.machine.participants() as usize, live.len());
            let state = bench.machine.state();
            for (_, node) in bench.machine.in_order() {
                let fake = node.participant().unwrap();
                prop_assert_eq!(fake.prepared, matches!(state, State::Prepared | State::Frozen));
                prop_assert_eq!(fake.frozen, state == State::Frozen);
            }
            sessions.retain(|id| bench.machine.session(*id).is_some());
            if sessions.is_empty() {
                sessions.push(bench.machine.open().unwrap());
            }
        }
    }
}

#[test]
fn an_instance_is_not_restored_empty_after_a_finish_in_between() {
    let mut bench = Bench::new();
    let key = Key {
        face: Face::Instance,
        owner: 0,
        name: name("db"),
    };
    bench.machine.inherit(key, 7).unwrap();
    bench.machine.hand_over().unwrap();
    let session = bench.machine.retrieve(key).unwrap();
    bench.machine.finish().unwrap();
    let fake = Fake::new(1, &bench.log);
    let filled = bench.machine.register_instance(session, key.name, 1, fake);
    assert_eq!(filled, Err(Refusal::NotFound));
    bench.machine.end_session(session, |_| ());
    bench.machine.create(key).unwrap();
}
