//! Walks through a plan.

mod checks;
mod hop;
mod objects;

use std::collections::BTreeMap;
use std::time::Instant;

use protocol::check::Check;
use protocol::message::{BootFacts, Fault, MemoryCounters, ObjectId, Request, Span, Token, Tsc};

use super::artefacts::Artefacts;
use super::conversation::Conversation;
use super::outcome::{self, Arrival, Known};
use super::pool::Job;
use super::snapshots::{self, Snapshots};
use super::{Bootable, Observer, Stage, Stop, proof};
use crate::host::Cancel;
use crate::measure::clock::{Clock, Reading};
use crate::measure::fidelity::Frames;
use crate::measure::leak::Accounts;
use crate::measure::timeline::Timeline;
use crate::result::{
    AcceleratorKind, Failure, FailureKind, Fidelity, Figure, Hop, HopOutcome, HopTime, Prediction, Proof, Run,
    StepRecord,
};
use crate::scenario::Document;
use crate::scenario::plan::{Action, HEARTBEAT, Plan};

/// Boots, walks through the steps and fills in `run`, as far as it gets.
pub(super) fn drive(
    job: &Job<'_>,
    snapshots: &Snapshots,
    artefacts: &Artefacts,
    run: &mut Run,
    observer: &mut dyn Observer,
    cancel: &Cancel,
) -> Result<(), Stop> {
    let &Job { stage, document, plan } = job;
    let shape = snapshots::shape(stage, plan);
    observer.step("boot", 0);
    let (machine, start) = snapshots.start(&shape, artefacts.folder(), stage.limits.silence, cancel)?;
    run.start = start;
    let talk = Conversation::new(machine, stage.limits.of_hops(plan.hops()), artefacts, observer)?;
    let mut driver = Driver::new(stage, plan, talk, snapshots::command_line(stage, plan));
    let mut ended = driver.walk(document, run);
    // Whatever happened, what was measured until then is kept.
    let mut log = String::new();
    if answers_still(&ended) {
        let last = driver.last_words().map(|text| log = text);
        ended = ended.and(last);
    }
    let still_reserved = driver.still_reserved(&ended);
    let clock = match stage.accelerator.kind {
        AcceleratorKind::Icount => Some(Clock::counted()),
        AcceleratorKind::Kvm | AcceleratorKind::Tcg => Clock::between(&driver.early, &driver.late),
    };
    run.clock = clock.map(|clock| clock.facts());
    if ended.is_ok() && clock.is_none() {
        ended = Err(Stop::Infrastructure("the guest's time stamp counter gives no clock".to_owned()));
    }
    for figure in run.steps.iter_mut().flat_map(|step| &mut step.figures) {
        let [from, to] = figure.tsc.map(Tsc);
        figure.ns = clock.and_then(|clock| clock.ns(Span { from, to }));
    }
    let last = driver.hops.len().saturating_sub(1);
    run.hops = driver
        .hops
        .drain(..)
        .enumerate()
        .map(|(at, hop)| {
            let failure = match &ended {
                Err(Stop::Failed(failure)) if at == last => Some(failure),
                _ => None,
            };
            let time = clock.map_or_else(HopTime::default, |clock| hop.timeline.durations(&clock));
            hop.judged(failure, &log, still_reserved.filter(|_| at == last), time)
        })
        .collect();
    ended
}

/// Whether a guest that ended like this can still be talked to.
fn answers_still(ended: &Result<(), Stop>) -> bool {
    use FailureKind::{
        CheckFailed, CheckUnfinished, Leak, NotFound, PageCorrupted, PageMoved, PagesSwapped, Refused,
        UnexpectedlyFound, UpdateNotProven, WorkloadBroken, WrongSize,
    };
    match ended {
        Ok(()) => true,
        Err(Stop::Failed(failure)) => matches!(
            failure.kind,
            CheckFailed
                | CheckUnfinished
                | Leak
                | NotFound
                | PageMoved
                | PageCorrupted
                | PagesSwapped
                | Refused
                | UnexpectedlyFound
                | UpdateNotProven
                | WorkloadBroken
                | WrongSize
        ),
        Err(_) => false,
    }
}

/// One update, as it is being found out.
struct HopUnderWay {
    from: String,
    to: String,
    hands_over: bool,
    expected: HopOutcome,
    predicted: Option<Prediction>,
    arrival: Arrival,
    proof: Option<Proof>,
    fidelity: Fidelity,
    managed_bytes: Option<u64>,
    timeline: Timeline,
}

impl HopUnderWay {
    fn judged(self, failure: Option<&Failure>, log: &str, still_reserved: Option<bool>, time: HopTime) -> Hop {
        let Self { hands_over, arrival, .. } = self;
        let (outcome, evidence) =
            outcome::classify(Known { hands_over, arrival, proof: self.proof.as_ref(), failure, log });
        let still_reserved = still_reserved.filter(|_| outcome.is_some_and(|outcome| outcome != HopOutcome::Preserved));
        let Self { from, to, expected, predicted, proof, fidelity, managed_bytes, .. } = self;
        Hop { from, to, outcome, expected, predicted, still_reserved, evidence, proof, fidelity, managed_bytes, time }
    }
}

struct Driver<'a> {
    stage: &'a Stage,
    plan: &'a Plan,
    talk: Conversation<'a>,
    /// Which kernel runs.
    kernel: &'a Bootable,
    /// What every kernel is told; each update adds a word of its own.
    command_line: String,
    facts: Option<BootFacts>,
    tokens: BTreeMap<ObjectId, Token>,
    /// Where objects lay when they were preserved for the next update.
    frames: BTreeMap<ObjectId, Frames>,
    /// Where those lay that the last update handed over, until they are compared.
    crossed: BTreeMap<ObjectId, Frames>,
    /// Ticks that the workload had counted at the last update.
    ticks: u64,
    /// Whether it is running now.
    ticking: bool,
    hops: Vec<HopUnderWay>,
    /// Of the update that is being prepared.
    timeline: Timeline,
    early: Vec<Reading>,
    late: Vec<Reading>,
    memory: Option<MemoryCounters>,
    /// Of a chain.
    accounts: Accounts,
    /// What checks left to be found after the update.
    notes: BTreeMap<Check, checks::Left>,
    /// What the kernel lacks for the check under way.
    not_applicable: Option<String>,
    /// What it has measured.
    figures: Vec<Figure>,
}

impl<'a> Driver<'a> {
    fn new(stage: &'a Stage, plan: &'a Plan, talk: Conversation<'a>, command_line: String) -> Self {
        Self {
            stage,
            plan,
            talk,
            kernel: &stage.kernel,
            command_line,
            facts: None,
            tokens: BTreeMap::new(),
            frames: BTreeMap::new(),
            crossed: BTreeMap::new(),
            ticks: 0,
            ticking: false,
            hops: Vec::new(),
            timeline: Timeline::default(),
            early: Vec::new(),
            late: Vec::new(),
            memory: None,
            accounts: Accounts::default(),
            notes: BTreeMap::new(),
            not_applicable: None,
            figures: Vec::new(),
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
            let not_applicable = self.not_applicable.take();
            let figures = std::mem::take(&mut self.figures);
            run.steps.push(StepRecord {
                text: text.clone(),
                generation,
                wall_ms,
                ok: ended.is_ok(),
                not_applicable,
                figures,
            });
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
        if !proof::is_build(&facts, &self.kernel.facts) || facts.handover.is_some() {
            return Err(Stop::Infrastructure(format!(
                "not the kernel that was booted cold runs, but {}",
                facts.version.trim()
            )));
        }
        self.check_processors(&facts)?;
        self.facts = Some(facts);
        self.early = self.talk.read_clock()?;
        self.open()?;
        if self.plan.steps.iter().any(|step| matches!(step.action, Action::NoLeak { .. })) {
            self.memory = Some(self.read_memory()?);
        }
        Ok(())
    }

    fn check_processors(&self, facts: &BootFacts) -> Result<(), Stop> {
        if facts.cpus == self.plan.cpus {
            return Ok(());
        }
        let message = format!("the guest has {} processors, it was given {}", facts.cpus, self.plan.cpus);
        Err(Stop::Infrastructure(message))
    }

    /// What is asked of a guest whose run is over: the time, and its log. A complaint that came late counts.
    fn last_words(&mut self) -> Result<String, Stop> {
        self.late = self.talk.read_clock()?;
        match self.talk.kernel_log()? {
            (_, Some(alarm)) => Err(self.talk.failed(alarm.kind, alarm.line)),
            (text, None) => Ok(text),
        }
    }

    fn open(&mut self) -> Result<(), Stop> {
        if !self.plan.has_holder() {
            return Ok(());
        }
        self.talk.ask_done(&Request::Open { interface: self.plan.interface }).map(drop)
    }

    fn step(&mut self, action: &Action) -> Result<(), Stop> {
        match action {
            Action::Create(ids) => self.talk.ask_done(&Request::Create { objects: self.specs(ids) }).map(drop),
            Action::StartWorkload => {
                self.talk.ask_done(&Request::StartWorkload { id: HEARTBEAT })?;
                self.ticking = true;
                Ok(())
            }
            Action::Preserve(ids) => self.preserve(ids),
            Action::Signal(event) => self.signal(*event),
            Action::Update(update) => self.update(update),
            Action::ResumeWorkload => self.resume(),
            Action::Retrieve(ids) => self.retrieve(ids),
            Action::ExpectAbsent(ids) => self.expect_absent(ids),
            Action::Verify(ids) => ids.iter().try_for_each(|&id| self.verify(id)),
            Action::Inject(fault) => self.inject(*fault),
            Action::NoLeak { within } => self.no_leak(*within),
            Action::Account(load) => self.account(*load),
            Action::Balance => self.accounts.balance().map_err(Stop::Failed),
            Action::Check { check, part, limit, dice } => self.check(*check, *part, *limit, *dice),
        }
    }

    fn inject(&mut self, fault: Fault) -> Result<(), Stop> {
        self.talk.ask_done(&Request::Inject(fault))?;
        // The workload is a thread of the holder's.
        self.ticking &= !matches!(fault, Fault::KillHolder);
        Ok(())
    }
}
