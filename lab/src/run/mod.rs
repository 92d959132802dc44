//! One plan on one machine, from cold boot to verdict.
//!
//! `conversation` talks to the agent and notices when the guest dies, hangs or complains; `driver`
//! walks through the plan's steps; `proof` decides whether an update happened at all; [`artefacts`]
//! keeps what is needed to understand a failure and to reproduce it by hand. [`pool`] makes many runs, side by side,
//! and `snapshots` boots once for those that begin alike.

pub mod artefacts;
pub(crate) mod conversation;
mod demand;
mod driver;
pub mod inspect;
mod outcome;
pub mod pool;
pub mod predict;
pub(crate) mod proof;
mod snapshots;
pub mod stage;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use protocol::message::Interface;

use crate::host::Cancel;
use crate::machine;
use crate::matrix::Hazards;
use crate::result::{Accelerator, Failure, FailureKind, Hop, HopOutcome, KernelFacts, Outcome, Prediction, Run, Start};
use crate::scenario::Document;
use crate::scenario::plan::Plan;
use artefacts::Artefacts;
use pool::Job;
use snapshots::Snapshots;

/// A kernel that can be booted, with the initramfs that goes with it: the module is bound to its build.
#[derive(Clone, Debug)]
pub struct Bootable {
    /// What it is.
    pub facts: KernelFacts,
    /// Its image.
    pub image: PathBuf,
    /// Its initramfs.
    pub initramfs: PathBuf,
    /// What it alone is told.
    pub parameters: String,
}

impl Bootable {
    /// The command line that it gets, of one that all get.
    pub(crate) fn told(&self, command_line: &str) -> String {
        format!("{command_line} {}", self.parameters).trim_end().to_owned()
    }
}

/// What runs have in common.
#[derive(Clone, Debug)]
pub struct Stage {
    /// The kernel that is booted cold, and updated into unless a step names another.
    pub kernel: Bootable,
    /// The kernels that updates go into which name none, in turn; empty: the kernel that runs.
    pub into: Vec<Bootable>,
    /// What an update has to come to whose step does not say.
    pub expect: Expect,
    /// The kernels that steps name.
    pub named: BTreeMap<String, Bootable>,
    /// What runs the guests.
    pub accelerator: Accelerator,
    /// What every kernel is told.
    pub command_line: String,
    /// Whether guests that begin alike may be booted once and restored from then on.
    pub snapshots: bool,
    /// When to lose patience.
    pub limits: Limits,
    /// Where each run gets its folder.
    pub runs: PathBuf,
}

/// What an update has to come to whose step does not say.
#[derive(Clone, Debug, Default)]
pub enum Expect {
    /// What it hands over is preserved.
    #[default]
    Preserved,
    /// What the kernels' sources let expect; but for hazards, which are known to come to something else.
    Predicted(Arc<Hazards>),
}

impl Expect {
    fn of(&self, from: &KernelFacts, to: &KernelFacts, by: Interface, predicted: Option<&Prediction>) -> HopOutcome {
        match self {
            Self::Preserved => HopOutcome::Preserved,
            Self::Predicted(hazards) => match hazards.find(&from.requested, &to.requested, by) {
                Some(hazard) => hazard.outcome,
                None => predicted.map_or(HopOutcome::Preserved, |predicted| predicted.outcome),
            },
        }
    }
}

/// When to lose patience.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Without a sign of life for this long, a guest hangs.
    pub silence: Duration,
    /// However alive, a run ends after this.
    pub total: Duration,
    /// How many times as long as a step says it may take.
    pub patience: u32,
}

impl Limits {
    /// Hops for which a run may take no longer than any other.
    const USUAL_HOPS: usize = 10;

    /// Those of a run with so many hops: a chain may take longer in all.
    #[must_use]
    pub fn of_hops(self, hops: usize) -> Self {
        let rounds = u32::try_from(hops.div_ceil(Self::USUAL_HOPS)).unwrap_or(u32::MAX);
        Self { total: self.total * rounds.max(1), ..self }
    }

    /// All of them so many times as long.
    #[must_use]
    pub fn times(self, patience: u32) -> Self {
        Self { silence: self.silence * patience, total: self.total * patience, patience: self.patience * patience }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { silence: Duration::from_secs(30), total: Duration::from_secs(300), patience: 1 }
    }
}

/// Hears how a run goes on.
pub trait Observer {
    /// A step of the plan begins.
    fn step(&mut self, text: &str, generation: u32);
    /// The step under way has done so many of so many bytes.
    fn progress(&mut self, done: u64, total: u64);
}

/// Why a run ended early.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The update went wrong.
    Failed(Failure),
    /// The lab could not find out.
    Infrastructure(String),
    /// The user wants to stop.
    Cancelled,
}

impl From<machine::Error> for Stop {
    fn from(error: machine::Error) -> Self {
        match error {
            machine::Error::Cancelled => Self::Cancelled,
            other => Self::Infrastructure(other.to_string()),
        }
    }
}

/// The user wants to stop; there is no result.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("cancelled")]
pub struct Cancelled;

/// Runs one plan, whatever becomes of it.
///
/// # Errors
/// Only if the user wants to stop.
pub fn run(
    stage: &Stage,
    document: &Document,
    plan: &Plan,
    observer: &mut dyn Observer,
    cancel: &Cancel,
) -> Result<Run, Cancelled> {
    let alone = Together { beside: &AtomicU32::new(0), snapshots: &Snapshots::default() };
    run_together(&Job { stage, document, plan }, alone, observer, cancel)
}

/// What a run has in common with those that are made with it.
#[derive(Clone, Copy)]
struct Together<'a> {
    /// The most that ran beside it so far.
    beside: &'a AtomicU32,
    snapshots: &'a Snapshots,
}

fn run_together(
    job: &Job<'_>,
    together: Together<'_>,
    observer: &mut dyn Observer,
    cancel: &Cancel,
) -> Result<Run, Cancelled> {
    let &Job { stage, plan, .. } = job;
    let began = Instant::now();
    let mut run = Run {
        scenario: plan.scenario.clone(),
        about: plan.about.clone(),
        interface: plan.interface,
        machine: 0,
        outcome: Outcome::Passed,
        must_fail: plan.must_fail,
        as_demanded: false,
        hops: Vec::new(),
        steps: Vec::new(),
        tags: plan.tags.clone(),
        claims: plan.claims.clone(),
        clock: None,
        wall_ms: 0,
        beside: 0,
        start: Start::default(),
        artefacts: String::new(),
    };
    let stop = match Artefacts::create(&stage.runs, plan) {
        Ok(artefacts) => {
            run.artefacts = artefacts.folder().to_string_lossy().into_owned();
            let stop = driver::drive(job, together.snapshots, &artefacts, &mut run, observer, cancel).err();
            run.wall_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            stop
        }
        Err(error) => Some(Stop::Infrastructure(error.to_string())),
    };
    match stop {
        None => run.outcome = as_expected(&run),
        // The last update lost what it had to lose, in the way in which it had to.
        Some(Stop::Failed(_)) if run.hops.last().is_some_and(Hop::is_expected_loss) => {}
        Some(Stop::Failed(failure)) => {
            run.as_demanded = demand::is_as_demanded(plan, &failure, &run.hops);
            run.outcome = Outcome::Failed(failure);
        }
        Some(Stop::Infrastructure(message)) => run.outcome = Outcome::Infrastructure { message },
        Some(Stop::Cancelled) => {
            // Nobody will look at half a run.
            let _ = std::fs::remove_dir_all(&run.artefacts);
            return Err(Cancelled);
        }
    }
    run.beside = together.beside.load(Ordering::Relaxed);
    // A verdict stands, whether or not it could be written down.
    if let (Err(error), Outcome::Passed) = (artefacts::write_result(&run), &run.outcome) {
        run.outcome = Outcome::Infrastructure { message: error.to_string() };
    }
    Ok(run)
}

/// Of a run in which every step did what it had to: passed, unless something came through that was to be lost.
fn as_expected(run: &Run) -> Outcome {
    match run.hops.last() {
        Some(hop) if hop.expected != HopOutcome::Preserved => {
            let message =
                format!("what {} handed to {} was to be {}, and every step passed", hop.from, hop.to, hop.expected);
            Outcome::Failed(Failure::new(FailureKind::UnexpectedOutcome, message))
        }
        _ => Outcome::Passed,
    }
}
