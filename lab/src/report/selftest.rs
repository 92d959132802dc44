//! What the kernel's own tests said, for a terminal: a line a case, and a summary.

use console::{StyledObject, style};

use super::terminal::{plain, words};
use crate::result::{Selftest, SelftestOutcome};

/// The line of one case, and what has to be said of it besides. What guests said may hold anything: control characters
/// stay out of the terminal.
#[must_use]
pub fn lines(selftest: &Selftest) -> String {
    let seconds = format!("[{:>7.3}s]", selftest.wall_ms as f64 / 1e3);
    let name = plain(&selftest.name());
    let indent = "";
    let mut lines =
        vec![format!("{:>12} {seconds} {} {name}", label(&selftest.outcome), style(&selftest.suite).magenta())];
    let mut say = |text: &str| lines.push(format!("{indent:>23} {}", plain(text)));
    match &selftest.outcome {
        SelftestOutcome::Passed => {}
        SelftestOutcome::Failed(failure) => {
            say(&format!("{}: {}", words(failure.kind), failure.message));
            if let Some(step) = &failure.step {
                say(&format!("while: {step}"));
            }
            failure.evidence.iter().for_each(|line| say(&format!("| {line}")));
        }
        SelftestOutcome::Skipped { reason } | SelftestOutcome::ExpectedlyFailed { reason } => say(reason),
        SelftestOutcome::Absent => say("this kernel's tree has no such test"),
        SelftestOutcome::Infrastructure { message } => message.lines().for_each(say),
    }
    lines.join("\n")
}

/// Where the evidence of a test is whose cases these are, if it was kept.
#[must_use]
pub fn kept(cases: &[Selftest]) -> Option<String> {
    let folder = cases.iter().map(|case| case.artefacts.as_str()).find(|folder| !folder.is_empty())?;
    Some(format!("{:>23} kept: {folder}  (the same machine by hand: sh {folder}/qemu.sh)", ""))
}

fn label(outcome: &SelftestOutcome) -> StyledObject<&'static str> {
    match outcome {
        SelftestOutcome::Passed => style("PASS").green().bold(),
        SelftestOutcome::Failed(_) => style("FAIL").red().bold(),
        SelftestOutcome::Skipped { .. } => style("SKIP").yellow().bold(),
        SelftestOutcome::ExpectedlyFailed { .. } => style("XFAIL").yellow().bold(),
        SelftestOutcome::Absent => style("ABSENT").yellow().bold(),
        SelftestOutcome::Infrastructure { .. } => style("INFRA").red().bold(),
    }
}

/// How many of each there are. What did not happen is not told, but for failures and skips: those are looked for.
#[must_use]
pub fn summary(selftests: &[Selftest]) -> String {
    let count = |is: fn(&SelftestOutcome) -> bool| selftests.iter().filter(|test| is(&test.outcome)).count();
    let mut parts = vec![
        format!("{} passed", count(|outcome| matches!(outcome, SelftestOutcome::Passed))),
        format!("{} failed", count(|outcome| matches!(outcome, SelftestOutcome::Failed(_)))),
        format!("{} skipped", count(|outcome| matches!(outcome, SelftestOutcome::Skipped { .. }))),
    ];
    let others: [(usize, &str); 3] = [
        (count(|outcome| matches!(outcome, SelftestOutcome::ExpectedlyFailed { .. })), "failed as expected"),
        (count(|outcome| matches!(outcome, SelftestOutcome::Absent)), "not in this kernel's tree"),
        (count(|outcome| matches!(outcome, SelftestOutcome::Infrastructure { .. })), "not found out"),
    ];
    parts.extend(others.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")));
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::{Failure, FailureKind};

    fn said(outcome: SelftestOutcome) -> Selftest {
        Selftest {
            suite: "liveupdate".to_owned(),
            test: "liveupdate".to_owned(),
            case: Some("liveupdate_device.exclusive_open".to_owned()),
            outcome,
            proof: None,
            wall_ms: 12,
            artefacts: "runs/1".to_owned(),
        }
    }

    #[test]
    fn a_failure_shows_its_proof_and_nothing_that_a_terminal_obeys() {
        let failure = Failure {
            evidence: vec!["Expected \u{1b}[2J1".to_owned()],
            ..Failure::new(FailureKind::TestFailed, "it says so".to_owned())
        };
        let lines = lines(&said(SelftestOutcome::Failed(failure)));
        assert!(lines.contains("FAIL [  0.012s] liveupdate liveupdate liveupdate_device.exclusive_open"), "{lines}");
        assert!(lines.contains("test failed: it says so"), "{lines}");
        assert!(!lines.contains('\u{1b}'), "{lines}");
    }

    #[test]
    fn a_skip_is_counted_as_a_skip() {
        let reason = || "no device".to_owned();
        let all = [
            said(SelftestOutcome::Passed),
            said(SelftestOutcome::Skipped { reason: reason() }),
            said(SelftestOutcome::Absent),
        ];
        assert_eq!(summary(&all), "1 passed, 0 failed, 1 skipped, 1 not in this kernel's tree");
        assert!(lines(&all[1]).ends_with("no device"));
    }
}
