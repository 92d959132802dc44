//! The half of a run that is the same in many: the cold boot, made once and kept.
//!
//! Runs begin alike if their guests have one shape: the same images, command line, processors, memory and accelerator.
//! What is kept lives as long as the command that made it, in files without a name. So nothing can be out of date (no
//! other QEMU, host or image comes between), nobody has to clean up, and a boot a command is all that it costs.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use super::Stage;
use super::pool::Job;
use crate::host::Cancel;
use crate::machine::command::{self, Shape};
use crate::machine::snapshot::Snapshot;
use crate::machine::{Error, Machine};
use crate::result::{AcceleratorKind, Start};
use crate::scenario::plan::Plan;

/// So many runs have to begin alike for a snapshot to save time: one of them pays for it with a boot.
const WORTH: usize = 3;

/// A snapshot, once someone needed it; or why there is none.
type Kept = Arc<OnceLock<Result<Snapshot, String>>>;

/// The snapshots of runs that are made together.
#[derive(Debug, Default)]
pub(super) struct Snapshots(Mutex<HashMap<Shape, Kept>>);

impl Snapshots {
    /// For those of the jobs that begin alike.
    pub(super) fn of(jobs: &[Job<'_>]) -> Self {
        let mut alike: HashMap<Shape, usize> = HashMap::new();
        for job in jobs.iter().filter(|job| job.stage.snapshots) {
            *alike.entry(shape(job.stage, job.plan)).or_default() += 1;
        }
        let worth = alike.into_iter().filter(|&(_, count)| count >= WORTH);
        Self(Mutex::new(worth.map(|(shape, _)| (shape, Kept::default())).collect()))
    }

    fn kept(&self, shape: &Shape) -> Option<Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(shape).cloned()
    }

    /// A guest of this shape whose agent is ready or will be: restored if it can be, else booted.
    pub(super) fn start(
        &self,
        shape: &Shape,
        folder: &Path,
        silence: Duration,
        cancel: &Cancel,
    ) -> Result<(Machine, Start), Error> {
        let why = match self.kept(shape) {
            None => None,
            // Such a guest's clock is part of what is measured, and no snapshot of one has been proven.
            Some(_) if shape.accelerator != AcceleratorKind::Tcg => {
                Some(format!("snapshots are not proven with {:?}", shape.accelerator).to_lowercase())
            }
            Some(kept) => match restore(shape, &kept, folder, silence, cancel) {
                Ok(machine) => return Ok((machine, Start::Restored)),
                Err(_) if cancel.is_cancelled() => return Err(Error::Cancelled),
                Err(error) => Some(error.to_string()),
            },
        };
        Ok((Machine::start(shape, folder, cancel)?, Start::Booted { why }))
    }
}

/// Whoever comes first takes the snapshot; whoever comes meanwhile waits for it.
fn restore(shape: &Shape, kept: &Kept, folder: &Path, silence: Duration, cancel: &Cancel) -> Result<Machine, Error> {
    let taken = kept.get_or_init(|| Snapshot::take(shape, silence, cancel).map_err(|error| error.to_string()));
    let snapshot = taken.as_ref().map_err(|why| Error::Kept(format!("no snapshot could be taken: {why}")))?;
    Machine::restore(shape, snapshot, folder, cancel)
        .map_err(|error| Error::Kept(format!("it could not be restored: {error}")))
}

/// The machine that a plan begins on.
pub(super) fn shape(stage: &Stage, plan: &Plan) -> Shape {
    Shape {
        accelerator: stage.accelerator.kind,
        cpus: plan.cpus,
        memory: plan.memory,
        kernel: stage.kernel.image.clone(),
        initramfs: stage.kernel.initramfs.clone(),
        command_line: stage.kernel.told(&command_line(stage, plan)),
    }
}

/// What every kernel of a plan is told.
pub(super) fn command_line(stage: &Stage, plan: &Plan) -> String {
    let command_line = command::for_machine(&stage.command_line, stage.accelerator.kind, plan.cpus);
    plan.kernel_parameters.behind(&command_line)
}
