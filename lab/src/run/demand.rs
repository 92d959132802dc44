//! Whether a run failed because of what its scenario did wrong, and of nothing else.

use protocol::message::Fault;

use crate::result::{Failure, FailureKind, Hop};
use crate::scenario::plan::{Action, Plan};

/// A `must-fail` scenario is no proof of the lab's sight if the page that was found bad is not the one that was made so.
pub(super) fn is_as_demanded(plan: &Plan, failure: &Failure, hops: &[Hop]) -> bool {
    if plan.must_fail != Some(failure.kind) {
        return false;
    }
    match failure.kind {
        FailureKind::PageCorrupted | FailureKind::PagesSwapped => only_the_spoilt_pages(plan, hops),
        FailureKind::UpdateNotProven => plan.steps.iter().any(|step| match &step.action {
            Action::Update(update) => {
                update.skip_kexec && failure.step.as_deref() == Some(plan.describe(&step.action).as_str())
            }
            _ => false,
        }),
        FailureKind::CheckFailed | FailureKind::CheckUnfinished => plan.steps.iter().any(|step| match &step.action {
            Action::Check { check, .. } => {
                check.is_wrong_on_purpose() && failure.step.as_deref() == Some(plan.describe(&step.action).as_str())
            }
            _ => false,
        }),
        _ => true,
    }
}

fn only_the_spoilt_pages(plan: &Plan, hops: &[Hop]) -> bool {
    let mut spoilt: Vec<(&str, u64)> = Vec::new();
    for step in &plan.steps {
        match step.action {
            Action::Inject(Fault::Corrupt { object, page }) => spoilt.push((plan.name_of(object), page)),
            Action::Inject(Fault::Swap { object, pages }) => {
                spoilt.extend(pages.map(|page| (plan.name_of(object), page)));
            }
            _ => {}
        }
    }
    let bad: u64 = hops.iter().map(|hop| hop.fidelity.pages - hop.fidelity.identical).sum();
    let first = hops.iter().find_map(|hop| hop.fidelity.first_bad.as_ref());
    let lowest = spoilt.iter().min_by_key(|(_, page)| *page);
    bad == spoilt.len() as u64 && first.map(|page| (page.object.as_str(), page.index)).as_ref() == lowest
}

#[cfg(test)]
mod tests {
    use protocol::message::Interface;

    use super::*;
    use crate::result::{BadPage, Fidelity, HopOutcome, HopTime};
    use crate::scenario::Document;

    fn hop(identical: u64, index: u64) -> Hop {
        let page = BadPage {
            object: "ledger".to_owned(),
            index,
            found: String::new(),
            offset: 0,
            expected: String::new(),
            actual: String::new(),
        };
        let fidelity = Fidelity { pages: 16, identical, first_bad: Some(page), ..Fidelity::default() };
        Hop {
            from: "7.3".to_owned(),
            to: "7.3".to_owned(),
            outcome: None,
            expected: HopOutcome::Preserved,
            predicted: None,
            still_reserved: None,
            evidence: Vec::new(),
            proof: None,
            fidelity,
            managed_bytes: None,
            time: HopTime::default(),
        }
    }

    fn failure(kind: FailureKind, step: &str) -> Failure {
        Failure { step: Some(step.to_owned()), ..Failure::new(kind, String::new()) }
    }

    fn plan(must_fail: &str, wrong: &str, update: &str) -> Plan {
        let yaml = format!(
            "about: a test\nmust-fail: {must_fail}\nsteps:\n  - create: {{name: ledger, size: 64 KiB}}\n  - preserve: ledger\n{wrong}  \
             - {update}\n  - retrieve: ledger\n  - verify: ledger\n"
        );
        Document::parse("test", "test.yaml", &yaml).unwrap().plan(Interface::Luo).unwrap()
    }

    #[test]
    fn only_the_page_that_was_spoilt_will_do() {
        let plan = plan("page-corrupted", "  - corrupt: {object: ledger, page: 3}\n", "update");
        let corrupted = failure(FailureKind::PageCorrupted, "verify ledger");
        assert!(is_as_demanded(&plan, &corrupted, &[hop(15, 3)]));
        assert!(!is_as_demanded(&plan, &corrupted, &[hop(15, 4)]), "another page");
        assert!(!is_as_demanded(&plan, &corrupted, &[hop(14, 3)]), "one page too many");
        assert!(!is_as_demanded(&plan, &failure(FailureKind::PagesSwapped, "verify ledger"), &[hop(15, 3)]));
    }

    #[test]
    fn a_swap_spoils_two_pages() {
        let plan = plan("pages-swapped", "  - swap: {object: ledger, pages: [7, 3]}\n", "update");
        let swapped = failure(FailureKind::PagesSwapped, "verify ledger");
        assert!(is_as_demanded(&plan, &swapped, &[hop(14, 3)]));
        assert!(!is_as_demanded(&plan, &swapped, &[hop(15, 3)]), "one page too few");
    }

    #[test]
    fn only_a_check_that_is_wrong_on_purpose_will_do() {
        let yaml = "about: a test\nmust-fail: check-failed\ninterfaces: [module]\nsteps:\n  - check: state-is-normal-at-start\n  \
             - check: says-what-is-not-so\n";
        let plan = Document::parse("test", "test.yaml", yaml).unwrap().plan(Interface::Module).unwrap();
        assert!(is_as_demanded(&plan, &failure(FailureKind::CheckFailed, "check says-what-is-not-so"), &[]));
        assert!(!is_as_demanded(&plan, &failure(FailureKind::CheckFailed, "check state-is-normal-at-start"), &[]));
        assert!(!is_as_demanded(&plan, &failure(FailureKind::CheckUnfinished, "check says-what-is-not-so"), &[]));
    }

    #[test]
    fn an_unproven_update_must_be_the_one_left_out() {
        let unproven = failure(FailureKind::UpdateNotProven, "update, its kexec left out");
        let skipped = plan("update-not-proven", "", "update: {skip-kexec: true}");
        assert!(is_as_demanded(&skipped, &unproven, &[]));
        let real = plan("update-not-proven", "", "update");
        assert!(!is_as_demanded(&real, &failure(FailureKind::UpdateNotProven, "update"), &[]));
    }
}
