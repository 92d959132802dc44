//! All shipped scenarios, and whether each result says what makes it worth something.

use std::collections::BTreeSet;
use std::time::Duration;

use lab::result::{
    AcceleratorKind, Environment, FailureKind, Hop, HopOutcome, Outcome, PhaseName, Proof, Report, Run, SCHEMA_VERSION,
};
use lab::scenario::library::Library;
use protocol::message::Interface;

use crate::common::{say, workspace};
use crate::support::{bench, text};

#[test]
fn every_shipped_scenario_comes_out_as_it_must() {
    let bench = bench();
    let json = bench.path("results.json");
    let ended = bench.start(bench.scenario(&["--json", &text(&json)])).end(Duration::from_secs(2300)).exits(0);
    let written = std::fs::read_to_string(&json).expect("results");
    let value: serde_json::Value = serde_json::from_str(&written).expect("JSON");
    obeys_the_schema(&value);
    let report: Report = serde_json::from_value(value).expect("the lab reads what it writes");
    assert_eq!(report.schema_version, SCHEMA_VERSION);
    names_its_surroundings(&report.environments[0]);
    is_complete(&report.runs);
    for run in &report.runs {
        println!("{} {:?}", run.scenario, run.interface);
        assert!(run.is_green(), "{run:#?}");
        assert!(run.artefacts.is_empty(), "a green run keeps no folder: {run:#?}");
        match run.must_fail {
            Some(kind) => is_red_for_its_reason(run, kind),
            None if run.hops.last().is_some_and(Hop::is_expected_loss) => is_lost_as_it_must(run),
            None => is_proven(run),
        }
    }
    carried_what_they_say(&report.runs);
    some_ticked_on(&report.runs);
    let summary = format!("{} passed, 0 failed", report.runs.len());
    ended.says(&[&summary, "Kernel Linux 7.3", "Accelerator", "red, as it must be: page 3", "blackout"]);
    assert_eq!(std::fs::read_dir(bench.runs()).expect("the runs").count(), 0, "green runs leave no folder");
    bench.no_litter();
    bench.all_gone(crate::support::PROMPT);
}

fn obeys_the_schema(value: &serde_json::Value) {
    let schema = serde_json::from_str(&say(&["schema"]).exits(0).out).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let errors: Vec<String> =
        validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "the results are not what `schema` says: {errors:#?}");
}

fn names_its_surroundings(environment: &Environment) {
    assert!(environment.qemu.starts_with("QEMU emulator version"), "{environment:#?}");
    assert!(!environment.host_kernel.is_empty() && !environment.lab.is_empty(), "{environment:#?}");
    let accelerator = &environment.accelerator;
    let reason = match accelerator.kind {
        AcceleratorKind::Kvm => "reported back",
        AcceleratorKind::Tcg => "KVM does not work here: ",
        AcceleratorKind::Icount => "asked for",
    };
    assert!(accelerator.reason.contains(reason), "{accelerator:#?}");
    let [kernel] = environment.kernels.as_slice() else { panic!("one kernel: {environment:#?}") };
    assert_eq!(kernel.requested, "7.3");
    assert!(kernel.release.starts_with("7.3."), "{kernel:#?}");
    assert!(!kernel.origin.is_empty() && kernel.compiler.contains("gcc"), "{kernel:#?}");
    assert!(kernel.rustc.as_deref().is_some_and(|rustc| rustc.starts_with("rustc ")), "{kernel:#?}");
    let module = kernel.module_sha256.as_ref().expect("the module was built");
    let hashes = [&kernel.source_sha256, &kernel.image_sha256, &kernel.config_sha256, module, &kernel.initramfs_sha256];
    for hash in hashes {
        assert!(hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{hash}: {kernel:#?}");
    }
    assert_eq!(BTreeSet::from(hashes).len(), hashes.len(), "two things with one hash: {kernel:#?}");
}

/// Each scenario file has a run on each of its interfaces, and no run is of anything else.
fn is_complete(runs: &[Run]) {
    let library = Library::new(workspace().join("scenarios")).all().expect("the shipped scenarios are sound");
    let name = |interface| format!("{interface:?}");
    let wanted: Vec<_> = library
        .iter()
        .flat_map(|document| {
            document
                .scenario
                .interfaces
                .iter()
                .map(|&it| (document.name.clone(), name(it), document.scenario.must_fail))
        })
        .collect();
    let found: Vec<_> = runs.iter().map(|run| (run.scenario.clone(), name(run.interface), run.must_fail)).collect();
    assert_eq!(found, wanted);
}

fn is_red_for_its_reason(run: &Run, kind: FailureKind) {
    let Outcome::Failed(failure) = &run.outcome else { panic!("{run:#?}") };
    assert_eq!(failure.kind, kind, "{run:#?}");
    let (words, step, line): (&[&str], _, _) = match kind {
        FailureKind::PageCorrupted => {
            (&["page 3 of ledger holds changed bytes", "1 of 1024 pages"], "verify ledger", "9:5")
        }
        FailureKind::PagesSwapped => {
            (&["page 3 of ledger holds page 7 of ledger", "2 of 1024 pages"], "verify ledger", "9:5")
        }
        FailureKind::UpdateNotProven => {
            (&["boot id is still", "does not say that it came by Kexec HandOver"], "update, its kexec left out", "6:5")
        }
        FailureKind::CheckFailed if run.hops.is_empty() => {
            (&["expected the sun to rise in the west", "found: the east"], "check says-what-is-not-so", "5:5")
        }
        FailureKind::CheckFailed => {
            (&["the number that was left to be 2", "found: 1"], "find finds-what-was-not-left", "7:5")
        }
        FailureKind::CheckUnfinished => (&["it was killed after 500 ms"], "check never-ends", "5:5"),
        other => panic!("no shipped scenario fails like this: {other:?}"),
    };
    for word in words {
        assert!(failure.message.contains(word), "`{word}`: {failure:#?}");
    }
    assert_eq!(failure.step.as_deref(), Some(step), "{failure:#?}");
    let place = format!("{}.yaml:{line}", run.scenario);
    assert!(failure.place.as_ref().is_some_and(|found| found.ends_with(&place)), "{place}: {failure:#?}");
    let within_one_kernel = !run.steps.iter().any(|step| step.text.starts_with("update"));
    let hop = match run.hops.as_slice() {
        [] if within_one_kernel => return,
        [hop] => hop,
        _ => panic!("one hop: {run:#?}"),
    };
    if kind == FailureKind::UpdateNotProven {
        let proof = proof(hop);
        assert_eq!((proof.kexec_count, &proof.said_previous_release), (None, &None), "{hop:#?}");
        assert_eq!(proof.from_boot_id, proof.to_boot_id, "{hop:#?}");
    } else if kind == FailureKind::CheckFailed {
        is_a_hop(hop, 1);
    } else {
        is_a_hop(hop, 1);
        let bad = hop.fidelity.first_bad.as_ref().unwrap_or_else(|| panic!("no bad page: {hop:#?}"));
        assert_eq!((bad.object.as_str(), bad.index), ("ledger", 3), "{bad:#?}");
        assert!(bad.expected != bad.actual, "{bad:#?}");
        let lost = if kind == FailureKind::PagesSwapped { 2 } else { 1 };
        assert_eq!(hop.fidelity.identical + lost, hop.fidelity.pages, "{hop:#?}");
        // What was damaged was damaged before: the update itself moved nothing.
        assert_eq!(hop.fidelity.in_place, hop.fidelity.pages, "{hop:#?}");
    }
}

/// The last update lost what it was handed, the new kernel is the one that was loaded, and lines show what became of it
/// unless it is that nobody asks for it.
fn is_lost_as_it_must(run: &Run) {
    let Some((last, before)) = run.hops.split_last() else { panic!("no hop: {run:#?}") };
    let told = !last.evidence.is_empty() || last.outcome == Some(HopOutcome::Ignored);
    assert!(proof(last).is_new_kernel() && told, "{last:#?}");
    assert_eq!(last.fidelity.pages, 0, "{last:#?}");
    before.iter().zip(1..).for_each(|(hop, number)| is_a_hop(hop, number));
    assert!(run.steps.last().is_some_and(|step| !step.ok), "the loss was looked for: {run:#?}");
}

fn is_proven(run: &Run) {
    assert!(matches!(run.outcome, Outcome::Passed), "{run:#?}");
    let checked = run.steps.iter().any(|step| step.text.starts_with("check ") && step.not_applicable.is_none());
    assert!(!run.hops.is_empty() || checked, "green without a live update or a check: {run:#?}");
    assert!(run.steps.iter().all(|step| step.ok) && run.wall_ms > 0, "{run:#?}");
    let clock = run.clock.as_ref().unwrap_or_else(|| panic!("no clock: {run:#?}"));
    assert!(clock.tsc_hz > 1e8 && clock.error_ppm >= 0.0 && clock.error_ppm < 100_000.0, "{clock:?}");
    let mut boots = BTreeSet::new();
    for (hop, number) in run.hops.iter().zip(1..) {
        is_a_hop(hop, number);
        boots.extend([&proof(hop).from_boot_id, &proof(hop).to_boot_id]);
        let fidelity = &hop.fidelity;
        let compared = fidelity.pages > 0;
        assert_eq!(hop.expected, HopOutcome::Preserved, "{run:#?}");
        assert!(hop.outcome == Some(HopOutcome::Preserved) || hop.outcome.is_none() && !compared, "{run:#?}");
        assert_eq!((fidelity.identical, fidelity.in_place), (fidelity.pages, fidelity.pages), "{run:#?}");
        assert_eq!(fidelity.first_bad, None, "{run:#?}");
        let ticked = run.steps.iter().any(|step| step.text == "resume the workload" && step.generation == number);
        is_timed(run, hop, ticked);
    }
    let boots_seen = if run.hops.is_empty() { 0 } else { run.hops.len() + 1 };
    assert_eq!(boots.len(), boots_seen, "each boot has an id of its own: {run:#?}");
}

fn proof(hop: &Hop) -> &Proof {
    hop.proof.as_ref().unwrap_or_else(|| panic!("nobody answered: {hop:#?}"))
}

fn is_a_hop(hop: &Hop, number: u32) {
    let proof = proof(hop);
    assert_eq!(proof.kexec_count, Some(number), "{hop:#?}");
    assert_eq!(proof.said_previous_release.as_ref(), Some(&proof.from_release), "{hop:#?}");
    assert_ne!(proof.from_boot_id, proof.to_boot_id, "{hop:#?}");
    assert!(proof.to_release.starts_with("7.3."), "{hop:#?}");
}

/// Phases follow one another, and those without the workload add up to the blackout.
fn is_timed(run: &Run, hop: &Hop, ticked: bool) {
    let time = &hop.time;
    for phase in &time.phases {
        assert!(phase.tsc[0] <= phase.tsc[1], "{phase:?} {run:#?}");
    }
    let in_order = time.phases.iter().zip(time.phases.iter().skip(1)).all(|(one, next)| one.tsc[1] <= next.tsc[0]);
    assert!(in_order, "phases overlap: {run:#?}");
    assert_eq!(time.blackout_ns.is_some(), ticked, "{run:#?}");
    let Some(blackout) = time.blackout_ns else { return };
    assert!(blackout > 0 && time.blackout_error_ns.is_some_and(|error| error > 0 && error < blackout), "{time:#?}");
    assert!(time.update_ns.is_some_and(|update| update >= blackout), "{time:#?}");
    let dark = [PhaseName::Restart, PhaseName::AgentStart, PhaseName::Handshake, PhaseName::Resume];
    let parts: Vec<u64> = time.phases.iter().filter(|phase| dark.contains(&phase.name)).map(|phase| phase.ns).collect();
    assert_eq!(parts.len(), dark.len(), "{time:#?}");
    // Each is rounded by itself.
    assert!(parts.iter().sum::<u64>().abs_diff(blackout) < 10, "{parts:?} are not {blackout}: {time:#?}");
    assert!(time.phases.iter().any(|phase| phase.name == PhaseName::Load), "{time:#?}");
}

/// A workload runs on until the processor stops. On a quick machine one may not get to tick between reboot(2) and then,
/// but never none of them.
fn some_ticked_on(runs: &[Run]) {
    let mut phases = runs.iter().flat_map(|run| &run.hops).flat_map(|hop| &hop.time.phases);
    assert!(phases.any(|phase| phase.name == PhaseName::Shutdown), "no workload ticked after reboot(2)");
}

/// Objects, bytes and pages of each hop, as the scenario files have them.
fn carried_what_they_say(runs: &[Run]) {
    const MIB: u64 = 1 << 20;
    for (scenario, wanted) in [
        ("one-object", &[(1, 64 * MIB, 16_384)][..]),
        ("many-objects", &[(200, 200 * (64 << 10), 3200)]),
        ("sizes", &[(5, 64 * MIB + 1 + 4095 + 4096, 16_387)]),
        ("two-hops", &[(1, 16 * MIB, 4096), (2, 20 * MIB, 5120)]),
        ("unclaimed", &[(1, 4 * MIB, 1024)]),
        ("cancel", &[(0, 0, 0)]),
        ("agent-killed", &[(0, 0, 0)]),
    ] {
        let mut seen = 0;
        for run in runs.iter().filter(|run| run.scenario == scenario) {
            let found: Vec<_> =
                run.hops.iter().map(|hop| (hop.fidelity.objects, hop.fidelity.bytes, hop.fidelity.pages)).collect();
            assert_eq!(found, wanted, "{run:#?}");
            seen += 1;
        }
        assert_eq!(seen, Interface::ALL.len(), "{scenario} on every interface");
    }
}
