//! Checks that go wrong in every way in which a check can. Each of them has to be named for what it did.

use lab::result::{Failure, FailureKind, Outcome, Run};
use protocol::message::Interface;

use crate::support::turn;

fn with_steps(steps: &str) -> String {
    format!("about: a test\ntags: conformance\nsteps:\n{steps}")
}

fn failure(run: &Run) -> &Failure {
    match &run.outcome {
        Outcome::Failed(failure) => failure,
        other => panic!("{other:#?}"),
    }
}

#[test]
fn a_check_that_dies_is_told_with_its_signal_at_its_line() {
    let yaml = with_steps("  - check: does-not-apply\n  - check: dies-midway\n  - check: says-what-is-not-so\n");
    let run = turn().run(&yaml, Interface::Luo);
    let failure = failure(&run);
    assert_eq!(failure.kind, FailureKind::CheckUnfinished, "{run:#?}");
    assert_eq!(failure.message, "dies-midway came to no end: it was ended by signal 6");
    assert_eq!(failure.place.as_deref(), Some("test.yaml:5:5"), "{run:#?}");
    assert_eq!(run.steps.len(), 2, "the steps behind it were not begun: {run:#?}");
    assert!(run.clock.is_some(), "the agent answers still: {run:#?}");
}

#[test]
fn a_finding_ends_the_run_with_its_text() {
    let run = turn().run(&with_steps("  - check: says-what-is-not-so\n"), Interface::Luo);
    let failure = failure(&run);
    assert_eq!(failure.kind, FailureKind::CheckFailed, "{run:#?}");
    assert_eq!(failure.message, "says-what-is-not-so expected the sun to rise in the west; it found: the east");
    assert_eq!(failure.step.as_deref(), Some("check says-what-is-not-so"));
}

#[test]
fn what_does_not_apply_is_told_and_claims_nothing() {
    let yaml = with_steps("  - check: {name: does-not-apply, proves: T2}\n");
    let run = turn().run(&yaml, Interface::Luo);
    assert!(matches!(run.outcome, Outcome::Passed), "{run:#?}");
    let lacks: Vec<_> = run.not_applicable().collect();
    assert_eq!(lacks, [("check does-not-apply", "the kernel cannot tell the future")]);
    assert_eq!(run.claims.len(), 1, "{run:#?}");
}

#[test]
fn a_check_may_take_longer_than_a_guest_may_be_silent() {
    let mut turn = turn();
    turn.stage.limits.silence = std::time::Duration::from_secs(2);
    let run = turn.run(&with_steps("  - check: {name: never-ends, within: 4 s}\n"), Interface::Luo);
    let failure = failure(&run);
    assert_eq!(failure.kind, FailureKind::CheckUnfinished, "not a guest that hangs: {run:#?}");
    assert!(failure.message.contains("killed after 4000 ms"), "{failure:#?}");
}
