//! Named checks: asked of the agent, and what they leave carried over the update.

use std::time::Duration;

use protocol::check::{self, Check, Dice, MAX_FIGURES, NOTHING, Notes, Order, Verdict, cut};
use protocol::message::{Reply, Request};

use super::Driver;
use crate::result::{FailureKind, Figure};
use crate::run::Stop;
use crate::run::outcome::Arrival;
use crate::scenario::plan::Part;

/// What the half before an update said.
#[derive(Debug)]
pub(super) enum Left {
    Notes(Notes),
    /// The kernel lacks what the check is about; so there is nothing to be found either.
    NotApplicable(String),
}

impl Driver<'_> {
    pub(super) fn check(&mut self, check: Check, part: Part, limit: Duration, dice: Dice) -> Result<(), Stop> {
        let asked = match part {
            Part::Within => check::Part::Within,
            Part::Leave => check::Part::Leave,
            Part::Find => match self.notes.remove(&check) {
                Some(Left::Notes(notes)) => check::Part::Find { notes },
                Some(Left::NotApplicable(reason)) => {
                    self.not_applicable = Some(reason);
                    return Ok(());
                }
                None => return Err(Stop::Infrastructure(format!("{check} was never left"))),
            },
        };
        let limit = self.talk.bound(limit);
        let limit_ms = u32::try_from(limit.as_millis()).unwrap_or(u32::MAX);
        let request = Request::Check(Order { check, interface: self.plan.interface, part: asked, limit_ms, dice });
        let reply = self.talk.ask(&request)?;
        let Reply::Checked { verdict, figures, .. } = &reply else {
            return Err(self.talk.unexpected(&request, &reply));
        };
        self.figures = measured(figures);
        match judge(check, part, verdict) {
            Ok(Judged::Held) if part == Part::Find => self.arrived(Arrival::Found),
            Ok(Judged::Held) => Ok(()),
            Ok(Judged::Left(left)) => {
                if let Left::NotApplicable(reason) = &left {
                    self.not_applicable = Some(reason.clone());
                }
                self.notes.insert(check, left);
                Ok(())
            }
            Ok(Judged::NotApplicable(reason)) => {
                self.not_applicable = Some(reason);
                Ok(())
            }
            Err(Some((kind, message))) => Err(self.talk.failed(kind, message)),
            Err(None) => Err(self.talk.unexpected(&request, &reply)),
        }
    }
}

/// Texts come from the guest, and as many as it likes: cut and made harmless here.
fn measured(figures: &[check::Figure]) -> Vec<Figure> {
    let told = figures.iter().take(MAX_FIGURES);
    told.map(|told| Figure { what: cut(&told.what), ns: None, tsc: [told.span.from.0, told.span.to.0] }).collect()
}

#[derive(Debug)]
enum Judged {
    Held,
    Left(Left),
    NotApplicable(String),
}

/// What a verdict means for the part that was asked; an error without words is a verdict that cannot be.
/// Its texts come from the guest: they are cut and made harmless here, whatever the agent did.
fn judge(check: Check, part: Part, verdict: &Verdict) -> Result<Judged, Option<(FailureKind, String)>> {
    match verdict {
        Verdict::Held if part != Part::Leave => Ok(Judged::Held),
        Verdict::Left { notes, .. } if part == Part::Leave && notes.bounded().is_ok() => {
            Ok(Judged::Left(Left::Notes(notes.clone())))
        }
        Verdict::Held | Verdict::Left { .. } => Err(None),
        Verdict::NotApplicable { reason } if part == Part::Leave => Ok(Judged::Left(Left::NotApplicable(cut(reason)))),
        Verdict::NotApplicable { reason } => Ok(Judged::NotApplicable(cut(reason))),
        Verdict::Contradicted { came, .. } if check == Check::PlainPayloadCrosses && came == NOTHING => {
            Err(Some((FailureKind::NotFound, format!("{check} found {NOTHING}"))))
        }
        Verdict::Contradicted { came, .. } if check == Check::PlainPayloadCrosses && part == Part::Find => {
            Err(Some((FailureKind::PageCorrupted, format!("{check} found: {}", cut(came)))))
        }
        Verdict::Contradicted { expected, came } => {
            let message = format!("{check} expected {}; it found: {}", cut(expected), cut(came));
            Err(Some((FailureKind::CheckFailed, message)))
        }
        Verdict::Unfinished { how } => {
            Err(Some((FailureKind::CheckUnfinished, format!("{check} came to no end: {}", cut(how)))))
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::check::MAX_NOTES;
    use protocol::message::{Span, Tsc};

    use super::*;

    const CHECK: Check = Check::MemoryCrosses;

    fn contradicted(came: &str) -> Verdict {
        Verdict::Contradicted { expected: "a file".to_owned(), came: came.to_owned() }
    }

    #[test]
    fn each_verdict_fits_its_part_alone() {
        let left = |bytes: usize| {
            // Longer ones than an honest agent can make.
            let notes = serde_json::from_value(vec![7u8; bytes].into()).unwrap();
            Verdict::Left { notes, stays: true }
        };
        assert!(matches!(judge(CHECK, Part::Within, &Verdict::Held), Ok(Judged::Held)));
        assert!(matches!(judge(CHECK, Part::Find, &Verdict::Held), Ok(Judged::Held)));
        assert!(matches!(judge(CHECK, Part::Leave, &Verdict::Held), Err(None)));
        assert!(matches!(judge(CHECK, Part::Leave, &left(MAX_NOTES)), Ok(Judged::Left(Left::Notes(_)))));
        assert!(matches!(judge(CHECK, Part::Leave, &left(MAX_NOTES + 1)), Err(None)), "too many notes");
        assert!(matches!(judge(CHECK, Part::Find, &left(1)), Err(None)));
    }

    #[test]
    fn a_finding_is_told_whole_but_bounded() {
        let Err(Some((kind, message))) = judge(CHECK, Part::Find, &contradicted("no file")) else { panic!() };
        assert_eq!(kind, FailureKind::CheckFailed);
        assert_eq!(message, "memory-crosses expected a file; it found: no file");
        let hostile = format!("\u{1b}[2J{}", "x".repeat(100_000));
        let Err(Some((_, message))) = judge(CHECK, Part::Find, &contradicted(&hostile)) else { panic!() };
        assert!(!message.contains('\u{1b}') && message.len() < 1200, "{message}");
        let unfinished = Verdict::Unfinished { how: "it was killed".to_owned() };
        assert!(matches!(judge(CHECK, Part::Within, &unfinished), Err(Some((FailureKind::CheckUnfinished, _)))));
    }

    #[test]
    fn figures_are_bounded() {
        let span = Span { from: Tsc(5), to: Tsc(4) };
        let told = vec![check::Figure { what: "\u{1b}[2J".repeat(1000), span }; MAX_FIGURES + 1];
        let kept = measured(&told);
        assert_eq!(kept.len(), MAX_FIGURES);
        assert!(!kept[0].what.contains('\u{1b}') && kept[0].what.len() <= 1000 && kept[0].tsc == [5, 4]);
    }

    #[test]
    fn what_does_not_apply_is_not_held() {
        let verdict = Verdict::NotApplicable { reason: "the kernel has no NEWUSER".to_owned() };
        for part in [Part::Within, Part::Find] {
            assert!(matches!(judge(CHECK, part, &verdict), Ok(Judged::NotApplicable(_))));
        }
        assert!(matches!(judge(CHECK, Part::Leave, &verdict), Ok(Judged::Left(Left::NotApplicable(_)))));
    }
}
