//! Many tests in one go, so many guests at a time: what one of them costs on the wall then.

use std::fs;
use std::num::NonZero;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use lab::host::Cancel;
use lab::result::{Run, Start};
use lab::run::pool::{self, Audience, Job, Limit};
use lab::run::{Observer, Stage};
use lab::scenario::Document;
use lab::scenario::plan::Plan;

use crate::Failure;
use crate::sides::{Cost, Unobserved, cost, run_upstream};

/// How much, and how much of it at a time. Both sides get the same.
#[derive(Clone, Copy, Debug)]
pub struct Batch {
    /// Tests.
    pub tests: NonZero<u16>,
    /// Guests at a time.
    pub guests: NonZero<u32>,
}

impl Batch {
    /// What one test of it costs.
    fn share(self, cost: Cost) -> Cost {
        let tests = f64::from(self.tests.get());
        Cost { wall: cost.wall / tests, processor: cost.processor / tests }
    }

    /// The lab's, what they share included; `stage` says whether that may be a boot.
    ///
    /// # Errors
    /// One did not pass, or did not begin as it had to: what it took is no figure then.
    pub fn lab(self, stage: &Stage, document: &Document, plan: &Plan, cancel: &Cancel) -> Result<Cost, Failure> {
        let jobs = vec![Job { stage, document, plan }; usize::from(self.tests.get())];
        let work = || Ok(pool::run(&jobs, Limit::Guests(self.guests), &mut Nobody, cancel));
        let (runs, cost) = cost(work)?;
        for run in runs {
            let run = run.ok_or("cancelled")?;
            let restored = run.start == Start::Restored;
            if !run.is_green() || restored != stage.snapshots {
                return Err(format!("{:?}, {:?}; see {}", run.outcome, run.start, run.artefacts).into());
            }
            fs::remove_dir_all(&run.artefacts)?;
        }
        Ok(self.share(cost))
    }

    /// Upstream's, by as many hands as there are guests.
    ///
    /// # Errors
    /// One did not pass: what it took is no figure then.
    pub fn upstream(self, stage: &Stage, initramfs: &Path, cancel: &Cancel) -> Result<Cost, Failure> {
        let begun = AtomicUsize::new(0);
        let hand = || -> Result<(), String> {
            let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
            while begun.fetch_add(1, Ordering::Relaxed) < usize::from(self.tests.get()) {
                run_upstream(stage, initramfs, folder.path(), cancel).map_err(|error| error.to_string())?;
            }
            Ok(())
        };
        let work = || {
            thread::scope(|scope| {
                let hands: Vec<_> = (0..self.guests.get()).map(|_| scope.spawn(hand)).collect();
                hands.into_iter().try_for_each(|hand| hand.join().map_err(|_| "a hand panicked".to_owned())?)
            })?;
            Ok(())
        };
        let ((), cost) = cost(work)?;
        Ok(self.share(cost))
    }
}

/// Nobody looks on.
struct Nobody;

impl<'a> Audience<'a> for Nobody {
    fn begins(&mut self, _: &Job<'a>) -> Box<dyn Observer + Send + 'a> {
        Box::new(Unobserved)
    }

    fn ended(&mut self, _: &Job<'a>, _: &mut Run) {}
}
