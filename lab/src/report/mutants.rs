//! Which mistakes the suite saw: a line each as it becomes known, and a table at the end.

use console::style;

use super::terminal::{Terminal, plain, words};
use crate::mutants::Mutant;
use crate::result::{Catch, Fate, MutantResult, Mutants};

/// Most characters of what a run said.
const SAID: usize = 160;

impl Terminal {
    /// Prints what became of one.
    pub fn judged(&self, mutant: &Mutant, result: &MutantResult) {
        self.clear();
        let seconds = format!("[{:>6.1}s]", result.wall_ms as f64 / 1e3);
        let label = match &result.fate {
            Fate::Caught { .. } => style("CAUGHT").green().bold(),
            Fate::Missed { .. } => style("MISSED").red().bold(),
            Fate::Error { .. } => style("ERROR").red().bold(),
        };
        println!("{label:>12} {seconds} {}", style(&mutant.name).bold());
        match &result.fate {
            Fate::Caught { by, .. } => {
                for catch in by {
                    println!("{:>22} {}: {}", "", style(place(catch)).magenta(), said(&catch.message));
                }
            }
            Fate::Missed { runs } => {
                println!("{:>22} by all {runs} runs. {} {}", "", mutant.mistake, mutant.met_as);
            }
            Fate::Error { message } => {
                for line in plain(message).lines() {
                    println!("{:>22} {line}", "");
                }
            }
        }
    }
}

fn place(catch: &Catch) -> String {
    format!("{} ({})", catch.scenario, catch.interface.name())
}

fn said(message: &str) -> String {
    let all = plain(message);
    let cut: String = all.chars().take(SAID).collect();
    if cut.len() < all.len() { format!("{cut}…") } else { cut }
}

/// The table.
#[must_use]
pub fn table(mutants: &Mutants) -> String {
    let rows: Vec<[String; 4]> = mutants.mutants.iter().map(row).collect();
    let heads = ["mutant", "fate", "by", "how"].map(str::to_owned);
    let mut wide = [0; 4];
    for row in rows.iter().chain([&heads]) {
        for (width, cell) in wide.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let line = |row: &[String; 4]| {
        let cells = row.iter().zip(wide).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let rule = "─".repeat(line(&heads).chars().count().max(wide.iter().sum::<usize>() + 6));
    [line(&heads), rule].into_iter().chain(rows.iter().map(line)).collect::<Vec<_>>().join("\n")
}

fn row(result: &MutantResult) -> [String; 4] {
    let (fate, by, how) = match &result.fate {
        Fate::Caught { by, .. } => {
            let places: Vec<String> = by.iter().map(place).collect();
            let how = by.first().and_then(|catch| catch.kind).map_or("it passed, and had to fail".to_owned(), words);
            ("caught", places.join(", "), how)
        }
        Fate::Missed { .. } => ("MISSED", "–".to_owned(), String::new()),
        Fate::Error { .. } => ("ERROR", "–".to_owned(), String::new()),
    };
    [result.name.clone(), fate.to_owned(), by, how]
}

/// How many were what, in a line.
#[must_use]
pub fn summary(mutants: &Mutants) -> String {
    let count = |is: fn(&Fate) -> bool| mutants.mutants.iter().filter(|result| is(&result.fate)).count();
    let (caught, missed) =
        (count(|fate| matches!(fate, Fate::Caught { .. })), count(|fate| matches!(fate, Fate::Missed { .. })));
    let errors = count(|fate| matches!(fate, Fate::Error { .. }));
    format!(
        "mutants: {caught} caught, {missed} missed, {errors} in error; without one, {} runs were green",
        mutants.baseline_runs
    )
}
