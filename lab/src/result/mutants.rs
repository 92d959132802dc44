//! What a suite caught of the mistakes that were made on purpose.

use protocol::message::Interface;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Environment, FailureKind};

/// All that `mutants --json` writes.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Mutants {
    /// The version of this format.
    pub schema_version: u32,
    /// With what the suite ran without a mistake, and was green.
    pub environment: Environment,
    /// How many runs those were.
    pub baseline_runs: u32,
    /// What became of each mutant.
    pub mutants: Vec<MutantResult>,
}

/// One mistake, and who saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MutantResult {
    /// Its name.
    pub name: String,
    /// What the mistake is.
    pub mistake: String,
    /// How a user would meet it.
    pub met_as: String,
    /// The hash of the patch.
    pub patch_sha256: String,
    /// Whether it was seen.
    #[serde(flatten)]
    pub fate: Fate,
    /// Milliseconds for build and runs.
    pub wall_ms: u64,
}

/// Whether a mutant was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "fate", rename_all = "kebab-case")]
pub enum Fate {
    /// Something that is green without the mistake was red with it.
    Caught {
        /// What: the first one, unless all were asked for.
        by: Vec<Catch>,
        /// How many runs it took to the first.
        runs: u32,
    },
    /// All was green.
    Missed {
        /// How many runs that were.
        runs: u32,
    },
    /// It does not apply or does not build, or a run came to no verdict: nothing is known of the suite.
    Error {
        /// Why.
        message: String,
    },
}

/// A run that was red.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Catch {
    /// The scenario.
    pub scenario: String,
    /// The interface.
    #[schemars(with = "String")]
    pub interface: Interface,
    /// How it failed; none if it had to fail and did not.
    pub kind: Option<FailureKind>,
    /// In words.
    pub message: String,
}
