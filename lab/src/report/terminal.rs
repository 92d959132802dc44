//! What a person sees: progress while it runs, a line a run, a table at the end.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use console::{Term, style};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::host::Progress;
use crate::result::{AcceleratorKind, Environment, FailureKind, Hop, HopOutcome, Outcome, Pace, Profile, Run, Start};

/// The terminal, or a pipe. Progress goes to standard error, results to standard output.
#[derive(Debug, Default)]
pub struct Terminal {
    stage: Mutex<Option<Stage>>,
    /// All that moves: what is printed while they do goes above them.
    pub(super) bars: MultiProgress,
    pub(super) verbose: bool,
}

#[derive(Debug)]
struct Stage {
    name: String,
    bar: ProgressBar,
    total: Option<u64>,
    /// Quarters that a pipe has been told of.
    told: u64,
    began: Instant,
}

impl Terminal {
    /// A quiet one, or one that also tells each step of a run.
    #[must_use]
    pub fn new(verbose: bool) -> Self {
        Self { verbose, ..Self::default() }
    }

    fn stage_mut(&self) -> MutexGuard<'_, Option<Stage>> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the stage that is shown.
    pub fn clear(&self) {
        if let Some(stage) = self.stage_mut().take() {
            stage.bar.finish_and_clear();
            // What took longer than a glance is worth a line.
            if stage.began.elapsed() > Duration::from_secs(2) {
                let seconds = stage.began.elapsed().as_secs_f64();
                let done = style("Done").for_stderr().green().bold();
                self.bars.suspend(|| eprintln!("{done:>12} {} in {seconds:.1} s", stage.name));
            }
        }
    }

    /// Prints what the runs are run with.
    pub fn introduce(&self, environment: &Environment) {
        self.clear();
        for kernel in &environment.kernels {
            let rust = if kernel.module_sha256.is_some() { "with the module" } else { "without the module" };
            // Whoever did not ask for a profile need not learn that there are several.
            let profile = match kernel.profile {
                Profile::Fast => String::new(),
                Profile::Tuned => ", tuned profile,".to_owned(),
                slow => format!(", {slow} profile (its times do not count),"),
            };
            let patches: String = kernel.patches.iter().map(|patch| format!(" + {}", patch.name)).collect();
            eprintln!(
                "{:>12} Linux {}{patches}{profile} from {}, {rust}",
                style("Kernel").for_stderr().cyan().bold(),
                kernel.release,
                kernel.origin
            );
        }
        let kind = match environment.accelerator.kind {
            AcceleratorKind::Kvm => "KVM",
            AcceleratorKind::Tcg => "TCG (software emulation)",
            AcceleratorKind::Icount => "TCG counting instructions (its times are counts, and no hardware's)",
        };
        eprintln!("{:>12} {kind}: {}", style("Accelerator").for_stderr().cyan().bold(), environment.accelerator.reason);
    }

    /// Prints a result.
    pub fn say(&self, text: &str) {
        self.clear();
        self.bars.suspend(|| println!("{text}"));
    }

    /// Prints how a run ended. What guests said may hold anything: control characters stay out of the terminal.
    pub fn conclude(&self, run: &Run) {
        self.clear();
        self.bars.suspend(|| print(run));
    }
}

fn print(run: &Run) {
    let seconds = format!("[{:>7.3}s]", run.wall_ms as f64 / 1e3);
    let label = if run.is_green() { style("PASS").green().bold() } else { style(red_label(run)).red().bold() };
    let title = style(&run.scenario).bold();
    println!("{label:>12} {seconds} {} {title}{}", style(interface(run)).magenta(), style(route(run)).dim());
    match &run.outcome {
        Outcome::Failed(failure) if run.is_green() => {
            println!("{:>23} red, as it must be: {}", "", plain(&failure.message));
        }
        Outcome::Passed if run.must_fail.is_some() => {
            println!("{:>23} it passed, and had to fail: the lab does not see what it must", "");
        }
        Outcome::Failed(failure) => {
            println!("{:>23} {}: {}", "", words(failure.kind), plain(&failure.message));
            if let (Some(step), Some(place)) = (&failure.step, &failure.place) {
                println!("{:>23} at {place}: {step}", "");
            } else if let Some(step) = &failure.step {
                println!("{:>23} in the step: {step}", "");
            }
            for line in &failure.evidence {
                println!("{:>23} {} {}", "", style("|").dim(), plain(line));
            }
        }
        Outcome::Infrastructure { message } => println!("{:>23} {}", "", plain(message)),
        Outcome::Passed => {}
    }
    for hop in &run.hops {
        tell_loss(hop);
    }
    for (step, reason) in run.not_applicable() {
        println!("{:>23} {}: {step}: {}", "", style("not applicable").yellow(), plain(reason));
    }
    if !run.is_green() && !run.artefacts.is_empty() {
        println!("{:>23} kept: {}  (the same machine by hand: sh {}/qemu.sh)", "", run.artefacts, run.artefacts);
    }
}

/// The kernels that a run went through, if there are several; of a chain its first few.
fn route(run: &Run) -> String {
    const SHOWN: usize = 4;
    let Some(first) = run.hops.first().filter(|_| run.hops.iter().any(|hop| hop.from != hop.to)) else {
        return String::new();
    };
    let names: Vec<&str> =
        std::iter::once(&first.from).chain(run.hops.iter().map(|hop| &hop.to)).map(String::as_str).collect();
    let more = if names.len() > SHOWN { " → …" } else { "" };
    format!(" ({}{more})", plain(&names[..names.len().min(SHOWN)].join(" → ")))
}

/// What became of a hop's payload, if that is not simply that it is there.
fn tell_loss(hop: &Hop) {
    let Some(outcome) = hop.outcome.filter(|&outcome| outcome != HopOutcome::Preserved) else { return };
    let expected = if outcome == hop.expected { ", as it had to be" } else { "" };
    let reserved = match hop.still_reserved {
        Some(true) => ", its pages still reserved",
        Some(false) => ", its pages free",
        None => "",
    };
    println!("{:>23} {} → {}: {}{reserved}{expected}", "", plain(&hop.from), plain(&hop.to), style(outcome).bold());
    if let Some(predicted) = hop.predicted.as_ref().filter(|predicted| predicted.outcome != outcome) {
        println!("{:>23} predicted: {} ({})", "", predicted.outcome, plain(&predicted.why));
    }
    for line in &hop.evidence {
        println!("{:>23} {} {}", "", style("|").dim(), plain(line));
    }
}

/// The last lines: how many, how quickly, and what the times are worth.
#[must_use]
pub fn summary(runs: &[Run], pace: &Pace) -> String {
    let green = runs.iter().filter(|run| run.is_green()).count();
    let seconds = pace.wall_ms as f64 / 1e3;
    let mut lines = vec![format!(
        "{green} passed, {} failed, in {seconds:.1} s ({:.1} a minute)",
        runs.len() - green,
        pace.per_minute()
    )];
    if pace.restored > 0 {
        lines.push(format!("{} guests were not booted but restored from a snapshot (`--no-snapshot`).", pace.restored));
    }
    let mut booted: BTreeMap<&str, usize> = BTreeMap::new();
    for run in runs {
        if let Start::Booted { why: Some(why) } = &run.start {
            *booted.entry(why).or_default() += 1;
        }
    }
    lines.extend(booted.iter().map(|(why, count)| format!("{count} guests were booted, not restored: {}", plain(why))));
    if pace.side_by_side > 1 {
        lines.push(format!(
            "Up to {} guests ran side by side: their times are compared with none that were measured alone (`-j 1`).",
            pace.side_by_side
        ));
    }
    lines.join("\n")
}

/// The table at the end.
#[must_use]
pub fn table(runs: &[Run]) -> String {
    const HEAD: [&str; 8] =
        ["scenario", "interface", "verdict", "hops", "pages identical", "in place", "blackout", "update time"];
    let rows: Vec<[String; 8]> = runs.iter().map(row).collect();
    let widths: Vec<usize> = (0..HEAD.len())
        .map(|column| rows.iter().map(|row| row[column].len()).chain([HEAD[column].len()]).max().unwrap_or(0))
        .collect();
    let line = |cells: &[String]| {
        let padded: Vec<String> = cells
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(at, (cell, &width))| if at < 3 { format!("{cell:<width$}") } else { format!("{cell:>width$}") })
            .collect();
        padded.join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(&HEAD.map(str::to_owned))];
    lines.push("─".repeat(lines[0].chars().count()));
    lines.extend(rows.iter().map(|row| line(row)));
    lines.join("\n")
}

fn row(run: &Run) -> [String; 8] {
    let sum =
        |figure: fn(&crate::result::Fidelity) -> u64| run.hops.iter().map(|hop| figure(&hop.fidelity)).sum::<u64>();
    let pages = sum(|fidelity| fidelity.pages);
    let of_pages = |count: u64| if pages == 0 { "–".to_owned() } else { format!("{count}/{pages}") };
    let longest = |time: fn(&crate::result::HopTime) -> Option<u64>| {
        run.hops.iter().filter_map(|hop| time(&hop.time)).max().map_or("–".to_owned(), milliseconds)
    };
    let verdict = match (&run.outcome, run.is_green()) {
        (Outcome::Passed, true) => match run.not_applicable().count() {
            0 => "passed".to_owned(),
            count => format!("passed, {count} n/a"),
        },
        (Outcome::Failed(failure), true) => format!("red as it must be ({})", words(failure.kind)),
        (Outcome::Passed, false) => "passed, had to fail".to_owned(),
        (Outcome::Failed(failure), false) => format!("FAILED ({})", words(failure.kind)),
        (Outcome::Infrastructure { .. }, _) => "NOT FOUND OUT".to_owned(),
    };
    [
        run.scenario.clone(),
        interface(run),
        verdict,
        run.hops.len().to_string(),
        of_pages(sum(|fidelity| fidelity.identical)),
        of_pages(sum(|fidelity| fidelity.in_place)),
        longest(|time| time.blackout_ns),
        longest(|time| time.update_ns),
    ]
}

fn milliseconds(ns: u64) -> String {
    format!("{:.1} ms", ns as f64 / 1e6)
}

fn interface(run: &Run) -> String {
    format!("{:?}", run.interface).to_lowercase()
}

fn red_label(run: &Run) -> &'static str {
    match run.outcome {
        Outcome::Infrastructure { .. } => "INFRA",
        _ => "FAIL",
    }
}

/// Text that does nothing to a terminal, and does not fill it.
pub(super) fn plain(text: &str) -> String {
    text.chars().take(2000).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A kind of failure, as people say it.
pub(super) fn words(kind: FailureKind) -> String {
    let debug = format!("{kind:?}");
    let mut words = String::new();
    for c in debug.chars() {
        if c.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.extend(c.to_lowercase());
    }
    words
}

impl Progress for Terminal {
    fn stage(&self, name: &str, total: Option<u64>) {
        self.clear();
        let bar = match total {
            _ if !Term::stderr().is_term() => {
                eprintln!("{:>12} {name}", style("Working").for_stderr().cyan().bold());
                ProgressBar::hidden()
            }
            Some(total) => {
                let bar = self.bars.add(ProgressBar::new(total));
                bar.set_style(bar_style(
                    "{prefix:>12.cyan.bold} [{bar:30}] {pos}/{len} {wide_msg} {elapsed} (left {eta})",
                ));
                bar
            }
            None => {
                let bar = self.bars.add(ProgressBar::new_spinner());
                bar.set_style(bar_style("{prefix:>12.cyan.bold} {spinner} {wide_msg} {elapsed}"));
                bar.enable_steady_tick(Duration::from_millis(120));
                bar
            }
        };
        bar.set_prefix("Working");
        bar.set_message(name.to_owned());
        *self.stage_mut() = Some(Stage { name: name.to_owned(), bar, total, told: 0, began: Instant::now() });
    }

    fn advance(&self, done: u64) {
        let mut stage = self.stage_mut();
        let Some(stage) = stage.as_mut() else { return };
        stage.bar.set_position(done);
        if let Some(quarter) = stage.total.filter(|&total| total > 0).map(|total| done.saturating_mul(4) / total)
            && quarter > stage.told
            && !Term::stderr().is_term()
        {
            stage.told = quarter;
            eprintln!("{:>12} {}: {} %", "", stage.name, (quarter * 25).min(100));
        }
    }

    fn note(&self, line: &str) {
        let line = format!("{:>12} {line}", style("Note").for_stderr().yellow().bold());
        self.bars.suspend(|| eprintln!("{line}"));
    }
}

pub(super) fn bar_style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")
}
