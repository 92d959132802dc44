//! Which requirement is proven on which face: what the runs show, what is declared, and what nobody says anything of.

mod declared;

pub use declared::{Declaration, Declared, FILE};

use protocol::message::Interface;

use crate::requirement::Requirement;
use crate::result::{Cell, CellState, Claim, Conformance, Evidence, Outcome, Run};

/// The tag of the scenarios that prove requirements.
pub const TAG: &str = "conformance";

/// What was asked for.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The faces.
    pub faces: Vec<Interface>,
    /// Whether every scenario that proves something ran, so that a gap is one.
    pub whole: bool,
}

/// Puts the runs and the declarations together.
#[must_use]
pub fn judge(runs: &[Run], declared: &Declared, scope: &Scope) -> Conformance {
    let mut cells = Vec::new();
    for &requirement in Requirement::ALL {
        for &face in &scope.faces {
            let evidence = evidence(runs, requirement, face);
            let (state, reason) = sum(&evidence, declared.reason(requirement, face));
            cells.push(Cell { requirement, face, state, reason, evidence });
        }
    }
    Conformance { whole: scope.whole, cells }
}

impl Conformance {
    /// Whether every cell is proven or explained; of a part of the scenarios, whether none went wrong.
    #[must_use]
    pub fn is_met(&self) -> bool {
        self.cells.iter().all(|cell| match cell.state {
            CellState::Passed | CellState::NotApplicable | CellState::DoesNotHold => true,
            CellState::Unproven => !self.whole,
            CellState::Failed | CellState::NotFoundOut => false,
        })
    }

    /// How many cells are in this state.
    #[must_use]
    pub fn count(&self, state: CellState) -> usize {
        self.cells.iter().filter(|cell| cell.state == state).count()
    }
}

fn evidence(runs: &[Run], requirement: Requirement, face: Interface) -> Vec<Evidence> {
    let of_face = runs.iter().filter(|run| run.interface == face);
    let claims = of_face.flat_map(|run| run.claims.iter().map(move |claim| (run, claim)));
    claims.filter(|(_, claim)| claim.requirement == requirement).map(|(run, claim)| witness(run, claim)).collect()
}

/// What a run says of a claim. Nothing in a red run is proven: what is wrong with it may be wrong with all of it.
fn witness(run: &Run, claim: &Claim) -> Evidence {
    let record = claim.step.and_then(|index| run.steps.get(index));
    let (state, reason) = match &run.outcome {
        Outcome::Infrastructure { message } => (CellState::NotFoundOut, Some(message.clone())),
        Outcome::Failed(failure) => {
            let own = claim.step.is_none() || record.is_some_and(|record| !record.ok);
            let state = if own { CellState::Failed } else { CellState::NotFoundOut };
            (state, Some(failure.message.clone()))
        }
        Outcome::Passed if !run.is_green() => (CellState::Failed, Some("it passed and had to fail".to_owned())),
        Outcome::Passed => {
            let lacks = match claim.step {
                Some(_) => record.and_then(|record| record.not_applicable.clone()),
                None => run.not_applicable().next().map(|(_, reason)| reason.to_owned()),
            };
            match lacks {
                Some(reason) => (CellState::NotApplicable, Some(reason)),
                None if claim.step.is_some() && record.is_none() => (CellState::NotFoundOut, None),
                None => match &claim.refuted {
                    Some(why) => (CellState::DoesNotHold, Some(why.clone())),
                    None => (CellState::Passed, None),
                },
            }
        }
    };
    Evidence { scenario: run.scenario.clone(), step: record.map(|record| record.text.clone()), state, reason }
}

/// The worst of the evidence, and what is declared where there is none.
fn sum(evidence: &[Evidence], declared: Option<&str>) -> (CellState, Option<String>) {
    for state in [CellState::Failed, CellState::NotFoundOut, CellState::DoesNotHold] {
        if let Some(found) = evidence.iter().find(|found| found.state == state) {
            return (state, found.reason.clone());
        }
    }
    if evidence.iter().any(|found| found.state == CellState::Passed) {
        return (CellState::Passed, None);
    }
    match (evidence.first(), declared) {
        (Some(found), _) => (CellState::NotApplicable, found.reason.clone()),
        (None, Some(reason)) => (CellState::NotApplicable, Some(reason.to_owned())),
        (None, None) => (CellState::Unproven, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::{Failure, FailureKind, StepRecord};

    fn run(outcome: Outcome, steps: &[(bool, Option<&str>)], claims: &[(Requirement, Option<usize>)]) -> Run {
        let step = |(ok, lacks): &(bool, Option<&str>)| StepRecord {
            text: "check it".to_owned(),
            generation: 0,
            wall_ms: 1,
            ok: *ok,
            not_applicable: lacks.map(str::to_owned),
            figures: Vec::new(),
        };
        Run {
            scenario: "s".to_owned(),
            about: String::new(),
            interface: Interface::Module,
            machine: 0,
            outcome,
            must_fail: None,
            as_demanded: false,
            hops: Vec::new(),
            steps: steps.iter().map(step).collect(),
            tags: vec![TAG.to_owned()],
            claims: claims.iter().map(|&(requirement, step)| Claim { requirement, step, refuted: None }).collect(),
            clock: None,
            wall_ms: 1,
            beside: 0,
            start: Default::default(),
            artefacts: String::new(),
        }
    }

    fn red() -> Outcome {
        Outcome::Failed(Failure::new(FailureKind::CheckFailed, "it is not so".to_owned()))
    }

    fn cell(runs: &[Run], declared: &str) -> (CellState, Option<String>) {
        let declared = Declared::parse("na.yaml", declared).unwrap();
        let scope = Scope { faces: vec![Interface::Module], whole: true };
        let judged = judge(runs, &declared, &scope);
        let cell = judged.cells.iter().find(|cell| cell.requirement == Requirement::C1).unwrap();
        (cell.state, cell.reason.clone())
    }

    const C1: Requirement = Requirement::C1;

    #[test]
    fn a_green_run_proves_what_it_claims_and_no_more() {
        let green = [run(Outcome::Passed, &[(true, None)], &[(C1, None)])];
        assert_eq!(cell(&green, ""), (CellState::Passed, None));
        let other = [run(Outcome::Passed, &[(true, None)], &[(Requirement::C2, None)])];
        assert_eq!(cell(&other, "").0, CellState::Unproven);
        let mut luo = run(Outcome::Passed, &[(true, None)], &[(C1, None)]);
        luo.interface = Interface::Luo;
        assert_eq!(cell(&[luo], "").0, CellState::Unproven, "of another face");
    }

    #[test]
    fn a_red_run_fails_its_own_step_and_leaves_the_others_open() {
        let steps = [(true, None), (false, None)];
        let claims = [(C1, Some(1))];
        assert_eq!(cell(&[run(red(), &steps, &claims)], ""), (CellState::Failed, Some("it is not so".to_owned())));
        assert_eq!(cell(&[run(red(), &steps, &[(C1, Some(0))])], "").0, CellState::NotFoundOut, "another step's fault");
        assert_eq!(cell(&[run(red(), &steps, &[(C1, Some(2))])], "").0, CellState::NotFoundOut, "never reached");
        assert_eq!(cell(&[run(red(), &steps, &[(C1, None)])], "").0, CellState::Failed);
        let both = [run(Outcome::Passed, &[(true, None)], &[(C1, None)]), run(red(), &steps, &claims)];
        assert_eq!(cell(&both, "").0, CellState::Failed, "one proof does not outweigh a failure");
        let lost = Outcome::Infrastructure { message: "QEMU died".to_owned() };
        assert_eq!(cell(&[run(lost, &[], &claims)], ""), (CellState::NotFoundOut, Some("QEMU died".to_owned())));
    }

    #[test]
    fn what_a_green_run_refutes_does_not_hold_and_is_known() {
        let refuting = |outcome| {
            let mut run = run(outcome, &[(true, None)], &[(C1, Some(0))]);
            run.claims[0].refuted = Some("it fails for good".to_owned());
            run
        };
        let known = [refuting(Outcome::Passed)];
        assert_eq!(cell(&known, ""), (CellState::DoesNotHold, Some("it fails for good".to_owned())));
        let scope = Scope { faces: vec![Interface::Module], whole: false };
        assert!(judge(&known, &Declared::default(), &scope).is_met());
        assert_eq!(cell(&[refuting(red())], "").0, CellState::NotFoundOut);
        let both = [run(Outcome::Passed, &[(true, None)], &[(C1, None)]), refuting(Outcome::Passed)];
        assert_eq!(cell(&both, "").0, CellState::DoesNotHold, "a proof of something else does not make it hold");
    }

    #[test]
    fn what_does_not_apply_is_never_a_pass() {
        let lacks = (true, Some("the kernel has no user namespaces"));
        for claims in [[(C1, Some(1))], [(C1, None)]] {
            let (state, reason) = cell(&[run(Outcome::Passed, &[(true, None), lacks], &claims)], "");
            assert_eq!(state, CellState::NotApplicable);
            assert_eq!(reason.as_deref(), lacks.1);
        }
        assert_eq!(cell(&[run(Outcome::Passed, &[(true, None), lacks], &[(C1, Some(0))])], "").0, CellState::Passed);
    }

    #[test]
    fn a_gap_is_explained_or_unproven() {
        assert_eq!(cell(&[], "").0, CellState::Unproven);
        let explained = cell(&[], "- {id: C1, face: module, reason: it cannot hold}\n");
        assert_eq!(explained, (CellState::NotApplicable, Some("it cannot hold".to_owned())));
    }

    #[test]
    fn a_gap_counts_only_where_all_ran() {
        let declared = Declared::parse("na.yaml", "").unwrap();
        let faces = vec![Interface::Module];
        assert!(!judge(&[], &declared, &Scope { faces: faces.clone(), whole: true }).is_met());
        assert!(judge(&[], &declared, &Scope { faces: faces.clone(), whole: false }).is_met());
        let failed = [run(red(), &[(false, None)], &[(C1, None)])];
        assert!(!judge(&failed, &declared, &Scope { faces, whole: false }).is_met());
    }
}
