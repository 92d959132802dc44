// SPDX-License-Identifier: GPL-2.0

//! Who comes before whom, and what is undone when one fails.

extern crate std;

use super::*;

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
