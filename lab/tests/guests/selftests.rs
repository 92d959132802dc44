//! The kernel's own tests on real guests: green where all is well, and red or skipped where it is not.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use lab::cache::Cache;
use lab::host::{Cancel, Silent};
use lab::kernel::Profile;
use lab::machine::accelerator::Wish;
use lab::result::{FailureKind, Selftest, SelftestOutcome};
use lab::run::Limits;
use lab::run::stage::Setup;
use lab::selftest::{self, Bench, Test};

use crate::support::{Deaf, turn};

static BENCH: LazyLock<Bench> = LazyLock::new(|| {
    let kernel = || "7.3".parse().unwrap();
    let setup = Setup {
        workspace: Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap(),
        kernel: kernel(),
        profile: Profile::Fast,
        named: BTreeMap::new(),
        accelerator: Wish::Auto,
        limits: Limits { silence: Duration::from_secs(20), total: Duration::from_secs(120), ..Limits::default() },
        runs: PathBuf::new(),
    };
    selftest::set(&setup, &kernel(), &Cache::open().unwrap(), &Silent, &Cancel::new()).unwrap()
});

/// Runs a test on kernels that are told this besides.
fn run(test: Test, words: &str) -> Vec<Selftest> {
    let turn = turn();
    let mut bench = BENCH.clone();
    bench.stage.runs = turn.folder.path().to_owned();
    bench.stage.command_line = format!("{} {words}", bench.stage.command_line);
    selftest::run(&bench, test, &mut Deaf, &Cancel::new()).unwrap()
}

fn one(test: Test, words: &str) -> Selftest {
    let mut cases = run(test, words);
    assert_eq!(cases.len(), 1, "{cases:#?}");
    cases.remove(0)
}

#[test]
fn the_cases_of_a_test_are_told_one_by_one() {
    let cases = run(Test::Liveupdate, "");
    assert!(cases.len() >= 15, "{cases:#?}");
    assert!(cases.iter().all(|case| matches!(case.outcome, SelftestOutcome::Passed)), "{cases:#?}");
    let wanted = Some("liveupdate_device.exclusive_open");
    assert!(cases.iter().any(|case| case.case.as_deref() == wanted), "{cases:#?}");
}

#[test]
fn a_kexec_test_passes_with_proof_of_its_kexec() {
    for test in [Test::KexecSimple, Test::Kho] {
        let told = one(test, "");
        assert!(matches!(told.outcome, SelftestOutcome::Passed), "{told:#?}");
        let proof = told.proof.unwrap();
        assert!(proof.said_handover && proof.from_boot_id != proof.to_boot_id, "{proof:#?}");
        assert_eq!(proof.kexec_count, Some(1), "{proof:#?}");
    }
}

#[test]
fn without_the_orchestrator_they_skip_and_say_why() {
    let cases = run(Test::Liveupdate, "liveupdate=off");
    let skipped = |case: &&Selftest| matches!(&case.outcome, SelftestOutcome::Skipped { reason } if reason.contains("/dev/liveupdate does not exist"));
    // All but the one that leaves out to ask.
    assert!(cases.iter().filter(skipped).count() >= 14, "{cases:#?}");
    assert!(!cases.iter().any(|case| matches!(case.outcome, SelftestOutcome::Passed)), "{cases:#?}");
    let told = one(Test::KexecSimple, "liveupdate=off");
    assert!(matches!(&told.outcome, SelftestOutcome::Skipped { reason } if reason.contains("stage 1")), "{told:#?}");
}

#[test]
fn a_kexec_without_handover_is_no_pass() {
    let told = one(Test::Kho, "kho=off");
    let SelftestOutcome::Failed(failure) = &told.outcome else { panic!("{told:#?}") };
    assert_eq!(failure.kind, FailureKind::UpdateNotProven, "{told:#?}");
}

#[test]
fn a_guest_that_dies_is_named_with_its_last_lines() {
    let told = one(Test::KexecSimple, "rdinit=/nothing");
    let SelftestOutcome::Failed(failure) = &told.outcome else { panic!("{told:#?}") };
    assert_eq!(failure.kind, FailureKind::KernelPanic, "{told:#?}");
    assert!(failure.evidence.iter().any(|line| line.contains("Kernel panic")), "{told:#?}");
}
