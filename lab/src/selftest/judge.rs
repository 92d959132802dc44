//! From what a test did to what is to be said of it.

use std::time::Duration;

use protocol::program::End;

use super::guest::{Session, Stanza};
use super::ktap::{TestResult, Verdict};
use super::{Test, milliseconds};
use crate::result::{Failure, FailureKind, Selftest, SelftestOutcome};
use crate::run::Stop;

/// Lines that a failure repeats.
const EVIDENCE: usize = 12;
/// What kselftest's programs exit with when they could not find out.
const SKIP: i32 = 4;
/// What upstream's scripts look for, too.
const LUO_PASSED: &str = "TEST PASSED";
const KHO_PASSED: &str = "KHO restore succeeded";

/// What is to be said of the test, `whole` being of the whole of it.
pub(super) fn judge(test: Test, session: &Session, whole: &Selftest) -> Vec<Selftest> {
    let whole = Selftest { artefacts: session.artefacts.clone(), proof: session.proof.clone(), ..whole.clone() };
    if test == Test::Liveupdate {
        return cases(session, &whole);
    }
    let outcome = early_end(session).unwrap_or_else(|| staged(test, session));
    vec![Selftest { outcome, ..whole }]
}

/// A test with cases: those that gave a result, and what is to be said besides if not all is well with the whole.
fn cases(session: &Session, whole: &Selftest) -> Vec<Selftest> {
    let mut before = Duration::ZERO;
    let mut all: Vec<Selftest> = Vec::new();
    for result in &session.ktap.results {
        let wall_ms = milliseconds(result.at.saturating_sub(before));
        before = result.at;
        let case = Some(result.name.clone());
        all.push(Selftest { case, outcome: outcome(result), wall_ms, ..whole.clone() });
    }
    let failed = all.iter().any(|case| matches!(case.outcome, SelftestOutcome::Failed(_)));
    if let Some(outcome) = early_end(session).or_else(|| besides(session, failed)) {
        all.push(Selftest { outcome, ..whole.clone() });
    }
    all
}

fn outcome(result: &TestResult) -> SelftestOutcome {
    match &result.verdict {
        Verdict::Passed => SelftestOutcome::Passed,
        Verdict::Skipped(reason) => SelftestOutcome::Skipped { reason: reason.clone() },
        Verdict::ExpectedlyFailed(reason) => SelftestOutcome::ExpectedlyFailed { reason: reason.clone() },
        Verdict::Failed => failed(FailureKind::TestFailed, complaint(&result.words), None, &result.words),
    }
}

/// What a program says of what is wrong: that it bails out, else the first expectation that did not hold, else its last
/// word.
fn complaint(words: &[String]) -> String {
    let bare = |line: &str| line.trim_start_matches(['#', ' ']).to_owned();
    let find = |says: fn(&str) -> bool| words.iter().find(|line| says(line)).map(|line| bare(line));
    find(|line| line.starts_with("Bail out!"))
        .or_else(|| find(|line| line.starts_with("# ") && line.contains(":Expected ")))
        .or_else(|| words.iter().rev().map(|line| bare(line)).find(|line| !line.is_empty()))
        .unwrap_or_else(|| "it says so".to_owned())
}

/// Why the machine, or the lab, ended the test, if one of them did.
fn early_end(session: &Session) -> Option<SelftestOutcome> {
    match session.stop.as_ref()? {
        Stop::Infrastructure(message) => Some(SelftestOutcome::Infrastructure { message: message.clone() }),
        Stop::Cancelled => Some(SelftestOutcome::Infrastructure { message: "cancelled".to_owned() }),
        Stop::Failed(failure) => {
            let step = failure.step.clone().or_else(|| under_way(session));
            Some(SelftestOutcome::Failed(Failure { step, ..failure.clone() }))
        }
    }
}

/// What was going on when the machine ended.
fn under_way(session: &Session) -> Option<String> {
    let stage = session.stages.last().filter(|stage| stage.end.is_none())?;
    stage.lines.last().map(|line| line.trim_start_matches(['#', ' ']).to_owned())
}

/// What is wrong with a test whose program came to its end, its failed cases aside.
fn besides(session: &Session, failed_cases: bool) -> Option<SelftestOutcome> {
    let Some(Stanza { end: Some(end), lines }) = session.stages.last() else {
        let message = "it was not run".to_owned();
        return Some(SelftestOutcome::Infrastructure { message });
    };
    if let (Some(reason), End::Exited(SKIP)) = (session.ktap.skipped(), end) {
        return Some(SelftestOutcome::Skipped { reason: reason.to_owned() });
    }
    let problem = session.ktap.problem();
    let died = match end {
        End::Exited(0) => None,
        End::Exited(1) if failed_cases => None,
        // All cases skipped.
        End::Exited(SKIP) if !session.ktap.results.is_empty() => None,
        other => Some(other.to_string()),
    };
    let problem = match (problem, died) {
        (None, None) => return None,
        (Some(problem), None) => problem,
        (None, Some(died)) => format!("{died}, whatever its cases say"),
        (Some(problem), Some(died)) => format!("{problem}; {died}"),
    };
    let words = if session.ktap.words.is_empty() { lines } else { &session.ktap.words };
    Some(failed(FailureKind::TestUnfinished, problem, None, words))
}

/// A test with one stage before the kexec and one after it.
fn staged(test: Test, session: &Session) -> SelftestOutcome {
    for (stage, number) in session.stages.iter().zip(1..) {
        let step = Some(format!("stage {number}"));
        match stage.end {
            Some(End::Exited(0)) => {}
            Some(End::Exited(SKIP)) => {
                let reason = stage.lines.iter().find_map(|line| line.split_once("# SKIP").map(|(_, reason)| reason));
                let reason = reason.unwrap_or("it does not say why").trim();
                return SelftestOutcome::Skipped { reason: format!("{reason} (in stage {number})") };
            }
            Some(End::Exited(status)) => {
                let message = format!("{}; it exited with status {status}", complaint(&stage.lines));
                return failed(FailureKind::TestFailed, message, step, &stage.lines);
            }
            Some(end) => return failed(FailureKind::TestUnfinished, end.to_string(), step, &stage.lines),
            None => return failed(FailureKind::TestUnfinished, "it came to no end".to_owned(), step, &stage.lines),
        }
    }
    let (said, words): (bool, &str) = match test {
        Test::Kho => (session.kernel_log.lines().any(|line| line.ends_with(KHO_PASSED)), KHO_PASSED),
        _ => (
            session.stages.iter().skip(1).flat_map(|stage| &stage.lines).any(|line| line.contains(LUO_PASSED)),
            LUO_PASSED,
        ),
    };
    match (session.stages.len(), &session.proof) {
        (2, Some(_)) if said => SelftestOutcome::Passed,
        (2, Some(_)) => {
            let lines = session.stages.last().map_or(&[][..], |stage| &stage.lines);
            failed(FailureKind::TestUnfinished, format!("it never said `{words}`"), None, lines)
        }
        _ => failed(FailureKind::UpdateNotProven, "it ended without a live update".to_owned(), None, &[]),
    }
}

fn failed(kind: FailureKind, message: String, step: Option<String>, words: &[String]) -> SelftestOutcome {
    let evidence = words[words.len().saturating_sub(EVIDENCE)..].to_vec();
    SelftestOutcome::Failed(Failure { step, evidence, ..Failure::new(kind, message) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::Proof;

    fn whole() -> Selftest {
        Selftest {
            suite: "liveupdate".to_owned(),
            test: "x".to_owned(),
            case: None,
            outcome: SelftestOutcome::Passed,
            proof: None,
            wall_ms: 7,
            artefacts: String::new(),
        }
    }

    fn proof() -> Proof {
        Proof {
            from_release: "7.3.4".to_owned(),
            to_release: "7.3.4".to_owned(),
            to_version: String::new(),
            command_line_matches: true,
            from_boot_id: "a".to_owned(),
            to_boot_id: "b".to_owned(),
            said_handover: true,
            said_previous_release: None,
            kexec_count: None,
        }
    }

    fn stanza(end: End, text: &str) -> Stanza {
        Stanza { end: Some(end), lines: text.lines().map(str::to_owned).collect() }
    }

    /// A session of a program that says this in TAP, and ends so.
    fn tap(text: &str, end: End) -> Session {
        let mut session = Session { stages: vec![stanza(end, text)], ..Session::default() };
        text.lines().for_each(|line| session.ktap.line(line, Duration::from_millis(5)));
        session
    }

    fn words(cases: &[Selftest]) -> Vec<String> {
        let word = |case: &Selftest| match &case.outcome {
            SelftestOutcome::Passed => "passed".to_owned(),
            SelftestOutcome::Failed(failure) => format!("{:?}: {}", failure.kind, failure.message),
            SelftestOutcome::Skipped { reason } => format!("skipped: {reason}"),
            SelftestOutcome::ExpectedlyFailed { reason } => format!("xfail: {reason}"),
            SelftestOutcome::Absent => "absent".to_owned(),
            SelftestOutcome::Infrastructure { message } => format!("infrastructure: {message}"),
        };
        cases.iter().map(word).collect()
    }

    fn judged(session: &Session) -> Vec<String> {
        words(&judge(Test::Liveupdate, session, &whole()))
    }

    #[test]
    fn a_result_is_what_the_test_says_and_nothing_better() {
        assert_eq!(judged(&tap("1..2\nok 1 a\nok 2 b\n", End::Exited(0))), ["passed", "passed"]);
        assert_eq!(
            judged(&tap("1..2\nok 1 a\n# RUN b\n# x.c:3:b:Expected 1 == 2\n# FAIL b\nnot ok 2 b\n", End::Exited(1))),
            ["passed", "TestFailed: x.c:3:b:Expected 1 == 2"]
        );
        assert_eq!(judged(&tap("1..1\nok 1 a # SKIP no device\n", End::Exited(4))), ["skipped: no device"]);
        assert_eq!(judged(&tap("1..0 # SKIP no device\n", End::Exited(4))), ["skipped: no device"]);
    }

    #[test]
    fn a_test_that_dies_or_says_less_than_announced_has_failed_whatever_its_cases_say() {
        let died = judged(&tap("1..3\nok 1 a\n", End::Signalled(11)));
        assert_eq!(died[0], "passed");
        assert_eq!(died[1], "TestUnfinished: it announced 3 results and gave 1; it was ended by signal 11");
        assert!(judged(&tap("1..3\nok 1 a\n", End::Exited(0)))[1].contains("announced 3 results"));
        assert!(judged(&tap("1..1\nok 1 a\n", End::Exited(1)))[1].contains("exited with status 1"));
        assert!(judged(&tap("1..1\nok 1 a\n", End::OutOfTime))[1].contains("its time was up"));
        assert!(judged(&tap("", End::Exited(0)))[0].contains("says nothing that is a test's"));
        // Without a word on it, status 4 is no skip.
        assert!(judged(&tap("", End::Exited(4)))[0].starts_with("TestUnfinished"));
        assert!(judged(&Session::default())[0].starts_with("infrastructure"));
    }

    #[test]
    fn a_machine_that_ends_early_is_told_with_what_was_going_on() {
        let mut session = tap("1..2\nok 1 a\n#  RUN           b ...\n", End::Exited(0));
        session.stages[0].end = None;
        let failure = Failure::new(FailureKind::KernelPanic, "Kernel panic - not syncing: x".to_owned());
        session.stop = Some(Stop::Failed(failure));
        let cases = judge(Test::Liveupdate, &session, &whole());
        assert_eq!(words(&cases), ["passed", "KernelPanic: Kernel panic - not syncing: x"]);
        let SelftestOutcome::Failed(failure) = &cases[1].outcome else { panic!("{cases:?}") };
        assert_eq!(failure.step.as_deref(), Some("RUN           b ..."));
    }

    #[test]
    fn a_kexec_test_needs_both_stages_the_proof_and_its_own_word() {
        let good = || Session {
            stages: vec![stanza(End::Exited(0), ""), stanza(End::Exited(0), "# --- SIMPLE KEXEC TEST PASSED ---")],
            proof: Some(proof()),
            ..Session::default()
        };
        let judged = |session: &Session| words(&judge(Test::KexecSimple, session, &whole())).remove(0);
        assert_eq!(judged(&good()), "passed");
        type Spoil = fn(&mut Session);
        let spoilt: [(Spoil, &str); 6] = [
            (|session| session.proof = None, "UpdateNotProven"),
            (|session| drop(session.stages.pop()), "UpdateNotProven"),
            (|session| session.stages[1].lines.clear(), "TestUnfinished: it never said"),
            (
                |session| session.stages[1] = stanza(End::Exited(1), "# TEST PASSED\n# Data mismatch!"),
                "TestFailed: Data mismatch!; it exited with status 1",
            ),
            (
                |session| session.stages[1] = stanza(End::Exited(4), "1..0 # SKIP Failed to open"),
                "skipped: Failed to open (in stage 2)",
            ),
            (|session| session.stages[0] = stanza(End::Signalled(9), ""), "TestUnfinished: it was ended by signal 9"),
        ];
        for (spoil, word) in spoilt {
            let mut session = good();
            spoil(&mut session);
            assert!(judged(&session).starts_with(word), "{word}: {}", judged(&session));
        }
    }

    #[test]
    fn khos_test_speaks_in_the_kernels_log() {
        let session = |log: &str| Session {
            stages: vec![stanza(End::Exited(0), ""), stanza(End::Exited(0), "")],
            proof: Some(proof()),
            kernel_log: log.to_owned(),
            ..Session::default()
        };
        let judged = |log: &str| words(&judge(Test::Kho, &session(log), &whole())).remove(0);
        assert_eq!(judged("<6>[    1.0] kho_selftest: KHO restore succeeded"), "passed");
        assert!(judged("<6>[    1.0] kho_selftest: KHO restore failed").starts_with("TestUnfinished"));
    }
}
