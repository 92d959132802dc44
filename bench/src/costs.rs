//! Runs that measure: the checks of `guest-agent/src/checks/cost`, asked over one live update.

use std::collections::BTreeMap;
use std::fs;

use lab::host::Cancel;
use lab::result::Run;
use lab::run::Stage;
use lab::scenario::Document;
use protocol::check::Check;
use protocol::message::Interface;

use crate::Failure;
use crate::sides::Unobserved;

/// What one run measured: milliseconds of guest time by what was done, in the order in which it was done.
pub type Figures = BTreeMap<String, Vec<f64>>;

/// A run that asks one check before and after a live update.
#[derive(Debug)]
pub struct Measurement {
    document: Document,
    interface: Interface,
}

impl Measurement {
    /// Of this check through this interface, in a guest with so many GiB.
    ///
    /// # Errors
    /// The check is none that leaves and finds.
    pub fn new(check: Check, interface: Interface, memory: u32) -> Result<Self, Failure> {
        let yaml = format!(
            "about: What it costs.\n\
             interfaces: [{interface}]\n\
             workload: false\n\
             machine: {{memory: {memory} GiB}}\n\
             steps:\n\
             - leave: {{name: {check}, within: 120 s}}\n\
             - update\n\
             - find: {{name: {check}, within: 120 s}}\n",
            interface = interface.name(),
        );
        let document = Document::parse(check.name(), "bench/src/costs.rs", &yaml)?;
        Ok(Self { document, interface })
    }

    /// Runs it once.
    ///
    /// # Errors
    /// It did not pass: what it took is no figure then.
    pub fn run(&self, stage: &Stage, cancel: &Cancel) -> Result<Figures, Failure> {
        let plan = self.document.plan(self.interface)?;
        let run = lab::run::run(stage, &self.document, &plan, &mut Unobserved, cancel)?;
        if !run.is_green() {
            return Err(format!("{} did not pass: {:?}; see {}", run.scenario, run.outcome, run.artefacts).into());
        }
        fs::remove_dir_all(&run.artefacts)?;
        Ok(figures(&run))
    }
}

fn figures(run: &Run) -> Figures {
    let mut all = Figures::new();
    for figure in run.steps.iter().flat_map(|step| &step.figures) {
        if let Some(ns) = figure.ns {
            all.entry(figure.what.clone()).or_default().push(ns as f64 / 1e6);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_can_be_planned() {
        for &check in Check::ALL.iter().filter(|check| check.name().starts_with("cost-")) {
            for &interface in check.faces() {
                let measurement = Measurement::new(check, interface, 4).unwrap();
                let plan = measurement.document.plan(interface).unwrap();
                assert_eq!((plan.hops(), plan.memory.0), (1, 4 << 30), "{check}");
            }
        }
    }
}
