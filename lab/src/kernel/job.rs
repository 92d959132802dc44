//! What every step of the work needs at hand.

use std::path::Path;
use std::process::Command;

use super::Error;
use crate::cache::Cache;
use crate::host::process::{Outcome, Watched};
use crate::host::{Cancel, Progress};

/// The cache, a listener and a way to stop.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    /// Where results are kept.
    pub cache: &'a Cache,
    /// Who hears how it goes.
    pub progress: &'a dyn Progress,
    /// Raised to stop.
    pub cancel: &'a Cancel,
}

impl Job<'_> {
    /// Runs a command that writes to `output`, showing each line to `on_line`.
    pub(super) fn run(
        &self,
        command: impl Into<Command>,
        output: &Path,
        on_line: impl FnMut(&str),
    ) -> Result<Outcome, Error> {
        let outcome = Watched::new(command.into(), self.cancel).run(on_line)?;
        if outcome.status.success() { Ok(outcome) } else { Err(Error::command(outcome, output)) }
    }
}
