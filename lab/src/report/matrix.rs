//! A matrix, shown: [`table`] in the terminal, [`heat_map`] as a picture, [`page`] for a browser and [`markdown`] for a
//! repository's documents.

mod heat;
mod page;
mod words;

use console::style;
use protocol::message::Interface;

use super::terminal::plain;
use crate::result::{Finding, HopOutcome, Matrix, MatrixCell, Report, Run};
pub use heat::heat_map;
pub use page::page;
pub use words::markdown;

/// The cells of one scenario by one interface.
struct Square<'a> {
    scenario: &'a str,
    interface: Interface,
    cells: Vec<&'a MatrixCell>,
}

/// The squares that a matrix consists of, in the order of their first cells. One in which nothing applies is left out.
fn squares(matrix: &Matrix) -> Vec<Square<'_>> {
    let mut squares: Vec<Square<'_>> = Vec::new();
    for cell in &matrix.cells {
        let of = |square: &&mut Square<'_>| square.scenario == cell.scenario && square.interface == cell.interface;
        match squares.iter_mut().find(of) {
            Some(square) => square.cells.push(cell),
            None => {
                squares.push(Square { scenario: &cell.scenario, interface: cell.interface, cells: vec![cell] });
            }
        }
    }
    let applies = |cell: &&MatrixCell| !matches!(cell.finding, Finding::NotApplicable { .. });
    squares.retain(|square| square.cells.iter().copied().any(|cell| applies(&cell)));
    squares
}

impl<'a> Square<'a> {
    fn title(&self) -> String {
        format!("{} by {}", self.scenario, self.interface.name())
    }

    fn cell(&self, from: &str, to: &str) -> Option<&'a MatrixCell> {
        self.cells.iter().copied().find(|cell| cell.from == from && cell.to == to)
    }
}

/// What stands in a cell.
fn word(finding: &Finding) -> String {
    match finding {
        Finding::Ran { outcome: Some(outcome), .. } => outcome.name().to_owned(),
        Finding::Ran { outcome: None, .. } => "not found out".to_owned(),
        Finding::NotApplicable { .. } => "–".to_owned(),
        Finding::Elsewhere => "…".to_owned(),
    }
}

/// What stands behind it: whether it differs from what was to be expected, and whether that is known.
fn mark(finding: &Finding) -> &'static str {
    match finding {
        Finding::Ran { green: false, .. } => " !",
        finding if finding.differs() => " ≠",
        _ => "",
    }
}

/// A table a square: rows hand over, columns take.
#[must_use]
pub fn table(matrix: &Matrix) -> String {
    let names: Vec<&str> = matrix.kernels.iter().map(|kernel| kernel.name.as_str()).collect();
    let squares = squares(matrix);
    let texts = squares.iter().flat_map(|square| &square.cells).map(|cell| text(cell).chars().count());
    let narrow = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let wide = texts.max().unwrap_or(0).max(narrow);
    let mut lines = Vec::new();
    for square in &squares {
        let corner = format!("{:<narrow$}", "↓ →");
        let head: Vec<String> = names.iter().map(|name| format!("{name:<wide$}")).collect();
        lines.push(style(square.title()).bold().to_string());
        lines.push(format!("{corner}  {}", head.join("  ")).trim_end().to_owned());
        for from in &names {
            let mut line = format!("{from:<narrow$}");
            for to in &names {
                // Padded before it is coloured: escapes have no width.
                let shown = square
                    .cell(from, to)
                    .map_or_else(String::new, |cell| coloured(cell, &format!("{:<wide$}", text(cell))));
                line.push_str("  ");
                line.push_str(&shown);
            }
            lines.push(line.trim_end().to_owned());
        }
        lines.push(String::new());
    }
    lines.push(
        "≠ differs from what the kernels' strings let expect, as is known; ! differs, and nobody knew".to_owned(),
    );
    lines.join("\n")
}

fn text(cell: &MatrixCell) -> String {
    format!("{}{}", word(&cell.finding), mark(&cell.finding))
}

fn coloured(cell: &MatrixCell, text: &str) -> String {
    use HopOutcome::{Altered, Died, Ignored, LostSilently, Panicked, Preserved, Refused, Unopenable};
    let styled = style(text);
    let styled = match &cell.finding {
        Finding::Ran { outcome: Some(outcome), .. } => match outcome {
            Preserved => styled.green(),
            Refused | Ignored => styled.yellow(),
            Unopenable | Panicked | Died | Altered => styled.red(),
            LostSilently => styled.magenta(),
        },
        Finding::Ran { outcome: None, .. } => styled.red().bold(),
        Finding::NotApplicable { .. } | Finding::Elsewhere => styled.dim(),
    };
    styled.to_string()
}

/// What is not as the kernels' strings let expect, a few lines each; the lines that prove it last.
#[must_use]
pub fn differences(report: &Report) -> String {
    let Some(matrix) = &report.matrix else { return String::new() };
    let mut lines = Vec::new();
    for (cell, run) in different(report, matrix) {
        let Finding::Ran { predicted, hazard, .. } = &cell.finding else { continue };
        lines.push(format!("{} → {}, {}: {}", cell.from, cell.to, square_of(cell), text(cell)));
        if let Some(predicted) = predicted {
            lines.push(format!("    predicted: {} ({})", predicted.outcome, plain(&predicted.why)));
        }
        if let Some(hazard) = hazard {
            lines.push(format!("    known: {}", plain(hazard)));
        }
        lines.extend(evidence(run).iter().map(|line| format!("    | {}", plain(line))));
    }
    lines.join("\n")
}

fn square_of(cell: &MatrixCell) -> String {
    format!("{} by {}", cell.scenario, cell.interface.name())
}

/// The cells that came to something else than was to be expected, each with its run.
fn different<'a>(report: &'a Report, matrix: &'a Matrix) -> Vec<(&'a MatrixCell, &'a Run)> {
    let with_run = |cell: &'a MatrixCell| match &cell.finding {
        Finding::Ran { run, green, .. } if !green || cell.finding.differs() => Some((cell, report.runs.get(*run)?)),
        _ => None,
    };
    matrix.cells.iter().filter_map(with_run).collect()
}

/// The lines that show what became of a run's payload, or why it is red.
fn evidence(run: &Run) -> Vec<String> {
    let told: Vec<String> = run.hops.iter().flat_map(|hop| hop.evidence.clone()).collect();
    match &run.outcome {
        crate::result::Outcome::Failed(failure) if told.is_empty() => {
            std::iter::once(failure.message.clone()).chain(failure.evidence.clone()).collect()
        }
        crate::result::Outcome::Infrastructure { message } => vec![message.clone()],
        _ => told,
    }
}

/// How many cells are what, in a line.
#[must_use]
pub fn summary(matrix: &Matrix) -> String {
    let tally = matrix.tally();
    let mut parts = vec![format!("{} as predicted", tally.predicted)];
    for (count, what) in [
        (tally.hazards, "otherwise, as is known"),
        (tally.surprises, "otherwise, and nobody knew"),
        (tally.not_applicable, "not applicable"),
        (tally.elsewhere, "another machine's"),
    ] {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    }
    format!("matrix: {}", parts.join(", "))
}
