// SPDX-License-Identifier: GPL-2.0

//! Tests of the orchestrator, with participants that note what is done to them.

extern crate std;

use super::*;
use crate::store::testing::Std;
use core::cell::RefCell;
use std::{format, rc::Rc, string::String, vec::Vec};

#[path = "tests/model.rs"]
mod model;
#[path = "tests/order.rs"]
mod order;
#[path = "tests/sessions.rs"]
mod sessions;

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
