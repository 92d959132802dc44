//! Several guests at a time: the same verdicts, told which figures are worth comparing.

use lab::result::{AcceleratorKind, Report, Start};

use crate::support::{bench, text};

fn report(words: &[&str]) -> Report {
    let bench = bench();
    let json = text(bench.path("results.json"));
    bench.run(&[words, &["--json", &json]].concat()).exits(0);
    assert_eq!(std::fs::read_dir(bench.runs()).expect("the runs").count(), 0, "green runs leave no folder");
    bench.no_litter();
    serde_json::from_str(&std::fs::read_to_string(json).expect("results")).expect("a report")
}

const WANTED: [&str; 2] = ["one-object", "red-corrupted-page"];

/// More than a small machine has processors for: they share them, and none is given up as hung.
#[test]
fn verdicts_and_their_order_are_the_same_for_any_number_of_guests_and_any_start() {
    let alone = report(&[&WANTED[..], &["-j", "1", "--no-snapshot"]].concat());
    let beside = report(&[&WANTED[..], &["-j", "4"]].concat());
    let told = |report: &Report| -> Vec<_> {
        report.runs.iter().map(|run| (run.scenario.clone(), run.interface, run.is_green(), run.hops.len())).collect()
    };
    assert!(alone.runs.len() == 6 && alone.runs.iter().all(|run| run.beside == 0), "{alone:#?}");
    assert_eq!(told(&beside), told(&alone));
    assert!(beside.runs.iter().all(|run| run.is_green() && (1..=3).contains(&run.beside)), "{beside:#?}");
    let restored = |report: &Report| report.runs.iter().filter(|run| run.start == Start::Restored).count();
    let kind = beside.environments[0].accelerator.kind;
    assert_eq!((restored(&alone), restored(&beside)), (0, if kind == AcceleratorKind::Tcg { 6 } else { 0 }));
    let pace = |report: &Report| report.pace.expect("a pace");
    assert_eq!((pace(&alone).runs, pace(&alone).side_by_side), (6, 1));
    assert_eq!((pace(&beside).runs, pace(&beside).side_by_side), (6, 4));
}
