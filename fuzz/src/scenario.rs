//! A scenario file: from any bytes, or from words that make sense, to plans. What is wrong is shown in its place.

mod words;

use std::collections::BTreeSet;

use arbitrary::{Arbitrary as _, Unstructured};
use lab::scenario::Document;
use lab::scenario::diagnostic::Diagnostic;
use lab::scenario::plan::{Action, HEARTBEAT, Plan};
use protocol::message::{Fault, Interface, ObjectId};

/// The target. No text has a zero byte: one at the beginning says that words are to be chosen.
pub fn run(input: &[u8]) {
    match input.split_first() {
        Some((0, choices)) => {
            if let Ok(scenario) = words::Scenario::arbitrary(&mut Unstructured::new(choices)) {
                read(&scenario.to_string());
            }
        }
        _ => {
            if let Ok(text) = std::str::from_utf8(input) {
                read(text);
            }
        }
    }
}

fn read(text: &str) {
    let document = match Document::parse("fuzzed", "fuzzed.yaml", text) {
        Ok(document) => document,
        Err(wrong) => return shown(text, &wrong),
    };
    for &interface in Interface::ALL {
        match document.plan(interface) {
            Ok(plan) => sound(&document, &plan),
            Err(wrong) => {
                assert!(!document.scenario.interfaces.contains(&interface), "what was read can be planned");
                shown(text, &wrong);
            }
        }
    }
}

/// An error has a place in the text, and shows nothing that a terminal would obey.
fn shown(text: &str, wrong: &Diagnostic) {
    let place = wrong.place.unwrap_or_else(|| panic!("no place: {wrong}"));
    // Where something is missing, the place is behind the last line.
    let lines = text.matches(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']).count() + 1;
    assert!((1..=lines + 1).contains(&place.line) && place.column >= 1, "{place:?} of {lines} lines");
    let shown = wrong.line.as_ref().is_none_or(|line| line.is_empty() || line.chars().count() <= 160);
    assert!(shown, "{wrong}");
    let said = wrong.to_string();
    assert!(!said.contains(|c: char| c.is_control() && c != '\n'), "{said:?}");
    assert!(!wrong.message.is_empty());
}

/// Nothing is left to decide, and nothing is named that is not there.
fn sound(document: &Document, plan: &Plan) {
    let mut made = BTreeSet::from([HEARTBEAT]);
    for (number, object) in (1..).zip(&plan.objects) {
        assert_eq!(object.spec.id, ObjectId(number));
    }
    let bytes: u64 = plan.objects.iter().map(|object| object.spec.bytes).sum();
    assert!(bytes <= plan.memory.0, "more than the guest has");
    for step in &plan.steps {
        assert!(!plan.describe(&step.action).is_empty());
        if let Some(origin) = step.origin {
            assert!(document.place_of_step(origin).is_some(), "a step without a place");
        }
        let known = |ids: &[ObjectId]| ids.iter().all(|id| made.contains(id)) && !ids.is_empty();
        let fits = match &step.action {
            Action::Create(ids) => {
                ids.iter().all(|id| made.insert(*id) && plan.object(*id).is_some()) && !ids.is_empty()
            }
            Action::Preserve(ids) | Action::Retrieve(ids) | Action::ExpectAbsent(ids) | Action::Verify(ids) => {
                known(ids)
            }
            Action::Inject(Fault::Corrupt { object, page }) => known(&[*object]) && page_of(plan, *object, *page),
            Action::Inject(Fault::Swap { object, pages: [a, b] }) => {
                known(&[*object]) && a != b && page_of(plan, *object, *a) && page_of(plan, *object, *b)
            }
            Action::Check { check, .. } => check.faces().contains(&plan.interface),
            _ => true,
        };
        assert!(fits, "{}", plan.describe(&step.action));
    }
    let checks = plan.steps.iter().any(|step| matches!(step.action, Action::Check { .. }));
    assert!(plan.hops() > 0 || checks, "it would prove nothing");
}

fn page_of(plan: &Plan, object: ObjectId, page: u64) -> bool {
    plan.object(object).is_some_and(|object| page < object.spec.bytes / 4096)
}
