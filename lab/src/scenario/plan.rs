//! A scenario that can be run: nothing left to decide, nothing left to check.

use std::time::Duration;

use protocol::check::{Check, Dice};
use protocol::message::{Event, Fault, Interface, ObjectId, ObjectSpec};

use super::parameters::KernelParameters;
use super::size::Size;
use crate::result::{Claim, FailureKind, HopOutcome};

/// The number of the heartbeat object, whatever the scenario calls its own.
pub const HEARTBEAT: ObjectId = ObjectId(0);

/// One scenario on one interface.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The scenario's name.
    pub scenario: String,
    /// What a green run proves.
    pub about: String,
    /// The interface it goes through.
    pub interface: Interface,
    /// Processors of the guest.
    pub cpus: u32,
    /// RAM of the guest.
    pub memory: Size,
    /// What its kernels are told besides.
    pub kernel_parameters: KernelParameters,
    /// The failure it has to end in, if it is one that proves the lab's sight.
    pub must_fail: Option<FailureKind>,
    /// Every object, its number its index plus one; the heartbeat is not among them.
    pub objects: Vec<Object>,
    /// What is done.
    pub steps: Vec<Step>,
    /// Words that it is chosen by.
    pub tags: Vec<String>,
    /// What a green run proves, by requirement.
    pub claims: Vec<Claim>,
}

/// An object of the scenario.
#[derive(Clone, Debug)]
pub struct Object {
    /// As the scenario names it: `ledger`, or `ledger[7]` where it asked for several.
    pub name: String,
    /// Its number, size and seed.
    pub spec: ObjectSpec,
}

/// A step, and where it comes from.
#[derive(Clone, Debug)]
pub struct Step {
    /// What is done.
    pub action: Action,
    /// Its index in the scenario file; `None` if the plan put it in.
    pub origin: Option<usize>,
}

/// What is done.
#[derive(Clone, Debug)]
pub enum Action {
    /// Makes and fills objects.
    Create(Vec<ObjectId>),
    /// Makes the heartbeat and lets it tick.
    StartWorkload,
    /// Registers objects.
    Preserve(Vec<ObjectId>),
    /// Moves the state machine.
    Signal(Event),
    /// One live update.
    Update(Update),
    /// Retrieves the heartbeat first of all: the end of the blackout.
    ResumeWorkload,
    /// Opens objects again.
    Retrieve(Vec<ObjectId>),
    /// Requires that objects are not to be had.
    ExpectAbsent(Vec<ObjectId>),
    /// Compares every byte.
    Verify(Vec<ObjectId>),
    /// A deliberate wrong.
    Inject(Fault),
    /// Closes everything and counts memory.
    NoLeak {
        /// How much less than at the first boot is no leak.
        within: Size,
    },
    /// Counts the memory that the kernel manages in this generation.
    Account(Load),
    /// Compares what was counted, kernel by kernel.
    Balance,
    /// Asks a named check, or a half of one.
    Check {
        /// Which one.
        check: Check,
        /// Which part of it.
        part: Part,
        /// How long it may take.
        limit: Duration,
        /// For one that throws dice.
        dice: Dice,
    },
}

/// What a generation that is counted had been handed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// Nothing.
    Empty,
    /// What the chain carries; all of it is open again, and the update finished.
    Carried,
}

/// A part of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Within,
    /// What comes before an update.
    Leave,
    /// What comes after it.
    Find,
}

/// One live update.
#[derive(Clone, Debug)]
pub struct Update {
    /// The kernel to update into; the running one if `None`.
    pub kernel: Option<String>,
    /// Whether the kexec is left out, to prove that this is seen.
    pub skip_kexec: bool,
    /// What the new kernel, and it alone, is told besides.
    pub kernel_parameters: KernelParameters,
    /// What has to become of what was handed over, if the scenario says so.
    pub expect: Option<HopOutcome>,
    /// Whether something is handed over, by a step or by a check that was left.
    pub hands_over: bool,
}

impl Plan {
    /// The object with this number; `None` for the heartbeat.
    #[must_use]
    pub fn object(&self, id: ObjectId) -> Option<&Object> {
        self.objects.get((id.0 as usize).checked_sub(1)?)
    }

    /// Its name, for messages.
    #[must_use]
    pub fn name_of(&self, id: ObjectId) -> &str {
        self.object(id).map_or("heartbeat", |object| &object.name)
    }

    /// Live updates in it.
    #[must_use]
    pub fn hops(&self) -> usize {
        self.steps.iter().filter(|step| matches!(step.action, Action::Update(_))).count()
    }

    /// The kernels that its updates name.
    pub fn kernels(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().filter_map(|step| match &step.action {
            Action::Update(update) => update.kernel.as_deref(),
            _ => None,
        })
    }

    /// Whether anything is asked of the process that holds session and objects: checks have processes of their own.
    #[must_use]
    pub fn has_holder(&self) -> bool {
        self.steps.iter().any(|step| !matches!(step.action, Action::Check { .. } | Action::Update(_)))
    }

    /// A step in words: `verify ledger`.
    #[must_use]
    pub fn describe(&self, action: &Action) -> String {
        let several = |verb: &str, ids: &[ObjectId]| match ids {
            [one] => format!("{verb} {}", self.name_of(*one)),
            [first, .., last] => format!("{verb} {} … {} ({})", self.name_of(*first), self.name_of(*last), ids.len()),
            [] => verb.to_owned(),
        };
        match action {
            Action::Create(ids) => several("create", ids),
            Action::StartWorkload => "start the workload".to_owned(),
            Action::Preserve(ids) => several("preserve", ids),
            Action::Signal(event) => format!("{event:?}").to_lowercase(),
            Action::Update(update) => match &update.kernel {
                _ if update.skip_kexec => "update, its kexec left out".to_owned(),
                Some(kernel) => format!("update into {kernel}"),
                None => "update".to_owned(),
            },
            Action::ResumeWorkload => "resume the workload".to_owned(),
            Action::Retrieve(ids) => several("retrieve", ids),
            Action::ExpectAbsent(ids) => several("expect absent", ids),
            Action::Verify(ids) => several("verify", ids),
            Action::Inject(Fault::Corrupt { object, page }) => {
                format!("corrupt page {page} of {}", self.name_of(*object))
            }
            Action::Inject(Fault::Swap { object, pages: [a, b] }) => {
                format!("swap pages {a} and {b} of {}", self.name_of(*object))
            }
            Action::Inject(Fault::KillHolder) => "kill the session's holder".to_owned(),
            Action::NoLeak { within } => format!("require memory back within {within}"),
            Action::Account(Load::Empty) => "count the memory, nothing carried".to_owned(),
            Action::Account(Load::Carried) => "count the memory".to_owned(),
            Action::Balance => "balance the memory".to_owned(),
            Action::Check { check, part: Part::Within, .. } => format!("check {check}"),
            Action::Check { check, part: Part::Leave, .. } => format!("leave {check}"),
            Action::Check { check, part: Part::Find, .. } => format!("find {check}"),
        }
    }
}
