// SPDX-License-Identifier: GPL-2.0

//! What becomes of a session, and of what it registered.

extern crate std;

use super::*;
use std::vec;

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
