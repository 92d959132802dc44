//! Runs, watched as they go on, and what they come to.

use std::fs;

use lab::host::Cancel;
use lab::report::live::LiveRuns;
use lab::report::terminal::Terminal;
use lab::result::{Outcome, Run};
use lab::run::Observer;
use lab::run::pool::{Audience, Job};

use crate::exit::Exit;

/// Tells of the runs, and takes away what the green ones leave.
pub(crate) struct Watcher<'a> {
    live: LiveRuns<'a>,
    terminal: &'a Terminal,
    keep: bool,
}

impl<'a> Watcher<'a> {
    /// Watches so many runs.
    pub(crate) fn new(terminal: &'a Terminal, total: usize, keep: bool) -> Self {
        Self { live: LiveRuns::new(terminal, total), terminal, keep }
    }
}

impl<'a> Audience<'a> for Watcher<'a> {
    fn begins(&mut self, job: &Job<'a>) -> Box<dyn Observer + Send + 'a> {
        let mut title = format!("{} ({})", job.plan.scenario, job.plan.interface.name());
        if let Some(into) = job.stage.into.first() {
            title = format!("{} → {}, {title}", job.stage.kernel.facts.requested, into.facts.requested);
        }
        Box::new(self.live.begins(title))
    }

    fn ended(&mut self, _: &Job<'a>, run: &mut Run) {
        self.live.ended();
        self.terminal.conclude(run);
        if run.is_green() && !self.keep {
            // Its figures are in the result; what is left would only fill the disk.
            let _ = fs::remove_dir_all(&run.artefacts);
            run.artefacts.clear();
        }
    }
}

/// How a command ends that made these runs.
pub(crate) fn judge(runs: &[Run], cancel: &Cancel) -> Exit {
    let undecided = |run: &Run| matches!(run.outcome, Outcome::Infrastructure { .. });
    if cancel.is_cancelled() {
        Exit::Cancelled
    } else if runs.iter().any(|run| !run.is_green() && !undecided(run)) {
        Exit::Failed
    } else if runs.iter().any(undecided) {
        Exit::Infrastructure
    } else {
        Exit::Passed
    }
}
