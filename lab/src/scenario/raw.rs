//! The YAML of a scenario, as serde reads it.

mod check;

use std::num::NonZeroU32;

use protocol::message::Interface;
use serde::de::IntoDeserializer as _;
use serde::de::value::MapAccessDeserializer;
use serde::{Deserialize, Deserializer};

use super::diagnostic::{Diagnostic, Place, suggest};
use super::parameters::KernelParameters;
use super::size::Size;
use crate::result::{FailureKind, HopOutcome};
pub use check::{CheckStep, Patience};

/// A scenario file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Scenario {
    /// One sentence: what a green run proves.
    pub about: String,
    /// The interfaces that it runs through, each a run of its own.
    #[serde(default = "those_with_files")]
    pub interfaces: Vec<Interface>,
    /// The requirements that a green run proves, by id.
    #[serde(default)]
    pub proves: Names,
    /// Words to choose scenarios by.
    #[serde(default)]
    pub tags: Names,
    /// The guest.
    #[serde(default)]
    pub machine: Machine,
    /// Whether a workload ticks in a preserved page, which times the blackout.
    #[serde(default = "yes")]
    pub workload: bool,
    /// Varies the content of the objects.
    #[serde(default)]
    pub seed: u32,
    /// The failure that this scenario has to end in: proof that the lab sees it.
    pub must_fail: Option<FailureKind>,
    /// What is done, in order.
    pub steps: Vec<Step>,
}

/// The guest's shape.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Machine {
    /// Processors.
    pub cpus: NonZeroU32,
    /// RAM.
    pub memory: Size,
    /// What the kernels are told besides.
    pub kernel_parameters: KernelParameters,
}

impl Default for Machine {
    fn default() -> Self {
        Self { cpus: NonZeroU32::MIN, memory: Size(1 << 30), kernel_parameters: KernelParameters::default() }
    }
}

/// One step: a word, or a word with what it applies to.
#[derive(Clone, Debug)]
pub struct Step(pub Action);

impl<'de> Deserialize<'de> for Step {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Step;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a step, such as `update` or `verify: ledger`")
            }
            fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<Step, E> {
                match word {
                    "update" => Ok(Step(Action::Update(UpdateOptions::default()))),
                    "no-leak" => Ok(Step(Action::NoLeak(LeakTolerance::default()))),
                    "prepare" | "freeze" | "cancel" | "finish" | "kill-agent" => {
                        Action::deserialize(word.into_deserializer()).map(Step)
                    }
                    known if STEPS.contains(&known) => {
                        Err(E::custom(format!("`{known}` needs to be told what to apply to: `{known}: …`")))
                    }
                    unknown => Err(E::unknown_variant(unknown, STEPS)),
                }
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<Step, A::Error> {
                Action::deserialize(MapAccessDeserializer::new(map)).map(Step)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// What a step does.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Makes objects and fills them.
    Create(Create),
    /// Registers objects to be preserved.
    Preserve(Names),
    /// NORMAL → PREPARED, before the update would do it by itself.
    Prepare,
    /// PREPARED → FROZEN, before the update would do it by itself.
    Freeze,
    /// Gives up what was preserved.
    Cancel,
    /// One live update.
    Update(UpdateOptions),
    /// Opens preserved objects in the new kernel.
    Retrieve(Names),
    /// Compares every byte.
    Verify(Names),
    /// Requires that objects are not there any more.
    Absent(Names),
    /// Ends the generation: what was not retrieved is given back.
    Finish,
    /// Closes every object and requires that the kernel has its memory back.
    NoLeak(LeakTolerance),
    /// Many live updates in a row, with data checked and added at each of them.
    Chain(Chain),
    /// Flips a bit.
    Corrupt(Corrupt),
    /// Exchanges two pages.
    Swap(Swap),
    /// Kills the process that holds the session.
    KillAgent,
    /// Asks a named check.
    Check(CheckStep),
    /// Asks the half of a named check that comes before an update.
    Leave(CheckStep),
    /// Asks the half that comes after it.
    Find(CheckStep),
}

impl Action {
    /// Whether it is done with files, or with what holds them.
    #[must_use]
    pub fn needs_files(&self) -> bool {
        !matches!(self, Self::Update(_) | Self::Check(_) | Self::Leave(_) | Self::Find(_))
    }
}

/// The steps' names, as they stand in YAML.
pub const STEPS: &[&str] = &[
    "create",
    "preserve",
    "prepare",
    "freeze",
    "cancel",
    "update",
    "retrieve",
    "verify",
    "absent",
    "finish",
    "no-leak",
    "chain",
    "corrupt",
    "swap",
    "kill-agent",
    "check",
    "leave",
    "find",
];

/// `create: {name: ledger, size: 64 MiB, count: 200}`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Create {
    /// What later steps call it, or all of them.
    pub name: String,
    /// Bytes, of each.
    pub size: Size,
    /// How many.
    #[serde(default = "one")]
    pub count: NonZeroU32,
}

/// `update`, or `update: {kernel: 7.1, expect: refused}`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct UpdateOptions {
    /// The kernel to update into; the one that runs, if none is named.
    pub kernel: Option<String>,
    /// Starts the agent anew and leaves the kernel as it is: a live update that never happened.
    pub skip_kexec: bool,
    /// What the new kernel, and it alone, is told besides.
    pub kernel_parameters: KernelParameters,
    /// What has to become of what was handed over. The steps behind it say how that is looked for.
    pub expect: Option<HopOutcome>,
}

/// `no-leak`, or `no-leak: {within: 16 MiB}`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct LeakTolerance {
    /// How much less memory than at the first boot is no leak.
    pub within: Size,
}

impl Default for LeakTolerance {
    fn default() -> Self {
        Self { within: Size(16 << 20) }
    }
}

/// `chain: {hops: 100, kernels: [7.2, 7.3]}`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Chain {
    /// How many updates.
    pub hops: NonZeroU32,
    /// The kernels to update into, in turn; the one that runs, if none is named.
    #[serde(default)]
    pub kernels: Vec<String>,
    /// Bytes that go all the way.
    #[serde(default = "mebibyte")]
    pub carry: Size,
    /// Bytes that each generation adds.
    #[serde(default = "addition")]
    pub add: Size,
    /// Generations for which an addition is carried on before it is let go.
    #[serde(default = "generations")]
    pub keep: NonZeroU32,
}

/// `corrupt: {object: ledger, page: 3}`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Corrupt {
    /// The victim.
    pub object: String,
    /// Its page.
    pub page: u64,
}

/// `swap: {object: ledger, pages: [3, 7]}`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Swap {
    /// The victim.
    pub object: String,
    /// The two.
    pub pages: [u64; 2],
}

/// `ledger`, or `[ledger, journal]`.
#[derive(Clone, Debug, Default)]
pub struct Names(pub Vec<String>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Names;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a name, or a list of names")
            }
            fn visit_str<E>(self, name: &str) -> Result<Names, E> {
                Ok(Names(vec![name.to_owned()]))
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut names: A) -> Result<Names, A::Error> {
                let mut all = Vec::new();
                while let Some(name) = names.next_element()? {
                    all.push(name);
                }
                Ok(Names(all))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

fn those_with_files() -> Vec<Interface> {
    Interface::ALL.to_vec()
}

fn yes() -> bool {
    true
}

fn mebibyte() -> Size {
    Size(1 << 20)
}

fn addition() -> Size {
    Size(64 << 10)
}

fn generations() -> NonZeroU32 {
    NonZeroU32::MIN.saturating_add(3)
}

fn one() -> NonZeroU32 {
    NonZeroU32::MIN
}

/// YAML that serde cannot read as a scenario.
#[derive(Debug)]
pub struct Unreadable(serde_yaml::Error);

impl Unreadable {
    pub(super) fn at(self, path: &str, text: &str) -> Diagnostic {
        let place = self.0.location().map(|at| Place { line: at.line(), column: at.column() });
        let message = self.0.to_string();
        // The place is shown apart.
        let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(head, _)| head).to_owned();
        let help = suggest(&message, STEPS);
        Diagnostic::new(path, text, place, message, help)
    }
}

/// Longest scenario file, in bytes: what people write is a hundredth of it.
pub const MAX_BYTES: usize = 1 << 20;

pub(super) fn parse(text: &str) -> Result<Scenario, Unreadable> {
    if text.len() > MAX_BYTES {
        let error =
            serde::de::Error::custom(format!("a scenario is at most {MAX_BYTES} bytes, this is {}", text.len()));
        return Err(Unreadable(error));
    }
    serde_yaml::from_str(text).map_err(Unreadable)
}
