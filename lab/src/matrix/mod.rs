//! The same scenarios between every ordered pair of kernels: what is to be run, and what came of it.

mod hazard;
mod merge;
mod partition;

use protocol::message::Interface;

pub use hazard::{Hazard, Hazards};
pub use merge::{Error as MergeError, merge};
pub use partition::Partition;

use crate::result::{Finding, Hop, HopOutcome, KernelFacts, MatrixCell, Run};
use crate::run::predict::can_hand_over;
use crate::scenario::Document;

/// A cell to be run: a pair of kernels, a scenario and an interface, each by its place in its list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The kernel that hands over.
    pub from: usize,
    /// The kernel that it goes to.
    pub to: usize,
    /// The scenario.
    pub document: usize,
    /// The interface.
    pub interface: Interface,
}

/// Every cell, a kernel that hands over after the other: a stretch of them needs few kernels.
#[must_use]
pub fn cells(kernels: usize, documents: &[Document], interfaces: &[Interface]) -> Vec<Cell> {
    let mut cells = Vec::new();
    for from in 0..kernels {
        for to in 0..kernels {
            for (document, read) in documents.iter().enumerate() {
                let through = read.scenario.interfaces.iter().filter(|by| interfaces.contains(by));
                cells.extend(through.map(|&interface| Cell { from, to, document, interface }));
            }
        }
    }
    cells
}

/// Why a cell cannot be run, if it cannot.
#[must_use]
pub fn obstacle(from: Result<&KernelFacts, &str>, to: Result<&KernelFacts, &str>, by: Interface) -> Option<String> {
    match (from, to) {
        (Err(why), _) | (_, Err(why)) => Some(why.to_owned()),
        (Ok(from), Ok(_)) => can_hand_over(from, by).err(),
    }
}

/// What a run says of its cell. Of several hops the first that lost something counts.
#[must_use]
pub fn finding(run: &Run, index: usize, hazards: &Hazards) -> Finding {
    let lost = |hop: &&Hop| hop.outcome.is_some_and(|outcome| outcome != HopOutcome::Preserved);
    let hop = run.hops.iter().find(lost).or(run.hops.last());
    let hazard = hop.and_then(|hop| hazards.find(&hop.from, &hop.to, run.interface));
    Finding::Ran {
        outcome: hop.and_then(|hop| hop.outcome),
        predicted: hop.and_then(|hop| hop.predicted.clone()),
        still_reserved: hop.and_then(|hop| hop.still_reserved),
        hazard: hazard.map(|hazard| hazard.why.clone()),
        green: run.is_green() && hop.is_some(),
        run: index,
    }
}

/// The same cell, as a report has it.
#[must_use]
pub fn told(cell: Cell, kernels: &[String], documents: &[Document], finding: Finding) -> MatrixCell {
    MatrixCell {
        scenario: documents[cell.document].name.clone(),
        interface: cell.interface,
        from: kernels[cell.from].clone(),
        to: kernels[cell.to].clone(),
        finding,
    }
}
