//! What `--tag conformance` says of requirements, from real runs.

use lab::result::{CellState, Conformance, Report};
use protocol::message::Interface;

use crate::support::{bench, text};

#[test]
fn what_a_run_proves_is_in_the_table_and_in_the_results() {
    let bench = bench();
    let json = bench.path("results.json");
    let words = ["--tag", "conformance", "--filter", "holders", "--interface", "module", "--json", &text(&json)];
    let ended = bench.run(&words).exits(0);
    ended.says(&[
        "ioctl (module)",
        "C1   what a holder registered is forgotten",
        "conformance: 2 pass",
        "of a part of the scenarios",
    ]);
    let report: Report = serde_json::from_str(&std::fs::read_to_string(&json).expect("results")).expect("a report");
    let conformance: Conformance = report.conformance.expect("it was asked for");
    assert!(!conformance.whole);
    let proven: Vec<_> = conformance.cells.iter().filter(|cell| cell.state == CellState::Passed).collect();
    let named: Vec<_> = proven.iter().map(|cell| (cell.requirement.to_string(), cell.face)).collect();
    assert_eq!(named, [("C1".to_owned(), Interface::Module), ("T4".to_owned(), Interface::Module)]);
    for cell in proven {
        let steps: Vec<_> = cell.evidence.iter().filter_map(|evidence| evidence.step.as_deref()).collect();
        assert_eq!(steps, ["check close-before-prepare-forgets", "check crash-before-prepare-forgets"]);
    }
}

#[test]
fn a_claim_that_does_not_hold_fails_its_cell() {
    let bench = bench();
    let file = bench.path("mine.yaml");
    let yaml = "about: a test\ntags: conformance\ninterfaces: [module]\nsteps:\n  - check: {name: state-is-normal-at-start, proves: T17}\n  \
                - check: {name: says-what-is-not-so, proves: C2}\n  - check: {name: does-not-apply, proves: C5}\n";
    std::fs::write(&file, yaml).expect("a file");
    let ended = bench.run(&[&text(&file), "--tag", "conformance"]).exits(1);
    ended.says(&[
        "FAIL: C2 module: says-what-is-not-so expected",
        "not found out: C5 module, T17 module: says-what-is-not-so",
    ]);
}
