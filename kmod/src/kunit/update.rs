// SPDX-License-Identifier: GPL-2.0

//! An update of participants that do nothing but count: the core's books, in the kernel's containers.

use crate::{
    containers::Kernel,
    kho,
    orchestrator::{Label, Orchestrator, Participant},
    state::{Event, Refusal, State},
};

/// Counts what is done to it.
#[derive(Default)]
struct Fake {
    prepared: bool,
    frozen: bool,
}

impl Participant for Fake {
    type Error = Refusal;

    fn prepare(&mut self) -> Result<(), Refusal> {
        kho::fallible_step().map_err(|_| Refusal::NoMemory)?;
        self.prepared = true;
        Ok(())
    }

    fn freeze(&mut self) -> Result<(), Refusal> {
        kho::fallible_step().map_err(|_| Refusal::NoMemory)?;
        self.frozen = true;
        Ok(())
    }

    fn unfreeze(&mut self) {
        self.frozen = false;
    }

    fn cancel(&mut self) {
        self.prepared = false;
    }
}

/// Registers a few that need each other, goes all the way and back. Whatever fails is told, and
/// that nobody was left half prepared.
pub(super) fn there_and_back() -> Result<bool, Refusal> {
    let mut machine: Orchestrator<Kernel, Fake> = Orchestrator::new();
    let sound = |machine: &Orchestrator<Kernel, Fake>, registered: u64, on: bool, frozen: bool| {
        let each = |fake: &Fake| fake.prepared == on && fake.frozen == frozen;
        let mut all = machine
            .in_order()
            .filter_map(|(_, node)| node.participant());
        machine.participants() == registered && all.all(each)
    };
    let session = machine.open()?;
    for token in 1..=5 {
        let done = machine.register(session, Label::File(token), token, Fake::default());
        if let Err(refusal) = done {
            require(sound(&machine, token - 1, false, false))?;
            return Err(refusal);
        }
    }
    // The older ones need the newer ones, so that the order has to change.
    for token in 1..5 {
        machine.depend(session, Some(token), token + 1)?;
    }
    match machine.depend(session, Some(5), 1) {
        Err(Refusal::Loop) => {}
        other => return other.and(Ok(false)),
    }
    let prepared = machine.prepare(|_| Ok(()));
    require(sound(&machine, 5, prepared.is_ok(), false))?;
    prepared?;
    let frozen = machine.freeze(Event::Freeze, |_| Ok(()));
    require(sound(&machine, 5, frozen.is_ok(), frozen.is_ok()))?;
    frozen?;
    machine.cancel(drop)?;
    require(sound(&machine, 5, false, false) && machine.state() == State::Normal)?;
    machine.close(session, drop);
    Ok(sound(&machine, 0, false, false))
}

/// Fails, if not, as nothing else here does.
fn require(sound: bool) -> Result<(), Refusal> {
    if sound {
        Ok(())
    } else {
        Err(Refusal::Denied)
    }
}
