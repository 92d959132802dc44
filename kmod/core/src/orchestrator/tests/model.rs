// SPDX-License-Identifier: GPL-2.0

//! Whatever is done in whatever order, against a model of who owns what.

extern crate std;

use super::*;
use crate::{
    store::testing::fail_after,
    testing::{cases, length},
};
use proptest::prelude::*;
use std::{collections::BTreeSet, vec};

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
    proptest::collection::vec(
        (step, proptest::option::weighted(0.1, 0..6usize)),
        0..length(80),
    )
}

proptest! {
    #![proptest_config(cases(256))]

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
