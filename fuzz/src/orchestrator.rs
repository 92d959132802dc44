//! Calls to the orchestrator, in any order and with memory running out anywhere, against a model of who owns what and
//! who needs whom.
//!
//! It is the model of the core's own tests grown up: named sessions, instances, subsystems and what the previous kernel
//! handed over are in it too, and it uses nothing that is not public.

mod model;
mod participant;
mod store;

use arbitrary::{Arbitrary, Unstructured};
use kmod_core::state::{Event, State};

use model::{Bench, Holder};
use participant::Stage;

/// The target.
pub fn run(input: &[u8]) {
    let mut source = Unstructured::new(input);
    let Ok(inherited) = Vec::<Holder>::arbitrary(&mut source) else { return };
    let mut bench = Bench::new(&inherited);
    while !source.is_empty() {
        let Ok((call, starved)) = <(Call, Option<u8>)>::arbitrary(&mut source) else { break };
        // Most calls have all the memory they want, and few need more than these.
        store::fail_after(starved.map(|allocations| allocations % 16));
        bench.call(&call);
    }
    bench.end();
}

/// What is called. Small numbers choose among what there is.
#[derive(Arbitrary, Debug)]
enum Call {
    Open,
    Create(Holder),
    Retrieve(Holder),
    Close(u8),
    Register { session: u8, twice: bool },
    RegisterInstance(u8),
    Unregister { session: u8, file: u8 },
    RegisterSubsystem { name: u8, needs: Vec<u8> },
    UnregisterSubsystem(u8),
    Depend { session: u8, file: Option<u8>, on: u8 },
    DependOnSubsystem { session: u8, file: Option<u8>, on: u8 },
    Fail(u8, Stage),
    Prepare { described: bool },
    Freeze { restart: bool, sealed: bool },
    Cancel,
    Finish,
}

impl Bench {
    fn call(&mut self, call: &Call) {
        match call {
            Call::Open => self.open(),
            Call::Create(holder) => self.create(holder),
            Call::Retrieve(holder) => self.retrieve(holder),
            Call::Close(session) => self.close(*session),
            Call::Register { session, twice } => self.register(*session, *twice),
            Call::RegisterInstance(session) => self.register_instance(*session),
            Call::Unregister { session, file } => self.unregister(*session, *file),
            Call::RegisterSubsystem { name, needs } => self.register_subsystem(*name, needs),
            Call::UnregisterSubsystem(name) => self.unregister_subsystem(*name),
            Call::Depend { session, file, on } => self.depend(*session, *file, Ok(*on)),
            Call::DependOnSubsystem { session, file, on } => self.depend(*session, *file, Err(*on)),
            Call::Fail(participant, stage) => self.fail(*participant, *stage),
            Call::Prepare { described } => self.prepare(*described),
            Call::Freeze { restart, sealed } => {
                self.freeze(if *restart { Event::Restart } else { Event::Freeze }, *sealed);
            }
            Call::Cancel => self.cancel(),
            Call::Finish => self.finish(),
        }
        self.check();
    }

    /// Nobody is left prepared, and everybody is given back.
    fn end(mut self) {
        store::fail_after(None);
        if matches!(self.machine.state(), State::Prepared | State::Frozen) {
            self.cancel();
            self.check();
        }
        let track = std::rc::Rc::clone(&self.track);
        drop(self);
        assert_eq!(track.borrow().alive, 0, "somebody is lost");
    }
}
