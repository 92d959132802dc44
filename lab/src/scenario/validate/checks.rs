//! Named checks, and the requirements that a scenario says to prove.

use std::num::NonZeroU32;

use protocol::check::{Check, Dice, Shape};

use super::{Refusal, State, Walk, refuse};
use crate::requirement::Requirement;
use crate::result::Claim;
use crate::scenario::diagnostic::nearest;
use crate::scenario::locate::Turn;
use crate::scenario::plan::{Action, Part};
use crate::scenario::raw::{CheckStep, Names};

/// A check that was left, and has to be found.
pub(super) struct Left {
    check: Check,
    /// Updates before it.
    updates: usize,
    found: bool,
}

impl Walk<'_> {
    pub(super) fn check(&mut self, step: &CheckStep) -> Result<(), Refusal> {
        let check = self.known(step)?;
        if check.shape() != Shape::Within {
            return refuse(
                format!("`{check}` spans a live update"),
                "write `leave` before the update and `find` after it",
            );
        }
        self.looked = true;
        self.push_check(check, Part::Within, step)
    }

    pub(super) fn leave(&mut self, step: &CheckStep) -> Result<(), Refusal> {
        let check = self.known(step)?;
        let prepared = matches!(self.state, State::Prepared | State::Frozen);
        match check.shape() {
            Shape::Within => return refuse(format!("`{check}` is a check within one kernel"), "write `check`"),
            Shape::Spans if prepared => {
                return refuse("nothing can be registered between `prepare` and `update`", "leave before prepare");
            }
            Shape::Drives if prepared || self.anything_handed_over() => {
                return refuse(
                    format!("`{check}` moves the state machine itself"),
                    "it can share an update with nothing that the lab hands over",
                );
            }
            Shape::Spans if self.driven() => {
                return refuse("the check that was left before moves the state machine itself", None);
            }
            Shape::Spans | Shape::Drives => {}
        }
        if self.left.iter().any(|left| left.check == check && !left.found) {
            return refuse(format!("`{check}` is left already"), "`find` it first");
        }
        self.left.push(Left { check, updates: self.updates, found: false });
        self.push_check(check, Part::Leave, step)
    }

    pub(super) fn find(&mut self, step: &CheckStep) -> Result<(), Refusal> {
        let check = self.known(step)?;
        let Some(left) = self.left.iter_mut().find(|left| left.check == check && !left.found) else {
            return refuse(format!("`{check}` was not left"), "a `leave` step must come before the update");
        };
        if left.updates == self.updates {
            return refuse(
                format!("`{check}` cannot be found before an update"),
                "an `update` step must come between `leave` and `find`",
            );
        }
        left.found = true;
        self.looked = true;
        self.push_check(check, Part::Find, step)
    }

    /// Whether something is checked within one kernel.
    pub(super) fn checked(&self) -> bool {
        self.steps.iter().any(|step| matches!(step.action, Action::Check { part: Part::Within, .. }))
    }

    /// Nothing that was left may pass unfound.
    pub(super) fn all_found(&self) -> Result<(), Refusal> {
        match self.left.iter().find(|left| !left.found) {
            Some(left) => refuse(
                format!("`{}` is left and never found: the run would prove nothing", left.check),
                "add a `find` step after the update",
            ),
            None => Ok(()),
        }
    }

    /// Whether the next update hands over something that the lab's own PREPARE and FREEZE are for.
    pub(super) fn anything_handed_over(&self) -> bool {
        self.anything_preserved() || self.left_here(Shape::Spans)
    }

    /// Whether a check moves the state machine around the next update.
    pub(super) fn driven(&self) -> bool {
        self.left_here(Shape::Drives)
    }

    fn left_here(&self, shape: Shape) -> bool {
        self.left.iter().any(|left| left.updates == self.updates && left.check.shape() == shape)
    }

    fn known(&self, step: &CheckStep) -> Result<Check, Refusal> {
        let check: Check = step.name.parse().map_err(|error: protocol::check::UnknownCheck| {
            let meant = nearest(&step.name, Check::ALL.iter().map(|check| check.name()));
            (Vec::new(), error.to_string(), meant.map(|meant| format!("did you mean `{meant}`?")))
        })?;
        if check.faces().contains(&self.interface) {
            return Ok(check);
        }
        let names: Vec<&str> = check.faces().iter().map(|face| face.name()).collect();
        let help = format!("write `interfaces: [{}]`", names.join(", "));
        Err((Vec::new(), format!("`{check}` cannot be asked of {}", self.interface.name()), Some(help)))
    }

    fn push_check(&mut self, check: Check, part: Part, step: &CheckStep) -> Result<(), Refusal> {
        let word = match part {
            Part::Within => "check",
            Part::Leave => "leave",
            Part::Find => "find",
        };
        let here = Some(self.steps.len());
        for (key, names, refuted) in [("proves", &step.proves, None), ("refutes", &step.refutes, Some(check.about()))] {
            let named = requirements(names).map_err(|(at, message, help)| {
                (vec![Turn::Key(word), Turn::Key(key), Turn::Item(at)], message, help)
            })?;
            if part == Part::Leave && !named.is_empty() {
                return refuse("what is left proves nothing until it is found", "say so at the `find` step");
            }
            for requirement in named {
                self.claim(Claim { requirement, step: here, refuted: refuted.map(str::to_owned) })?;
            }
        }
        if !check.throws_dice() && (step.seed.is_some() || step.rounds.is_some()) {
            return refuse(format!("`{check}` throws no dice"), "leave `seed` and `rounds` out");
        }
        let seed = step.seed.unwrap_or(self.scenario.seed);
        let dice = Dice { seed, rounds: step.rounds.map(NonZeroU32::get) };
        self.push(Action::Check { check, part, limit: step.within.0, dice });
        Ok(())
    }

    /// What the scenario as a whole says to prove.
    pub(super) fn proves(&mut self) -> Result<(), Refusal> {
        let proven = requirements(&self.scenario.proves)
            .map_err(|(at, message, help)| (vec![Turn::Key("proves"), Turn::Item(at)], message, help))?;
        for requirement in proven {
            let claim = Claim { requirement, step: None, refuted: None };
            self.claim(claim).map_err(|(_, message, help)| (vec![Turn::Key("proves")], message, help))?;
        }
        Ok(())
    }

    fn claim(&mut self, claim: Claim) -> Result<(), Refusal> {
        let requirement = claim.requirement;
        if self.claims.iter().any(|other| other.requirement == requirement && other.refuted != claim.refuted) {
            return refuse(format!("{requirement} is proven and refuted in one scenario"), "leave one of them out");
        }
        if self.scenario.must_fail.is_some() {
            return refuse("a scenario that must fail proves no requirement", "leave `proves` out");
        }
        if !self.scenario.tags.0.iter().any(|tag| tag == CONFORMANCE) {
            return refuse(
                format!(
                    "{requirement} is proven here, and `cargo xtask scenario --tag {CONFORMANCE}` would not see it"
                ),
                "write `tags: conformance`",
            );
        }
        self.claims.push(claim);
        Ok(())
    }
}

/// The tag of what proves requirements.
const CONFORMANCE: &str = crate::conformance::TAG;

/// The ids, or the position of a wrong one and what is wrong with it.
fn requirements(names: &Names) -> Result<Vec<Requirement>, (usize, String, Option<String>)> {
    let mut all = Vec::new();
    for (at, name) in names.0.iter().enumerate() {
        let requirement: Requirement =
            name.parse().map_err(|error: crate::requirement::UnknownRequirement| (at, error.to_string(), None))?;
        if all.contains(&requirement) {
            return Err((at, format!("{requirement} is named twice"), None));
        }
        all.push(requirement);
    }
    Ok(all)
}

/// A tag is a word that can be typed behind `--tag`.
pub(super) fn tags(tags: &Names) -> Result<(), Refusal> {
    let sound =
        |tag: &str| !tag.is_empty() && tag.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    for (at, tag) in tags.0.iter().enumerate() {
        let place = vec![Turn::Key("tags"), Turn::Item(at)];
        if !sound(tag) || tag.starts_with('-') {
            return Err((place, format!("`{tag}` is no tag: small letters, digits and hyphens"), None));
        }
        if tags.0[..at].contains(tag) {
            return Err((place, format!("`{tag}` is named twice"), None));
        }
    }
    Ok(())
}
