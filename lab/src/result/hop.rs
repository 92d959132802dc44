//! One live update: what became of what was handed over, what proves it, and how long it took.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What becomes of a payload on its way from one kernel into the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HopOutcome {
    /// It is there, bit for bit the same.
    #[default]
    Preserved,
    /// It is there, and not the same.
    Altered,
    /// The new kernel says that it does not take the handover, and boots as if cold.
    Refused,
    /// The new kernel takes the handover, and says or shows that it has no use for this payload.
    Ignored,
    /// The new kernel takes the handover, and its interface, or what is in it, cannot be opened.
    Unopenable,
    /// The new kernel panics.
    Panicked,
    /// The new kernel dies, hangs or resets without a panic.
    Died,
    /// The new kernel is healthy, nothing is there, and nobody says so: the worst.
    LostSilently,
}

impl HopOutcome {
    /// All of them, the best first.
    pub const ALL: &[Self] = &[
        Self::Preserved,
        Self::Altered,
        Self::Refused,
        Self::Ignored,
        Self::Unopenable,
        Self::Panicked,
        Self::Died,
        Self::LostSilently,
    ];

    /// Its name, as it stands in a scenario.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Preserved => "preserved",
            Self::Altered => "altered",
            Self::Refused => "refused",
            Self::Ignored => "ignored",
            Self::Unopenable => "unopenable",
            Self::Panicked => "panicked",
            Self::Died => "died",
            Self::LostSilently => "lost silently",
        }
    }

    /// Whether a guest lives on after it.
    #[must_use]
    pub const fn is_survived(self) -> bool {
        !matches!(self, Self::Panicked | Self::Died)
    }
}

impl fmt::Display for HopOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What two kernels' sources let expect of an update from one into the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Prediction {
    /// What.
    pub outcome: HopOutcome,
    /// Why, in a few words: the first string in which the two differ.
    pub why: String,
}

/// One live update.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Hop {
    /// The kernel that ran, as it was asked for.
    pub from: String,
    /// The kernel that it went into, as it was asked for.
    pub to: String,
    /// What became of what was handed over; none if nothing was, or if it could not be found out.
    pub outcome: Option<HopOutcome>,
    /// What had to become of it.
    pub expected: HopOutcome,
    /// What the two kernels' sources let expect.
    pub predicted: Option<Prediction>,
    /// Whether the pages handed over are still reserved, where they were not retrieved and that was looked up.
    pub still_reserved: Option<bool>,
    /// The lines of console or kernel log that show an outcome other than preserved.
    pub evidence: Vec<String>,
    /// What shows that it happened; none if no agent answered in the new kernel.
    pub proof: Option<Proof>,
    /// What was handed over and compared.
    pub fidelity: Fidelity,
    /// Bytes of memory that the kernel manages after it, with all that was carried open and the update finished; of
    /// chains alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed_bytes: Option<u64>,
    /// How long it took; parts are missing where the run ended early or no workload ticked.
    pub time: HopTime,
}

impl Hop {
    /// Whether what was handed over was lost, as it had to be and in the way in which it had to.
    #[must_use]
    pub fn is_expected_loss(&self) -> bool {
        self.expected != HopOutcome::Preserved && self.outcome == Some(self.expected)
    }
}

/// What shows that a live update happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Proof {
    /// Release of the kernel before.
    pub from_release: String,
    /// Release of the kernel after.
    pub to_release: String,
    /// `/proc/version` after: names the build.
    pub to_version: String,
    /// Whether the kernel after was given this update's own command line, and no other's.
    pub command_line_matches: bool,
    /// Boot id before.
    pub from_boot_id: String,
    /// Boot id after.
    pub to_boot_id: String,
    /// Whether the new kernel says that it came by Kexec HandOver.
    pub said_handover: bool,
    /// The release that the new kernel says it came from; before 7.1 it is not told.
    pub said_previous_release: Option<String>,
    /// Live updates since the cold boot, as the new kernel counts them; before 7.1 it does not.
    pub kexec_count: Option<u32>,
}

impl Proof {
    /// Whether a new kernel runs, and is the one that was loaded, by whatever way it came.
    #[must_use]
    pub fn is_new_kernel(&self) -> bool {
        self.from_boot_id != self.to_boot_id && self.command_line_matches
    }
}

/// Preserved memory, as it was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fidelity {
    /// Objects compared.
    pub objects: u64,
    /// Bytes compared.
    pub bytes: u64,
    /// Pages that were preserved and compared.
    pub pages: u64,
    /// Pages identical to what was written, at their own index.
    pub identical: u64,
    /// Pages at the physical address they had before: zero-copy.
    pub in_place: u64,
    /// The first page that is not identical.
    pub first_bad: Option<BadPage>,
}

/// A page that is not what it must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BadPage {
    /// The object's name.
    pub object: String,
    /// The page's index in it.
    pub index: u64,
    /// What stands there, in words.
    pub found: String,
    /// First byte that differs, from the page's beginning.
    pub offset: u32,
    /// The eight bytes expected there, in memory order, in hex.
    pub expected: String,
    /// The eight bytes found there.
    pub actual: String,
}

/// Durations of one update in guest time, in nanoseconds.
///
/// The workload ticks on after reboot(2) is called; so the update time begins before the blackout.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HopTime {
    /// Last tick under the old kernel → first tick under the new.
    pub blackout_ns: Option<u64>,
    /// How much longer than the truth the blackout may read: the mean time between two ticks before it, and what
    /// the clock's rate may be off.
    pub blackout_error_ns: Option<u64>,
    /// PREPARE → reboot(2): the workload runs, slower.
    pub brownout_ns: Option<u64>,
    /// reboot(2) → the last of the preserved memory retrieved.
    pub update_ns: Option<u64>,
    /// The parts, in order.
    pub phases: Vec<Phase>,
}

/// A part of an update.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Phase {
    /// Its name, as the glossary has it.
    pub name: PhaseName,
    /// Its duration.
    pub ns: u64,
    /// Time stamp counter at its beginning and end, as read.
    pub tsc: [u64; 2],
}

/// The parts of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PhaseName {
    /// Objects are registered. The workload runs.
    Preserve,
    /// NORMAL → PREPARED. The workload runs.
    Prepare,
    /// PREPARED → FROZEN. The workload runs.
    Freeze,
    /// The next kernel is loaded. The workload runs.
    Load,
    /// reboot(2) → the workload's last tick.
    Shutdown,
    /// The workload's last tick → the agent's first instruction: jump, decompression, boot.
    Restart,
    /// The agent's first instruction → its ports are open.
    AgentStart,
    /// Ports open → the heartbeat is asked for: handshake, interface opened, module loaded.
    Handshake,
    /// The heartbeat is asked for → its first tick.
    Resume,
    /// Preserved objects are opened again.
    Retrieve,
    /// Every byte is compared.
    Verify,
}
