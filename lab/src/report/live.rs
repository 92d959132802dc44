//! Runs as they go on, on the terminal: a line each, and one for them all.

use std::time::Duration;

use console::{Style, Term};
use indicatif::ProgressBar;

use super::terminal::{Terminal, bar_style};
use crate::run::Observer;

/// Many runs, some of them at the same time.
#[derive(Debug)]
pub struct LiveRuns<'a> {
    terminal: &'a Terminal,
    /// How many of them are over; none on a pipe, or of a single run.
    all: Option<ProgressBar>,
}

impl<'a> LiveRuns<'a> {
    /// Shows so many runs.
    #[must_use]
    pub fn new(terminal: &'a Terminal, total: usize) -> Self {
        let all = (total > 1 && Term::stderr().is_term()).then(|| {
            let bar = terminal.bars.add(ProgressBar::new(total as u64));
            bar.set_style(bar_style("{prefix:>12.cyan.bold} [{bar:30}] {pos}/{len} {elapsed} (left {eta})"));
            bar.set_prefix("Runs");
            bar.enable_steady_tick(Duration::from_secs(1));
            bar
        });
        Self { terminal, all }
    }

    /// Shows one of them under this title, above what is said of all.
    #[must_use]
    pub fn begins(&self, title: String) -> LiveRun<'a> {
        let bar = Term::stderr().is_term().then(|| {
            let bars = &self.terminal.bars;
            let bar = match &self.all {
                Some(all) => bars.insert_before(all, ProgressBar::new_spinner()),
                None => bars.add(ProgressBar::new_spinner()),
            };
            bar.set_style(bar_style("{prefix:>12.cyan.bold} {spinner} {wide_msg} {elapsed}"));
            bar.set_prefix("Running");
            bar.set_message(title.clone());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        LiveRun { terminal: self.terminal, title, bar }
    }

    /// One more is over.
    pub fn ended(&self) {
        if let Some(all) = &self.all {
            all.inc(1);
        }
    }
}

impl Drop for LiveRuns<'_> {
    fn drop(&mut self) {
        if let Some(all) = &self.all {
            all.finish_and_clear();
        }
    }
}

/// One of them.
#[derive(Debug)]
pub struct LiveRun<'a> {
    terminal: &'a Terminal,
    title: String,
    bar: Option<ProgressBar>,
}

impl Observer for LiveRun<'_> {
    fn step(&mut self, text: &str, generation: u32) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{} · generation {generation} · {text}", self.title));
        }
        if self.terminal.verbose {
            let step = Style::new().for_stderr().dim().apply_to("step");
            let line = format!("{step:>12} {}, generation {generation}: {text}", self.title);
            self.terminal.bars.suspend(|| eprintln!("{line}"));
        }
    }

    fn progress(&mut self, done: u64, total: u64) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{} · {} of {} MiB", self.title, done >> 20, total >> 20));
        }
    }
}

impl Drop for LiveRun<'_> {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
