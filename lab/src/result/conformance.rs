//! Which requirement is proven on which face.

use protocol::message::Interface;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::requirement::Requirement;

/// A requirement that a scenario says to prove, or to refute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Claim {
    /// Which one.
    pub requirement: Requirement,
    /// The step that proves it, by its index in the run's steps, which end before it if the run did. `None`: the run
    /// as a whole.
    pub step: Option<usize>,
    /// Why it does not hold, if that is what a green run proves.
    #[serde(default)]
    pub refuted: Option<String>,
}

/// Every requirement on every face that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Conformance {
    /// Whether all scenarios of it ran, so that an empty cell means that nobody proves it.
    pub whole: bool,
    /// The cells, by requirement and then by face.
    pub cells: Vec<Cell>,
}

/// One requirement on one face.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cell {
    /// The requirement.
    pub requirement: Requirement,
    /// The face.
    #[schemars(with = "String")]
    pub face: Interface,
    /// What is known of it.
    pub state: CellState,
    /// Why, unless it passes: what failed, or what makes it one that does not apply.
    pub reason: Option<String>,
    /// What was run for it.
    pub evidence: Vec<Evidence>,
}

/// What is known of a requirement on a face.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CellState {
    /// Proven by a green run.
    Passed,
    /// A green run proves that it does not hold on this face.
    DoesNotHold,
    /// A run that was to prove it found that it is not so.
    Failed,
    /// A run that was to prove it was red for another reason, or ended before it came to it.
    NotFoundOut,
    /// It cannot hold here, for the reason given.
    NotApplicable,
    /// No scenario proves it, and nobody says why.
    Unproven,
}

/// A run, or a step of one, that was to prove a requirement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// The scenario.
    pub scenario: String,
    /// The step in words, if one proves it by itself.
    pub step: Option<String>,
    /// What it says.
    pub state: CellState,
    /// Why, unless it passes.
    pub reason: Option<String>,
}
