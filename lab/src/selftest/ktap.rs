//! KTAP, the kernel's Test Anything Protocol: what a test says of itself. It is a guest's word: bounded, and believed only
//! as far as it is complete.

use std::time::Duration;

/// Most results that one test may have.
const MAX_RESULTS: usize = 4096;
/// Lines that are kept of what was said before a result.
const MAX_WORDS: usize = 40;

/// What a test has said, taken in line by line.
#[derive(Debug, Default)]
pub(super) struct Ktap {
    /// Its results, in order.
    pub(super) results: Vec<TestResult>,
    plan: Option<Plan>,
    /// What it said last, and no result has come since.
    pub(super) words: Vec<String>,
    /// Why it gave up by its own word.
    bailed_out: Option<String>,
    /// The first thing that no honest test says.
    nonsense: Option<String>,
}

/// What a test announces.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Plan {
    Results(usize),
    /// None at all, and why.
    Skip(String),
}

/// One result line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TestResult {
    /// The case.
    pub(super) name: String,
    /// How it ended.
    pub(super) verdict: Verdict,
    /// What was said on the way.
    pub(super) words: Vec<String>,
    /// When the line came.
    pub(super) at: Duration,
}

/// What a result line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Passed,
    Failed,
    Skipped(String),
    ExpectedlyFailed(String),
}

impl Ktap {
    /// Takes in a line. Those that are indented belong to a result that is to come, whose word is the last.
    pub(super) fn line(&mut self, line: &str, at: Duration) {
        if let Some(result) = result(line, self.results.len() + 1) {
            match result {
                Ok((name, verdict)) if self.results.len() < MAX_RESULTS => {
                    let words = std::mem::take(&mut self.words);
                    self.results.push(TestResult { name, verdict, words, at });
                }
                Ok(_) => self.protest(format!("more than {MAX_RESULTS} results")),
                Err(why) => self.protest(why),
            }
        } else if let Some(announced) = plan(line) {
            match &self.plan {
                None => self.plan = Some(announced),
                Some(_) => self.protest(format!("a second plan: {line}")),
            }
        } else if let Some(why) = line.strip_prefix("Bail out!") {
            self.bailed_out.get_or_insert_with(|| why.trim().to_owned());
        } else if !line.trim().is_empty() {
            if self.words.len() == MAX_WORDS {
                self.words.remove(0);
            }
            self.words.push(line.to_owned());
        }
    }

    fn protest(&mut self, why: String) {
        self.nonsense.get_or_insert(why);
    }

    /// Why the test skipped itself as a whole, if it did.
    pub(super) fn skipped(&self) -> Option<&str> {
        match &self.plan {
            Some(Plan::Skip(reason)) if self.results.is_empty() => Some(reason),
            _ => None,
        }
    }

    /// What is missing, or does not belong there.
    pub(super) fn problem(&self) -> Option<String> {
        let count = self.results.len();
        if let Some(why) = &self.bailed_out {
            return Some(format!("it bailed out: {why}"));
        }
        if let Some(why) = &self.nonsense {
            return Some(format!("it says what cannot be: {why}"));
        }
        match self.plan {
            None if count == 0 => Some("it says nothing that is a test's".to_owned()),
            None => Some(format!("it gave {count} results and never said how many there are")),
            Some(Plan::Skip(_)) if count == 0 => None,
            Some(Plan::Skip(_)) => Some(format!("it said that it skips, and gave {count} results")),
            Some(Plan::Results(0)) => Some("it announced no results".to_owned()),
            Some(Plan::Results(announced)) if announced != count => {
                Some(format!("it announced {announced} results and gave {count}"))
            }
            Some(Plan::Results(_)) => None,
        }
    }
}

/// `ok 1 name # SKIP reason`, at the line's very beginning; an error if its number is not the one due.
fn result(line: &str, due: usize) -> Option<Result<(String, Verdict), String>> {
    let (ok, rest) = match line.strip_prefix("not ok") {
        Some(rest) => (false, rest),
        None => (true, line.strip_prefix("ok")?),
    };
    let rest = rest.strip_prefix(' ')?.trim_start();
    let (number, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let number: usize = number.parse().ok()?;
    if number != due {
        return Some(Err(format!("result {number} where {due} is due: {line}")));
    }
    let (name, directive) = match rest.split_once('#') {
        Some((name, directive)) => (name, directive.trim()),
        None => (rest, ""),
    };
    let name = name.trim().trim_start_matches("- ").to_owned();
    let name = if name.is_empty() { format!("{number}") } else { name };
    let (word, reason) = directive.split_once(' ').unwrap_or((directive, ""));
    let reason = reason.trim().to_owned();
    let verdict = match (ok, word.trim_end_matches(':').to_ascii_uppercase().as_str()) {
        (_, "SKIP") => Verdict::Skipped(reason),
        // The older word, and the kernel's.
        (false, "TODO") | (_, "XFAIL") => Verdict::ExpectedlyFailed(reason),
        (true, "TIMEOUT" | "ERROR") | (false, _) => Verdict::Failed,
        (true, _) => Verdict::Passed,
    };
    Some(Ok((name, verdict)))
}

/// `1..15`, or `1..0 # SKIP reason`.
fn plan(line: &str) -> Option<Plan> {
    let rest = line.strip_prefix("1..")?;
    let (count, directive) = match rest.split_once('#') {
        Some((count, directive)) => (count, directive.trim()),
        None => (rest, ""),
    };
    let count = count.trim().parse().ok()?;
    match (count, directive.strip_prefix("SKIP")) {
        (0, Some(reason)) => Some(Plan::Skip(reason.trim().to_owned())),
        _ => Some(Plan::Results(count)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Ktap {
        let mut ktap = Ktap::default();
        text.lines().for_each(|line| ktap.line(line, Duration::ZERO));
        ktap
    }

    fn verdicts(ktap: &Ktap) -> Vec<(&str, &Verdict)> {
        ktap.results.iter().map(|result| (result.name.as_str(), &result.verdict)).collect()
    }

    /// As `kselftest_harness.h` prints.
    const HARNESS: &str = "\
TAP version 13
1..4
# Starting 4 tests from 2 test cases.
#  RUN           liveupdate_device.basic_open_close ...
#            OK  liveupdate_device.basic_open_close
ok 1 liveupdate_device.basic_open_close
#  RUN           liveupdate_device.exclusive_open ...
# liveupdate.c:93:exclusive_open:Expected self->fd2 (5) < 0 (0)
#          FAIL  liveupdate_device.exclusive_open
not ok 2 liveupdate_device.exclusive_open
#      SKIP      /dev/liveupdate does not exist.
ok 3 liveupdate_device.preserve_memfd # SKIP /dev/liveupdate does not exist.
ok 4 liveupdate_device.known # XFAIL not yet
# FAILED: 3 / 4 tests passed.
# Totals: pass:1 fail:1 xfail:1 xpass:0 skip:1 error:0
";

    #[test]
    fn what_the_harness_prints_is_read_with_the_words_before_each_result() {
        let ktap = read(HARNESS);
        let skipped = Verdict::Skipped("/dev/liveupdate does not exist.".to_owned());
        let expected = Verdict::ExpectedlyFailed("not yet".to_owned());
        assert_eq!(
            verdicts(&ktap),
            [
                ("liveupdate_device.basic_open_close", &Verdict::Passed),
                ("liveupdate_device.exclusive_open", &Verdict::Failed),
                ("liveupdate_device.preserve_memfd", &skipped),
                ("liveupdate_device.known", &expected),
            ]
        );
        assert_eq!(ktap.problem(), None);
        assert!(ktap.results[1].words.iter().any(|word| word.contains("Expected self->fd2")));
        assert!(ktap.results[0].words.iter().all(|word| !word.contains("exclusive_open")));
    }

    #[test]
    fn fewer_results_than_announced_are_a_problem_and_what_ran_is_still_known() {
        let cut: String = HARNESS.lines().take(8).map(|line| format!("{line}\n")).collect();
        let ktap = read(&cut);
        assert_eq!(ktap.results.len(), 1);
        assert!(ktap.problem().unwrap().contains("announced 4 results and gave 1"));
        assert!(ktap.words[0].contains("exclusive_open"));
    }

    #[test]
    fn what_cannot_be_is_a_problem() {
        for (text, why) in [
            ("", "nothing that is a test's"),
            ("hello\n", "nothing that is a test's"),
            ("ok 1 a\n", "never said how many"),
            ("1..0\n", "announced no results"),
            ("1..1\nok 2 a\n", "result 2 where 1 is due"),
            ("1..2\nok 1 a\nok 1 a\n", "result 1 where 2 is due"),
            ("1..1\n1..1\nok 1 a\n", "a second plan"),
            ("1..1\nok 1 a\nok 2 b\n", "announced 1 results and gave 2"),
            ("1..0 # SKIP no device\nok 1 a\n", "said that it skips"),
            ("1..2\nok 1 a\nBail out! broken\n", "bailed out: broken"),
        ] {
            let problem = read(text).problem().unwrap();
            assert!(problem.contains(why), "{text:?}: {problem}");
        }
    }

    #[test]
    fn a_whole_test_may_skip_with_its_reason() {
        let ktap = read("TAP version 13\n1..0 # SKIP Failed to open /dev/liveupdate\n");
        assert_eq!(ktap.skipped(), Some("Failed to open /dev/liveupdate"));
        assert_eq!(ktap.problem(), None);
    }

    #[test]
    fn older_and_other_ways_to_say_it() {
        let ktap = read(
            "1..6\nok 1 - a\nnot ok 2 b # SKIP why\nnot ok 3 c # TODO later\nok 4\nok 5 e # TIMEOUT\nok 6 f # a remark\n",
        );
        let skipped = Verdict::Skipped("why".to_owned());
        let expected = Verdict::ExpectedlyFailed("later".to_owned());
        let all = [
            ("a", &Verdict::Passed),
            ("b", &skipped),
            ("c", &expected),
            ("4", &Verdict::Passed),
            ("e", &Verdict::Failed),
            ("f", &Verdict::Passed),
        ];
        assert_eq!(verdicts(&ktap), all);
        // A test within a test: the outer one's word counts. And a word is no result.
        let nested = read("1..1\n    ok 1 inner\n    not ok 2 inner too\nnot ok 1 outer\nokay 2 x\nok then\n");
        assert_eq!(verdicts(&nested), [("outer", &Verdict::Failed)]);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_are_too_much(text in "(ok|not ok|1\\.\\.|Bail out!|#|[0-9 ]|\\PC|\n){0,200}") {
            let ktap = read(&text);
            let _ = (ktap.problem(), ktap.skipped());
            proptest::prop_assert!(ktap.words.len() <= MAX_WORDS);
        }
    }
}
