//! The same as Markdown, for a repository's documents.

use super::{different, evidence, mark, square_of, squares, summary, word};
use crate::report::terminal::plain;
use crate::result::{Finding, Report};

/// The document's part that comes from the result: the tables, and what differs.
#[must_use]
pub fn markdown(report: &Report) -> String {
    let Some(matrix) = &report.matrix else { return String::new() };
    let names: Vec<&str> = matrix.kernels.iter().map(|kernel| kernel.name.as_str()).collect();
    let mut lines = vec![format!("{}.", summary(matrix)), String::new()];
    for square in squares(matrix) {
        lines.push(format!("### {}", square.title()));
        lines.push(String::new());
        lines.push(format!("| from ↓ to → | {} |", names.join(" | ")));
        lines.push(format!("|---|{}", "---|".repeat(names.len())));
        for from in &names {
            let cells = names.iter().map(|to| {
                square.cell(from, to).map_or_else(String::new, |cell| {
                    let word = word(&cell.finding);
                    match mark(&cell.finding) {
                        "" => word,
                        mark => format!("**{word}**{mark}"),
                    }
                })
            });
            lines.push(format!("| {from} | {} |", cells.collect::<Vec<_>>().join(" | ")));
        }
        lines.push(String::new());
    }
    lines.push(
        "≠ differs from what the kernels' strings let expect, as is known; ! differs, and nobody knew.".to_owned(),
    );
    for (cell, run) in different(report, matrix) {
        let Finding::Ran { predicted, hazard, .. } = &cell.finding else { continue };
        lines.push(String::new());
        lines.push(format!("### {} → {}, {}: {}", cell.from, cell.to, square_of(cell), word(&cell.finding)));
        lines.push(String::new());
        if let Some(predicted) = predicted {
            lines.push(format!("Predicted: {} ({}).", predicted.outcome, plain(&predicted.why)));
        }
        if let Some(hazard) = hazard {
            lines.push(format!("Known: {}.", plain(hazard)));
        }
        lines.push(String::new());
        lines.push("```".to_owned());
        lines.extend(evidence(run).iter().map(|line| plain(line).replace("```", "'''")));
        lines.push("```".to_owned());
    }
    lines.push(String::new());
    lines.join("\n")
}
