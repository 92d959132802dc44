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
