//! A matrix: what became of each pair of kernels, by each interface.

use protocol::message::Interface;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{HopOutcome, Prediction};

/// Every ordered pair of some kernels, by some interfaces, in some scenarios.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Matrix {
    /// The kernels, in the order of rows and columns.
    pub kernels: Vec<MatrixKernel>,
    /// The cells, in the order in which they are run.
    pub cells: Vec<MatrixCell>,
}

/// A kernel of a matrix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MatrixKernel {
    /// As it is asked for.
    pub name: String,
    /// Its release; none if it cannot be had.
    pub release: Option<String>,
    /// Why it cannot be had.
    pub unobtainable: Option<String>,
}

/// One pair of kernels, by one interface, in one scenario.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MatrixCell {
    /// The scenario's name.
    pub scenario: String,
    /// The interface that it goes through.
    #[schemars(with = "String")]
    pub interface: Interface,
    /// The kernel that hands over.
    pub from: String,
    /// The kernel that it goes to.
    pub to: String,
    /// What was found.
    pub finding: Finding,
}

/// What was found of a cell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "finding", rename_all = "kebab-case")]
pub enum Finding {
    /// It was run.
    Ran {
        /// What became of the payload; none if that was not found out.
        outcome: Option<HopOutcome>,
        /// What the kernels' sources let expect.
        predicted: Option<Prediction>,
        /// Whether its pages were still reserved, where they were not retrieved.
        still_reserved: Option<bool>,
        /// Why it is known to differ from that.
        hazard: Option<String>,
        /// Whether the run is green: it came to what is predicted, or to a hazard that is known.
        green: bool,
        /// Its index among the report's runs.
        run: usize,
    },
    /// Nothing can be handed over like this.
    NotApplicable {
        /// Why.
        reason: String,
    },
    /// It is another machine's part.
    Elsewhere,
}

impl Finding {
    /// Whether it came to something else than the kernels' sources let expect.
    #[must_use]
    pub fn differs(&self) -> bool {
        match self {
            Self::Ran { outcome, predicted: Some(predicted), .. } => *outcome != Some(predicted.outcome),
            Self::Ran { .. } | Self::NotApplicable { .. } | Self::Elsewhere => false,
        }
    }
}

impl Matrix {
    /// How many cells were run, and how many of them came to what their sources let expect, to a known hazard, and to
    /// something that nobody knew.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for cell in &self.cells {
            match &cell.finding {
                Finding::Ran { green: false, .. } => tally.surprises += 1,
                Finding::Ran { .. } if cell.finding.differs() => tally.hazards += 1,
                Finding::Ran { .. } => tally.predicted += 1,
                Finding::NotApplicable { .. } => tally.not_applicable += 1,
                Finding::Elsewhere => tally.elsewhere += 1,
            }
        }
        tally
    }
}

/// Cells, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// As predicted.
    pub predicted: usize,
    /// Otherwise, and known.
    pub hazards: usize,
    /// Otherwise, and not known; or not found out.
    pub surprises: usize,
    /// Not to be run.
    pub not_applicable: usize,
    /// Another machine's.
    pub elsewhere: usize,
}
