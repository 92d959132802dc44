//! The typed result of a run. Every figure in it was measured in that run.

mod conformance;
mod hop;
mod matrix;
mod mutants;
mod selftest;

use std::time::Duration;

use protocol::message::Interface;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kernel::Abi;
pub use conformance::{Cell, CellState, Claim, Conformance, Evidence};
pub use hop::{BadPage, Fidelity, Hop, HopOutcome, HopTime, Phase, PhaseName, Prediction, Proof};
pub use matrix::{Finding, Matrix, MatrixCell, MatrixKernel, Tally};
pub use mutants::{Catch, Fate, MutantResult, Mutants};
pub use selftest::{Selftest, SelftestOutcome};

/// Raised whenever a field changes its name or its meaning.
pub const SCHEMA_VERSION: u32 = 2;

/// All that one command ran.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Where and with what it ran: one machine, or those whose reports were joined.
    pub environments: Vec<Environment>,
    /// The runs, in order.
    pub runs: Vec<Run>,
    /// How long they took, all together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pace: Option<Pace>,
    /// What became of each pair of kernels, if that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matrix: Option<Matrix>,
    /// What they prove, requirement by requirement, if that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conformance: Option<Conformance>,
    /// What the kernel's own tests said, if they were run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub selftests: Vec<Selftest>,
}

/// How quickly many runs were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Pace {
    /// Wall time on the host from the first run's beginning to the last one's end, in milliseconds.
    pub wall_ms: u64,
    /// Runs that came to a verdict in it.
    pub runs: u64,
    /// The most guests at a time.
    pub side_by_side: u32,
    /// Runs whose guest was not booted but restored.
    #[serde(default)]
    pub restored: u64,
}

impl Pace {
    /// Of these runs, which took so long together.
    #[must_use]
    pub fn of(runs: &[Run], wall: Duration) -> Self {
        Self {
            wall_ms: u64::try_from(wall.as_millis()).unwrap_or(u64::MAX),
            runs: runs.len() as u64,
            side_by_side: runs.iter().map(|run| run.beside.saturating_add(1)).max().unwrap_or(0),
            restored: runs.iter().filter(|run| run.start == Start::Restored).count() as u64,
        }
    }

    /// Runs a minute.
    #[must_use]
    pub fn per_minute(&self) -> f64 {
        self.runs as f64 * 60e3 / self.wall_ms.max(1) as f64
    }
}

/// Where and with what the runs ran.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Environment {
    /// Version of the lab.
    pub lab: String,
    /// QEMU's version.
    pub qemu: String,
    /// What ran the guests, and why that.
    pub accelerator: Accelerator,
    /// `uname -r` of the host.
    pub host_kernel: String,
    /// The kernels that ran, the first of them the one booted cold.
    pub kernels: Vec<KernelFacts>,
}

/// What ran the guests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Accelerator {
    /// Figures of two kinds are never compared.
    pub kind: AcceleratorKind,
    /// Why: asked for, or proven, or why the other did not do.
    pub reason: String,
}

/// QEMU's accelerators, those that the lab uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AcceleratorKind {
    /// Hardware virtualization.
    Kvm,
    /// Software emulation.
    Tcg,
    /// Software emulation whose clock counts the guest's instructions, each 8 ns: what else the host does cannot be
    /// seen in it, nor what hardware would take.
    Icount,
}

/// What a kernel is built for: to be fast, or to find faults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// Nothing that costs time: its figures count.
    #[default]
    Fast,
    /// The same, with all that shortens the outage: its figures count, among its own kind.
    Tuned,
    /// Checks of locks, memory, lists and leaks, and faults on demand: its figures do not count.
    Debug,
    /// A check of each access to memory, in C and in Rust: its figures do not count.
    Kasan,
}

/// A kernel that took part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KernelFacts {
    /// As it was asked for, by name or source.
    pub requested: String,
    /// `uname -r`.
    pub release: String,
    /// `/proc/version` in the guest: names this very build.
    pub version: String,
    /// What it was built for. Figures of time of one that is not fast are compared with none.
    #[serde(default)]
    pub profile: Profile,
    /// Where its source came from.
    pub origin: String,
    /// SHA-256 of its source.
    pub source_sha256: String,
    /// What was laid on top of it, in order.
    #[serde(default)]
    pub patches: Vec<PatchFacts>,
    /// SHA-256 of its image.
    pub image_sha256: String,
    /// SHA-256 of its configuration.
    pub config_sha256: String,
    /// C compiler.
    pub compiler: String,
    /// Rust compiler, if it has Rust.
    pub rustc: Option<String>,
    /// SHA-256 of the module built for it, if it has Rust.
    pub module_sha256: Option<String>,
    /// SHA-256 of the kernel's own client of plain Kexec HandOver, if it has one.
    #[serde(default)]
    pub test_kho_sha256: Option<String>,
    /// SHA-256 of the initramfs that carries agent and module.
    pub initramfs_sha256: String,
    /// How it hands its memory on, as its source says.
    #[serde(default)]
    pub abi: Abi,
}

/// A patch that was laid on a kernel's source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PatchFacts {
    /// Its file's name.
    pub name: String,
    /// SHA-256 of its text.
    pub sha256: String,
}

/// One scenario on one interface.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Run {
    /// The scenario's name.
    pub scenario: String,
    /// What a green run proves.
    pub about: String,
    /// The interface it went through.
    #[schemars(with = "String")]
    pub interface: Interface,
    /// Which of the report's environments it ran in.
    #[serde(default)]
    pub machine: usize,
    /// How it ended.
    pub outcome: Outcome,
    /// The failure that the scenario had to end in, if it is a proof of the lab's sight.
    pub must_fail: Option<FailureKind>,
    /// Whether it ended so, and because of what the scenario did wrong and nothing else.
    pub as_demanded: bool,
    /// The live updates, in order.
    pub hops: Vec<Hop>,
    /// The steps that were begun, in order.
    pub steps: Vec<StepRecord>,
    /// The words that it can be chosen by.
    #[serde(default)]
    pub tags: Vec<String>,
    /// The requirements that it proves if it is green.
    #[serde(default)]
    pub claims: Vec<Claim>,
    /// How guest time was read.
    pub clock: Option<ClockFacts>,
    /// Wall time on the host from QEMU's start to its end, in milliseconds. For the reader, not a measurement.
    pub wall_ms: u64,
    /// The most guests that the same command had running beside this one. They share the host's processors and caches:
    /// times are compared only with times of runs that had as many beside them, and those measured alone are the true ones.
    #[serde(default)]
    pub beside: u32,
    /// How its first kernel came to run.
    #[serde(default)]
    pub start: Start,
    /// The folder with console, logs and the command line to reproduce by hand.
    pub artefacts: String,
}

impl Run {
    /// Whether it ended as it has to: passed, or failed in the way that was demanded.
    #[must_use]
    pub fn is_green(&self) -> bool {
        match (&self.outcome, self.must_fail) {
            (Outcome::Passed, None) => true,
            (Outcome::Failed(failure), Some(demanded)) => failure.kind == demanded && self.as_demanded,
            _ => false,
        }
    }

    /// Why checks of it did not apply, in order.
    pub fn not_applicable(&self) -> impl Iterator<Item = (&str, &str)> {
        self.steps.iter().filter_map(|step| Some((step.text.as_str(), step.not_applicable.as_deref()?)))
    }
}

/// How a guest's first kernel came to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "how", rename_all = "kebab-case")]
pub enum Start {
    /// It was booted, cold.
    Booted {
        /// Why it was not restored, if it might have been.
        why: Option<String>,
    },
    /// It was restored from a snapshot, of a guest of the same shape that had booted the same kernel and whose agent was
    /// ready. Its memory is laid out as that of all others that were.
    Restored,
}

impl Default for Start {
    fn default() -> Self {
        Self::Booted { why: None }
    }
}

/// How a run ended.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum Outcome {
    /// Every step did what it had to, and the updates are proven.
    Passed,
    /// The update lost or changed something, or did not happen.
    Failed(Failure),
    /// The lab could not find out.
    Infrastructure {
        /// Why.
        message: String,
    },
}

/// Why a run is red.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// Its kind.
    pub kind: FailureKind,
    /// What happened, in a sentence.
    pub message: String,
    /// The step in words, if one was under way.
    pub step: Option<String>,
    /// `file:line:column` of that step.
    pub place: Option<String>,
    /// What the guest's kernel answered, if a system call failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errno: Option<i32>,
    /// The guest's last console lines, or other proof.
    pub evidence: Vec<String>,
}

impl Failure {
    /// One of which no more is known yet.
    #[must_use]
    pub fn new(kind: FailureKind, message: String) -> Self {
        Self { kind, message, step: None, place: None, errno: None, evidence: Vec::new() }
    }
}

/// The ways in which a live update goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// A page does not hold what it must.
    PageCorrupted,
    /// A page holds another page's content.
    PagesSwapped,
    /// A page is identical, at another physical address: it was copied.
    PageMoved,
    /// An object came back with another size.
    WrongSize,
    /// An object did not come back.
    NotFound,
    /// An object came back that must not.
    UnexpectedlyFound,
    /// It is not proven that a new kernel runs, and came by this update.
    UpdateNotProven,
    /// Memory did not come back to the kernel.
    Leak,
    /// An operation was refused.
    Refused,
    /// The workload's page did not come back as it was.
    WorkloadBroken,
    /// The guest's kernel panicked.
    KernelPanic,
    /// The guest's kernel oopsed, warned, or reported a bug or a stall.
    KernelComplaint,
    /// The guest reset, shut down or died without a word.
    GuestDied,
    /// The guest said nothing any more.
    Hung,
    /// The guest went on working past the time limit.
    TimedOut,
    /// The agent's process that holds the session died.
    HolderDied,
    /// The agent broke the protocol, or claims what cannot be.
    AgentMisbehaved,
    /// A named check found something else than it must.
    CheckFailed,
    /// A named check came to no end: it died, or was killed when its time was up.
    CheckUnfinished,
    /// An update did not end as it had to: what was to be refused or lost came through.
    UnexpectedOutcome,
    /// One of the kernel's own tests says that something is wrong.
    TestFailed,
    /// One of the kernel's own tests died, or said less than it had announced.
    TestUnfinished,
}

/// How guest time was read.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClockFacts {
    /// Time stamp counter's rate, against the host's monotonic clock.
    pub tsc_hz: f64,
    /// Half-width of what that rate may be off, in parts per million.
    pub error_ppm: f64,
}

/// A step that was begun.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct StepRecord {
    /// In words.
    pub text: String,
    /// Generation of the kernel it ran under: 0 for the one booted cold.
    pub generation: u32,
    /// Wall time on the host, in milliseconds. For the reader, not a measurement.
    pub wall_ms: u64,
    /// Whether it did what it had to.
    pub ok: bool,
    /// What the kernel lacks, if this was a check that does not apply for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_applicable: Option<String>,
    /// What a check has measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub figures: Vec<Figure>,
}

/// A stretch of guest time that a check has measured. Several may bear one name: measured anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Figure {
    /// What was done in it.
    pub what: String,
    /// How long that took; there is none where the run gave no clock.
    pub ns: Option<u64>,
    /// Time stamp counter at its beginning and end, as read.
    pub tsc: [u64; 2],
}
