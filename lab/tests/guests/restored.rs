//! Guests that begin from a snapshot: as good as booted ones, and each its own.

use std::collections::BTreeSet;
use std::fs;

use lab::host::Cancel;
use lab::result::{FailureKind, Outcome, Run, Start};
use lab::run::pool::{self, Audience, Job, Limit};
use lab::run::{Observer, Stage};
use lab::scenario::Document;
use protocol::message::Interface;

use crate::elf;
use crate::support::{Deaf, ONE_OBJECT, Turn, turn};

struct Nobody;

impl<'a> Audience<'a> for Nobody {
    fn begins(&mut self, _: &Job<'a>) -> Box<dyn Observer + Send + 'a> {
        Box::new(Deaf)
    }

    fn ended(&mut self, _: &Job<'a>, _: &mut Run) {}
}

/// The same thing three times.
fn three(turn: &Turn, stage: &Stage) -> Vec<Run> {
    let document = Document::parse("test", "test.yaml", ONE_OBJECT).unwrap();
    let plan = document.plan(Interface::Module).unwrap();
    let job = Job { stage, document: &document, plan: &plan };
    let runs = pool::run(&[job; 3], Limit::ALONE, &mut Nobody, &Cancel::new());
    let runs: Vec<Run> = runs.into_iter().flatten().collect();
    assert_eq!(runs.len(), 3, "{}", turn.folder.path().display());
    runs
}

fn kept(run: &Run, name: &str) -> String {
    fs::read_to_string(format!("{}/{name}", run.artefacts)).unwrap()
}

fn lines<'a>(text: &'a str, with: &str) -> Vec<&'a str> {
    text.lines().filter(|line| line.contains(with)).collect()
}

#[test]
fn restored_guests_are_no_twins_and_tell_of_their_boot() {
    let turn = turn();
    let runs = three(&turn, &turn.stage);
    let mut boot_ids = BTreeSet::new();
    let mut tokens = BTreeSet::new();
    for run in &runs {
        assert!(run.is_green() && run.start == Start::Restored, "{run:#?}");
        let [hop] = run.hops.as_slice() else { panic!("{run:#?}") };
        let proof = hop.proof.as_ref().unwrap();
        boot_ids.extend([proof.from_boot_id.clone(), proof.to_boot_id.clone()]);
        // The module takes its tokens from the kernel's random numbers.
        let agent = kept(run, "agent.log");
        tokens.extend(
            lines(&agent, "← Preserved {").iter().map(|line| line.split_once("Preserved").unwrap().1.to_owned()),
        );

        let console = kept(run, "console.log");
        assert_eq!(lines(&console, "] Linux version ").len(), 2, "both boots are told of once: {console}");
        let stamps = console.lines().map(|line| line.split_whitespace().next().unwrap().parse::<f64>().unwrap());
        assert!(stamps.is_sorted(), "its log goes on where the other one's ended: {console}");
    }
    assert_eq!((boot_ids.len(), tokens.len()), (6, 3), "what must be random is not: {boot_ids:?} {tokens:?}");
}

#[test]
fn a_restored_guests_clock_is_as_good_as_a_booted_ones() {
    let turn = turn();
    let restored = three(&turn, &turn.stage);
    let booted = three(&turn, &Stage { snapshots: false, ..turn.stage.clone() });
    assert!(booted.iter().all(|run| run.is_green() && run.start == Start::default()), "{booted:#?}");
    let rates = |runs: &[Run]| runs.iter().map(|run| run.clock.unwrap()).collect::<Vec<_>>();
    for (one, other) in rates(&restored).into_iter().zip(rates(&booted)) {
        let apart = (one.tsc_hz / other.tsc_hz - 1.0).abs() * 1e6;
        // Both are the same host's counter; what they may be off is told with them.
        assert!(apart <= one.error_ppm + other.error_ppm + 200.0, "{apart} ppm apart: {one:?} {other:?}");
    }
}

#[test]
fn guests_are_booted_where_none_can_be_kept() {
    let turn = turn().with_init(&elf::executable(elf::EXIT));
    for run in three(&turn, &turn.stage) {
        let Start::Booted { why: Some(why) } = &run.start else { panic!("{run:#?}") };
        assert!(why.starts_with("no snapshot could be taken: before its agent was ready: Kernel panic"), "{why}");
        let Outcome::Failed(failure) = &run.outcome else { panic!("{run:#?}") };
        assert_eq!(failure.kind, FailureKind::KernelPanic, "{failure:#?}");
    }
}
