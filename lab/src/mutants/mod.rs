//! What the suite is worth: mistakes made on purpose, one at a time, and whether it sees them.
//!
//! First the suite runs without any: if it is not green, a red run proves nothing. Then each mutant is built and the suite
//! runs until something is red. One that does not apply, does not build, or whose runs come to no verdict is an error.

mod mutant;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use protocol::message::Interface;

use crate::cache::Cache;
use crate::host::{Cancel, Progress};
use crate::kernel::{self, module};
use crate::machine::accelerator::Wish;
use crate::result::{AcceleratorKind, Catch, Fate, MutantResult, Mutants, Outcome, Run, SCHEMA_VERSION};
use crate::run::stage::{self, Modules, Setup};
use crate::run::{self, Cancelled, Observer, Stage};
use crate::scenario::Document;
use crate::scenario::diagnostic::Diagnostic;
use crate::scenario::plan::Plan;
pub use mutant::{Error as MutantError, FOLDER, Mutant, Target, all};

/// What is to be tried.
#[derive(Clone, Debug)]
pub struct Hunt<'a> {
    /// With what the suite is run, the mistakes left out.
    pub setup: Setup<'a>,
    /// The suite.
    pub documents: &'a [Document],
    /// Whether it goes on after the first red run.
    pub to_the_end: bool,
}

/// Hears how it goes on.
pub trait Audience {
    /// A run begins, of this mutant or of none; who watches it?
    fn begins(&mut self, mutant: Option<&Mutant>, plan: &Plan) -> Box<dyn Observer + '_>;
    /// It has ended.
    fn ended(&mut self, mutant: Option<&Mutant>, run: &Run);
    /// It is known what became of a mutant.
    fn judged(&mut self, mutant: &Mutant, result: &MutantResult);
}

/// Why nothing was found out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What the suite runs on cannot be had.
    #[error(transparent)]
    Stage(#[from] stage::Error),
    /// A scenario says what cannot be.
    #[error(transparent)]
    Scenario(#[from] Diagnostic),
    /// Without any mistake something is red already.
    #[error("without a mutant {scenario} through {} is not green: what a mutant makes red would prove nothing\n  {message}", interface.name())]
    Baseline {
        /// The scenario.
        scenario: String,
        /// The interface.
        interface: Interface,
        /// How it went.
        message: String,
    },
    /// The user wants to stop.
    #[error("cancelled")]
    Cancelled,
}

impl From<Cancelled> for Error {
    fn from(_: Cancelled) -> Self {
        Self::Cancelled
    }
}

/// A run of the suite, and how long it takes.
struct Entry<'a> {
    document: &'a Document,
    plan: Plan,
    took: Duration,
}

/// Runs the suite without a mistake and then with each.
///
/// # Errors
/// It is not green without; or something fails that has nothing to do with a mutant.
pub fn hunt(
    hunt: &Hunt<'_>,
    mutants: &[Mutant],
    cache: &Cache,
    audience: &mut dyn Audience,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Mutants, Error> {
    let modules = if needs_module(mutants) { Modules::Own } else { Modules::None };
    let stage = stage::set_with(&hunt.setup, modules, cache, progress, cancel)?;
    let mut suite = suite(hunt.documents, mutants)?;
    for entry in &mut suite {
        let run = one(&stage, entry, None, audience, cancel)?;
        if !run.is_green() {
            let (scenario, interface, message) = (run.scenario.clone(), run.interface, words(&run));
            return Err(Error::Baseline { scenario, interface, message });
        }
        entry.took = Duration::from_millis(run.wall_ms);
    }
    let baseline_runs = u32::try_from(suite.len()).unwrap_or(u32::MAX);
    let environment = stage.environment(cache);
    // What runs guests was found out once; it is the same for a kernel with a mistake in it.
    let accelerator = match stage.accelerator.kind {
        AcceleratorKind::Kvm => Wish::Kvm,
        AcceleratorKind::Tcg => Wish::Tcg,
        AcceleratorKind::Icount => Wish::Icount,
    };
    let hunt = Hunt { setup: Setup { accelerator, ..hunt.setup.clone() }, ..hunt.clone() };
    let mut results = Vec::new();
    for mutant in mutants {
        let began = Instant::now();
        let fate = match set_with(&hunt, mutant, cache, progress, cancel) {
            Ok(stage) => judge(&hunt, &stage, &mut suite, mutant, audience, cancel)?,
            Err(_) if cancel.is_cancelled() => return Err(Error::Cancelled),
            Err(error) => Fate::Error { message: error.to_string() },
        };
        let result = MutantResult {
            name: mutant.name.clone(),
            mistake: mutant.mistake.clone(),
            met_as: mutant.met_as.clone(),
            patch_sha256: mutant.patch.sha256(),
            fate,
            wall_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        };
        audience.judged(mutant, &result);
        results.push(result);
    }
    Ok(Mutants { schema_version: SCHEMA_VERSION, environment, baseline_runs, mutants: results })
}

fn needs_module<'a>(mutants: impl IntoIterator<Item = &'a Mutant>) -> bool {
    mutants.into_iter().any(|mutant| mutant.interfaces() != [Interface::Luo])
}

/// Every scenario on every interface that one of the mutants can affect.
fn suite<'a>(documents: &'a [Document], mutants: &[Mutant]) -> Result<Vec<Entry<'a>>, Diagnostic> {
    let mut suite = Vec::new();
    for document in documents {
        for &interface in &document.scenario.interfaces {
            if mutants.iter().any(|mutant| mutant.interfaces().contains(&interface)) {
                let plan = document.plan(interface)?;
                suite.push(Entry { document, plan, took: Duration::ZERO });
            }
        }
    }
    Ok(suite)
}

/// What a mutant is run on.
fn set_with(
    hunt: &Hunt<'_>,
    mutant: &Mutant,
    cache: &Cache,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Stage, stage::Error> {
    match mutant.target {
        Target::Linux => {
            let kernel = hunt.setup.kernel.clone().with_patch(mutant.patch.clone());
            let modules = if needs_module([mutant]) { Modules::Own } else { Modules::None };
            let setup = Setup { kernel, ..hunt.setup.clone() };
            stage::set_with(&setup, modules, cache, progress, cancel)
        }
        Target::Module => {
            let scratch = std::env::temp_dir();
            let failed = |source| kernel::Error::Io { action: "create a folder in", path: scratch.clone(), source };
            let folder = tempfile::tempdir().map_err(failed)?;
            let patch = std::slice::from_ref(&mutant.patch);
            let sources = module::patched(hunt.setup.workspace, patch, folder.path(), cache, progress, cancel)?;
            stage::set_with(&hunt.setup, Modules::From(sources), cache, progress, cancel)
        }
    }
}

/// Runs what can be affected: first what is about the interface that is nearest, the quick before the long.
fn judge(
    hunt: &Hunt<'_>,
    stage: &Stage,
    suite: &mut [Entry<'_>],
    mutant: &Mutant,
    audience: &mut dyn Audience,
    cancel: &Cancel,
) -> Result<Fate, Error> {
    let rank: BTreeMap<Interface, usize> = (0..).zip(mutant.interfaces()).map(|(rank, &it)| (it, rank)).collect();
    suite.sort_by_key(|entry| {
        let interface = entry.plan.interface;
        let apart = !entry.plan.scenario.starts_with(interface.name());
        (rank.get(&interface).copied().unwrap_or(usize::MAX), apart, entry.took)
    });
    let (mut by, mut runs, mut first) = (Vec::new(), 0u32, 0);
    for entry in suite.iter().filter(|entry| rank.contains_key(&entry.plan.interface)) {
        let run = one(stage, entry, Some(mutant), audience, cancel)?;
        runs += 1;
        if run.is_green() {
            continue;
        }
        if let Outcome::Infrastructure { message } = &run.outcome {
            let (scenario, interface) = (&run.scenario, run.interface.name());
            return Ok(Fate::Error { message: format!("{scenario} through {interface}: {message}") });
        }
        first = if by.is_empty() { runs } else { first };
        by.push(Catch {
            scenario: run.scenario.clone(),
            interface: run.interface,
            kind: kind(&run),
            message: words(&run),
        });
        if !hunt.to_the_end {
            break;
        }
    }
    Ok(match (by.is_empty(), runs) {
        (true, 0) => {
            let names: Vec<&str> = mutant.interfaces().iter().map(|interface| interface.name()).collect();
            Fate::Error {
                message: format!("none of the scenarios goes through {}, which it can affect", names.join(" or ")),
            }
        }
        (true, _) => Fate::Missed { runs },
        (false, _) => Fate::Caught { by, runs: first },
    })
}

fn one(
    stage: &Stage,
    entry: &Entry<'_>,
    mutant: Option<&Mutant>,
    audience: &mut dyn Audience,
    cancel: &Cancel,
) -> Result<Run, Error> {
    let mut observer = audience.begins(mutant, &entry.plan);
    let run = run::run(stage, entry.document, &entry.plan, observer.as_mut(), cancel);
    drop(observer);
    let run = run?;
    audience.ended(mutant, &run);
    Ok(run)
}

fn kind(run: &Run) -> Option<crate::result::FailureKind> {
    match &run.outcome {
        Outcome::Failed(failure) => Some(failure.kind),
        Outcome::Passed | Outcome::Infrastructure { .. } => None,
    }
}

fn words(run: &Run) -> String {
    match &run.outcome {
        Outcome::Failed(failure) => failure.message.clone(),
        Outcome::Infrastructure { message } => message.clone(),
        Outcome::Passed => "it passed, and had to fail".to_owned(),
    }
}
