//! Walks through a plan.

mod hop;
mod objects;

use std::collections::BTreeMap;
use std::time::Instant;

use protocol::message::{BootFacts, Fault, MemoryCounters, ObjectId, Reply, Request, Token};

use super::artefacts::Artefacts;
use super::conversation::Conversation;
use super::{Bootable, Observer, Stage, Stop};
use crate::host::Cancel;
use crate::machine::Machine;
use crate::machine::command::Shape;
use crate::measure::clock::{Clock, Reading};
use crate::measure::fidelity::Frames;
use crate::measure::timeline::Timeline;
use crate::report::result::{Failure, FailureKind, Fidelity, Hop, HopTime, Proof, Run, StepRecord};
use crate::scenario::Document;
use crate::scenario::plan::{Action, HEARTBEAT, Plan};

/// Boots, walks through the steps and fills in `run`, as far as it gets.
pub(super) fn drive(
    stage: &Stage,
    document: &Document,
    plan: &Plan,
    artefacts: &Artefacts,
    run: &mut Run,
    observer: &mut dyn Observer,
    cancel: &Cancel,
) -> Result<(), Stop> {
    let shape = Shape {
        accelerator: stage.accelerator.kind,
        cpus: plan.cpus,
        memory: plan.memory,
        kernel: stage.kernel.image.clone(),
        initramfs: stage.kernel.initramfs.clone(),
        command_line: stage.command_line.clone(),
    };
    observer.step("boot", 0);
    let machine = Machine::start(&shape, artefacts.folder(), cancel)?;
    let talk = Conversation::new(machine, stage.limits, artefacts, observer)?;
    let mut driver = Driver::new(stage, plan, talk);
    let ended = driver.walk(document, run);
    // Whatever happened, what was measured until then is kept.
    if answers_still(&ended) {
        driver.late = driver.talk.read_clock().unwrap_or_default();
        if let Ok(Reply::KernelLog { text }) = driver.talk.ask(&Request::KernelLog) {
            artefacts.keep("kernel.log", &text);
        }
    }
    let clock = Clock::between(&driver.early, &driver.late);
    run.clock = clock.map(|clock| clock.facts());
    run.hops = driver
        .hops
        .drain(..)
        .map(|hop| Hop {
            proof: hop.proof,
            fidelity: hop.fidelity,
            time: clock.map_or_else(HopTime::default, |clock| hop.timeline.durations(&clock)),
        })
        .collect();
    ended
}

/// Whether a guest that ended like this can still be talked to.
fn answers_still(ended: &Result<(), Stop>) -> bool {
    use FailureKind::{
        Leak, NotFound, PageCorrupted, PagesSwapped, Refused, UnexpectedlyFound, UpdateNotProven, WrongSize,
    };
    match ended {
        Ok(()) => true,
        Err(Stop::Failed(failure)) => matches!(
            failure.kind,
            Leak | NotFound | PageCorrupted | PagesSwapped | Refused | UnexpectedlyFound | UpdateNotProven | WrongSize
        ),
        Err(_) => false,
    }
}

/// One update, as it is being found out.
struct HopUnderWay {
    proof: Proof,
    fidelity: Fidelity,
    timeline: Timeline,
}

struct Driver<'a> {
    stage: &'a Stage,
    plan: &'a Plan,
    talk: Conversation<'a>,
    /// Which kernel runs.
    kernel: &'a Bootable,
    facts: Option<BootFacts>,
    tokens: BTreeMap<ObjectId, Token>,
    /// Where objects lay when they were preserved.
    frames: BTreeMap<ObjectId, Frames>,
    hops: Vec<HopUnderWay>,
    /// Of the update that is being prepared.
    timeline: Timeline,
    early: Vec<Reading>,
    late: Vec<Reading>,
    memory: Option<MemoryCounters>,
}

impl<'a> Driver<'a> {
    fn new(stage: &'a Stage, plan: &'a Plan, talk: Conversation<'a>) -> Self {
        Self {
            stage,
            plan,
            talk,
            kernel: &stage.kernel,
            facts: None,
            tokens: BTreeMap::new(),
            frames: BTreeMap::new(),
            hops: Vec::new(),
            timeline: Timeline::default(),
            early: Vec::new(),
            late: Vec::new(),
            memory: None,
        }
    }

    fn walk(&mut self, document: &Document, run: &mut Run) -> Result<(), Stop> {
        self.boot().map_err(|stop| match stop {
            Stop::Failed(failure) => Stop::Failed(Failure { step: Some("boot".to_owned()), ..failure }),
            other => other,
        })?;
        for step in &self.plan.steps {
            let text = self.plan.describe(&step.action);
            let generation = self.hops.len() as u32;
            let began = Instant::now();
            self.talk.observer().step(&text, generation);
            let mut ended = self.step(&step.action);
            let wall_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            run.steps.push(StepRecord { text: text.clone(), generation, wall_ms, ok: ended.is_ok() });
            if let Err(Stop::Failed(failure)) = &mut ended {
                failure.step = Some(text);
                failure.place = step.origin.and_then(|index| document.place_of_step(index));
            }
            ended?;
        }
        Ok(())
    }

    /// The cold boot.
    fn boot(&mut self) -> Result<(), Stop> {
        let facts = self.talk.meet()?;
        if facts.release != self.kernel.facts.release {
            return Err(Stop::Infrastructure(format!(
                "kernel {} was booted, {} runs",
                self.kernel.facts.release, facts.release
            )));
        }
        if facts.cpus != self.plan.cpus {
            let message = format!("the guest has {} processors, it was given {}", facts.cpus, self.plan.cpus);
            return Err(Stop::Infrastructure(message));
        }
        self.facts = Some(facts);
        self.early = self.talk.read_clock()?;
        self.open()?;
        if self.plan.steps.iter().any(|step| matches!(step.action, Action::NoLeak { .. })) {
            self.memory = Some(self.read_memory()?);
        }
        Ok(())
    }

    fn open(&mut self) -> Result<(), Stop> {
        self.talk.ask_done(&Request::Open { interface: self.plan.interface }).map(drop)
    }

    fn step(&mut self, action: &Action) -> Result<(), Stop> {
        match action {
            Action::Create(ids) => self.talk.ask_done(&Request::Create { objects: self.specs(ids) }).map(drop),
            Action::StartWorkload => self.talk.ask_done(&Request::StartWorkload { id: HEARTBEAT }).map(drop),
            Action::Preserve(ids) => self.preserve(ids),
            Action::Signal(event) => self.signal(*event),
            Action::Update(update) => self.update(update),
            Action::ResumeWorkload => self.resume(),
            Action::Retrieve(ids) => self.retrieve(ids),
            Action::ExpectAbsent(ids) => self.expect_absent(ids),
            Action::Verify(ids) => ids.iter().try_for_each(|&id| self.verify(id)),
            Action::Inject(fault) => self.inject(*fault),
            Action::NoLeak { within } => self.no_leak(*within),
        }
    }

    fn inject(&mut self, fault: Fault) -> Result<(), Stop> {
        self.talk.ask_done(&Request::Inject(fault)).map(drop)
    }
}
