//! Scenario files: what is accepted, and what is said about what is not.

use std::collections::BTreeSet;

use lab::scenario::Document;
use lab::scenario::library::Library;
use lab::scenario::plan::{Action, Plan};
use proptest::prelude::*;
use protocol::message::Interface;

fn complaint(text: &str) -> String {
    Document::parse("test", "test.yaml", text).expect_err(text).to_string()
}

fn with_steps(steps: &str) -> String {
    format!("about: a test\nsteps:\n{steps}")
}

#[test]
fn every_shipped_scenario_is_sound() {
    let library = Library::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../scenarios"));
    let all = library.all().unwrap();
    assert!(all.len() >= 10);
    let names: BTreeSet<&str> = all.iter().map(|document| document.name.as_str()).collect();
    assert_eq!(names.len(), all.len(), "two folders have a scenario of the same name: {names:?}");
    for document in &all {
        for &interface in &document.scenario.interfaces {
            let plan = document.plan(interface).unwrap();
            assert!(plan.hops() >= 1 || checks(&plan) >= 1, "{}", plan.scenario);
        }
        // One that groups checks may have a line for each.
        let checks = document.plan(document.scenario.interfaces[0]).map_or(0, |plan| checks(&plan));
        assert!(document.text.lines().count() <= 15 + checks, "{} is long for what it says", document.name);
    }
}

fn checks(plan: &Plan) -> usize {
    plan.steps.iter().filter(|step| matches!(step.action, Action::Check { .. })).count()
}

#[test]
fn an_update_brings_what_the_interface_needs() {
    let text =
        with_steps("  - create: {name: a, size: 1 B}\n  - preserve: a\n  - update\n  - retrieve: a\n  - verify: a\n");
    let plan = Document::parse("test", "test.yaml", &text).unwrap().plan(Interface::Module).unwrap();
    let words: Vec<String> = plan.steps.iter().map(|step| plan.describe(&step.action)).collect();
    assert_eq!(
        words,
        [
            "create a",
            "start the workload",
            "preserve a … heartbeat (2)",
            "prepare",
            "freeze",
            "update",
            "resume the workload",
            "retrieve a",
            "verify a"
        ]
    );
    assert!(matches!(&plan.steps[5].action, Action::Update(update) if update.hands_over));
}

#[test]
fn a_kernel_may_be_named_without_quotes() {
    let document = Document::parse(
        "test",
        "test.yaml",
        &with_steps("  - create: {name: a, size: 1}\n  - update: {kernel: 7.10}\n  - absent: a\n"),
    )
    .unwrap();
    let plan = document.plan(Interface::Luo).unwrap();
    assert_eq!(plan.kernels().collect::<Vec<_>>(), ["7.10"]);
}

#[test]
fn mistakes_are_shown_where_they_are() {
    let create = "  - create: {name: ledger, size: 64 KiB}\n";
    for (steps, place, message, help) in [
        ("  - retreive: ledger\n", "3:5", "unknown variant `retreive`", "did you mean `retrieve`?"),
        ("  - create: {name: a, sise: 3}\n", "3:", "unknown field `sise`", "did you mean `size`?"),
        ("  - create: {name: a, size: 3 MB}\n", "3:", "`3 MB` is not a size", ""),
        ("  - create: {name: a, size: 900 MiB}\n", "3:29", "more than half of the guest's memory", "memory: 4 GiB"),
        ("  - create: {name: a, size: [1]}\n", "3:", "a size: 4096", ""),
        ("  - preserve: ledger\n", "3:5", "there is no object `ledger`", "a `create` step must come before"),
        ("  - update: 3\n", "3:", "invalid type", ""),
        ("  - update\n  - frobnicate\n", "4:5", "unknown variant", "the steps are create,"),
    ] {
        check(&with_steps(steps), place, message, help);
    }
    for (steps, place, message, help) in [
        ("  - preserve: leger\n", "4:5", "there is no object `leger`", "did you mean `ledger`?"),
        (
            "  - preserve: ledger\n  - retrieve: ledger\n",
            "5:5",
            "cannot be retrieved before an update",
            "`update` step must come",
        ),
        ("  - update\n  - verify: ledger\n", "5:5", "`ledger` was never preserved", "absent"),
        ("  - retrieve: ledger\n", "4:5", "`ledger` is open already", ""),
        ("  - preserve: ledger\n  - preserve: ledger\n", "5:5", "preserved already", ""),
        ("  - preserve: [ledger, ledger]\n", "4:5", "named twice", ""),
        ("  - finish\n", "4:5", "no update to finish", ""),
        ("  - freeze\n", "4:5", "only what is prepared", ""),
        ("  - cancel\n", "4:5", "nothing to cancel", ""),
        ("  - corrupt: {object: ledger, page: 16}\n", "4:14", "has 16 whole pages, there is no page 16", ""),
        ("  - swap: {object: ledger, pages: [2, 2]}\n", "4:35", "cannot be swapped with itself", ""),
        (
            "  - preserve: ledger\n  - prepare\n  - create: {name: b, size: 1}\n  - preserve: b\n",
            "7:5",
            "nothing can be registered",
            "",
        ),
        ("  - preserve: ledger\n  - update\n", "", "never looked at again", "retrieve and verify it"),
        ("  - preserve: ledger\n  - update\n  - retrieve: ledger\n", "", "retrieved and never verified", ""),
        (
            "  - preserve: ledger\n  - update\n  - retrieve: ledger\n  - verify: ledger\n  - preserve: ledger\n  - update\n",
            "9:5",
            "not finished",
            "",
        ),
        ("  - preserve: ledger\n  - update\n  - finish\n", "", "did its memory come back", "no-leak"),
        (
            "  - preserve: ledger\n  - update\n  - finish\n  - absent: ledger\n",
            "7:5",
            "no interface answers",
            "no-leak",
        ),
        (
            "  - preserve: ledger\n  - update\n  - retrieve: ledger\n  - finish\n  - no-leak\n",
            "8:5",
            "never verified",
            "",
        ),
        (
            "  - preserve: ledger\n  - update\n  - retrieve: ledger\n  - finish\n  - preserve: ledger\n  - cancel\n  - update\n",
            "10:5",
            "never verified",
            "",
        ),
        ("  - preserve: ledger\n  - prepare\n  - kill-agent\n", "6:5", "interfaces differ", ""),
        ("  - update\n", "", "nothing is looked at", ""),
        ("  - preserve: ledger\n  - no-leak\n", "5:5", "keeps its memory", ""),
        ("  - update: {kernel: 7.2}\n  - no-leak\n", "5:5", "two kernels cannot be compared", ""),
        ("  - kill-agent\n  - verify: ledger\n", "5:5", "session is dead", ""),
        ("  - preserve: ledger\n", "", "there is no `update`", ""),
        ("  - create: {name: ledger, size: 1}\n", "4:20", "there is an object `ledger` already", ""),
    ] {
        check(&with_steps(&format!("{create}{steps}")), place, message, help);
    }
}

#[test]
fn mistakes_about_checks_are_shown_where_they_are() {
    let within = "  - check: state-is-normal-at-start\n";
    for (steps, place, message, help) in [
        (
            "  - check: state-is-norml-at-start\n",
            "5:5",
            "there is no check `state-is-norml",
            "did you mean `state-is-n",
        ),
        ("  - check: memory-crosses\n", "5:5", "`memory-crosses` spans a live update", "write `leave` before"),
        ("  - leave: state-is-normal-at-start\n", "5:5", "is a check within one kernel", "write `check`"),
        ("  - leave: memory-crosses\n  - update\n", "", "left and never found", "add a `find` step"),
        ("  - find: memory-crosses\n", "5:5", "was not left", "a `leave` step must come before"),
        ("  - leave: memory-crosses\n  - find: memory-crosses\n", "6:5", "before an update", "an `update` step"),
        ("  - leave: memory-crosses\n  - leave: memory-crosses\n", "6:5", "is left already", ""),
        (
            "  - leave: memory-crosses\n  - prepare\n  - leave: finds-what-was-not-left\n",
            "7:5",
            "moves the state machine",
            "",
        ),
        ("  - leave: memory-crosses\n  - leave: finds-what-was-not-left\n", "6:5", "moves the state machine", ""),
        ("  - leave: finds-what-was-not-left\n  - leave: memory-crosses\n", "6:5", "moves the state machine", ""),
        ("  - leave: finds-what-was-not-left\n  - prepare\n", "6:5", "moves the state machine", ""),
        ("  - leave: memory-crosses\n  - no-leak\n", "6:5", "keeps its memory", ""),
        ("  - check: {name: never-ends, within: 5 min}\n", "5:", "`5 min` is no time that a check may take", ""),
        ("  - check: {nam: never-ends}\n", "5:", "unknown field `nam`", "did you mean `name`?"),
        ("  - check: [never-ends]\n", "5:", "the name of a check", ""),
        (
            "  - check: {name: never-ends, seed: 7}\n",
            "5:5",
            "`never-ends` throws no dice",
            "leave `seed` and `rounds` out",
        ),
        ("  - check: {name: model, rounds: 0}\n", "5:", "expected a nonzero u32", ""),
        ("  - check\n", "5:5", "`check` needs to be told", ""),
        ("  - check: {name: never-ends, proves: C9}\n", "5:39", "there is no requirement `C9`", ""),
        ("  - check: {name: never-ends, proves: [C1, C1]}\n", "5:44", "C1 is named twice", ""),
        ("  - check: {name: never-ends, refutes: C9}\n", "5:40", "there is no requirement `C9`", ""),
        ("  - check: {name: never-ends, proves: C1, refutes: C1}\n", "5:5", "C1 is proven and refuted", ""),
        ("  - leave: {name: memory-crosses, proves: C1}\n", "5:5", "proves nothing until it is found", ""),
    ] {
        check(
            &format!("about: a test\ninterfaces: [module]\ntags: conformance\nsteps:\n{steps}"),
            place,
            message,
            help,
        );
    }
    for (head, place, message, help) in [
        ("tags: Conformance\n", "2:7", "`Conformance` is no tag", ""),
        ("tags: [a, a]\n", "2:11", "`a` is named twice", ""),
        ("tags: conformance\nproves: [C1, T99]\n", "3:14", "there is no requirement `T99`", ""),
        ("proves: C1\n", "2:9", "would not see it", "write `tags: conformance`"),
        ("tags: conformance\nproves: C1\nmust-fail: check-failed\n", "3:9", "proves no requirement", ""),
        ("interfaces: [luo]\n", "4:5", "cannot be asked of luo", "write `interfaces: [module"),
    ] {
        let interfaces = if head.contains("interfaces") { "" } else { "interfaces: [module]\n" };
        check(&format!("about: a test\n{head}{interfaces}steps:\n{within}"), place, message, help);
    }
}

#[test]
fn a_left_check_brings_the_state_machine_unless_it_drives_it_itself() {
    let words = |check: &str| {
        let steps = format!("  - leave: {check}\n  - update\n  - find: {check}\n");
        let text = format!("about: a test\ninterfaces: [module]\nsteps:\n{steps}");
        let plan = Document::parse("test", "test.yaml", &text).unwrap().plan(Interface::Module).unwrap();
        (plan.steps.iter().map(|step| plan.describe(&step.action)).collect::<Vec<_>>(), plan.has_holder())
    };
    let (spanning, holder) = words("memory-crosses");
    assert_eq!(spanning, ["leave memory-crosses", "prepare", "freeze", "update", "find memory-crosses"]);
    assert!(holder);
    let (driving, holder) = words("finds-what-was-not-left");
    assert_eq!(driving, ["leave finds-what-was-not-left", "update", "find finds-what-was-not-left"]);
    assert!(!holder);
}

#[test]
fn claims_point_at_the_steps_that_prove_them() {
    let text = "about: a test\ntags: [conformance, slow]\nproves: T17\ninterfaces: [module]\nsteps:\n  - leave: memory-crosses\n  \
         - update\n  - find: {name: memory-crosses, proves: [C1, T11]}\n";
    let plan = Document::parse("test", "test.yaml", text).unwrap().plan(Interface::Module).unwrap();
    let claims: Vec<_> = plan.claims.iter().map(|claim| (claim.requirement.to_string(), claim.step)).collect();
    // Steps that the plan put in count.
    assert_eq!(claims, [("T17".to_owned(), None), ("C1".to_owned(), Some(4)), ("T11".to_owned(), Some(4))]);
    assert_eq!(plan.tags, ["conformance", "slow"]);
}

fn check(text: &str, place: &str, message: &str, help: &str) {
    let said = complaint(text);
    assert!(said.contains(message), "{text}\n{said}");
    assert!(said.contains(help), "{text}\n{said}");
    if !place.is_empty() {
        assert!(said.contains(&format!("test.yaml:{place}")), "{text}\n{said}");
    }
}

#[test]
fn an_error_shows_its_line() {
    let said = complaint(&with_steps("  - create: {name: a, size: 1}\n  - verify: b\n"));
    assert_eq!(
        said,
        "there is no object `b`\n --> test.yaml:4:5\n  |\n4 |   - verify: b\n  |     ^\n = help: did you mean `a`?"
    );
}

#[test]
fn other_yaml_is_refused_kindly() {
    for text in ["", "steps: []", "about: x", "- 1", "about: x\nsteps: 3", "\t", "about: x\nsteps: &a [*a]", "%YAML 9"]
    {
        let said = complaint(text);
        assert!(!said.is_empty() && said.contains("test.yaml"), "{text}: {said}");
    }
    let long = "#".repeat(2 << 20);
    assert!(complaint(&long).contains("at most"));
    let control = complaint("about: x\nsteps:\n  - \u{1b}[31mred\n");
    assert!(!control.contains('\u{1b}'), "{control:?}");
}

proptest! {
    #[test]
    fn no_text_panics(text in "(?s).{0,200}") {
        let _ = Document::parse("test", "test.yaml", &text).map_err(|error| error.to_string());
    }

    #[test]
    fn no_order_of_steps_panics(steps in prop::collection::vec(0usize..17, 0..12)) {
        let words = [
            "create: {name: a, size: 8 KiB}", "create: {name: b, size: 1 B, count: 3}", "preserve: a", "preserve: [a, b]",
            "prepare", "freeze", "cancel", "update", "retrieve: a", "verify: [a, b]", "absent: b", "finish", "no-leak", "kill-agent",
            "check: does-not-apply", "leave: finds-what-was-not-left", "find: finds-what-was-not-left",
        ];
        let lines: String = steps.iter().map(|&step| format!("  - {}\n", words[step])).collect();
        if let Ok(document) = Document::parse("test", "test.yaml", &with_steps(&lines)) {
            // Whatever is accepted proves something: each retrieved object is compared later on.
            let plan = document.plan(Interface::Luo).unwrap();
            prop_assert!(plan.hops() >= 1 || checks(&plan) >= 1);
        }
    }
}

#[test]
fn an_expected_loss_stands_at_the_last_update() {
    let preserved = "  - create: {name: a, size: 1}\n  - preserve: a\n";
    let looked_for = "  - retrieve: a\n  - verify: a\n";
    let lost = "  - update: {kernel: 7.1, expect: refused}\n";
    let text = with_steps(&format!("{preserved}{lost}{looked_for}"));
    assert!(Document::parse("test", "test.yaml", &text).unwrap().plan(Interface::Luo).is_ok());
    for (steps, message) in [
        (format!("{lost}  - check: state-is-normal-at-start\n"), "nothing is handed over here that could be refused"),
        (format!("{preserved}{lost}{looked_for}  - finish\n  - update\n"), "cannot be handed over again"),
        (format!("{preserved}  - update: {{expect: exploded}}\n{looked_for}"), "exploded"),
    ] {
        let text = format!("interfaces: [module]\n{}", with_steps(&steps));
        let said = match Document::parse("test", "test.yaml", &text) {
            Ok(document) => document.plan(Interface::Module).unwrap_err().to_string(),
            Err(error) => error.to_string(),
        };
        assert!(said.contains(message), "{steps}: {said}");
    }
}

#[test]
fn a_chain_is_a_round_over_and_over() {
    let plan = |steps: &str| Document::parse("test", "test.yaml", &with_steps(steps)).unwrap().plan(Interface::Module);
    let chain = plan("  - chain: {hops: 5, kernels: [7.2, 7.3], keep: 2}\n").unwrap();
    // Three rounds into each kernel that carry nothing come first.
    assert_eq!(chain.hops(), 2 * 3 + 5);
    assert_eq!(chain.kernels().take(3).collect::<Vec<_>>(), ["7.2", "7.3", "7.2"]);
    let words: Vec<String> = chain.steps.iter().map(|step| chain.describe(&step.action)).collect();
    let verified = words.iter().filter(|word| word.starts_with("verify"));
    assert_eq!(verified.clone().next_back().unwrap(), "verify carried … added[4] (3)");
    assert_eq!((verified.count(), words.last().unwrap().as_str()), (5, "balance the memory"));
    for (steps, message) in [
        ("  - chain: {hops: 1001}\n", "at most 1000 hops"),
        ("  - chain: {hops: 1, kernels: [7.2, 7.3]}\n", "cannot take turns"),
        ("  - create: {name: a, size: 1}\n  - preserve: a\n  - chain: {hops: 2}\n", "hands over by itself"),
    ] {
        let said = complaint(&with_steps(steps));
        assert!(said.contains(message), "{steps}: {said}");
    }
}

#[test]
fn plain_handover_has_no_files() {
    let text = "about: a test\ninterfaces: [kho]\nsteps:\n  - create: {name: a, size: 1}\n";
    let said = complaint(text);
    assert!(said.contains("plain Kexec HandOver preserves no files"), "{said}");
}
