//! Objects: handed over, opened again, compared, counted.

use protocol::message::{
    Claim, MAX_LOCATE, MemoryCounters, ObjectId, ObjectSpec, Reply, Request, Retrieval, Span, Token, Verification,
};
use protocol::pattern;

use super::Driver;
use crate::measure::fidelity::{self, Frames};
use crate::measure::timeline::widen;
use crate::result::{Failure, FailureKind, Fidelity};
use crate::run::Stop;
use crate::run::outcome::Arrival;
use crate::scenario::plan::{HEARTBEAT, Load};
use crate::scenario::size::Size;

impl Driver<'_> {
    pub(super) fn specs(&self, ids: &[ObjectId]) -> Vec<ObjectSpec> {
        ids.iter().filter_map(|&id| self.plan.object(id)).map(|object| object.spec).collect()
    }

    pub(super) fn preserve(&mut self, ids: &[ObjectId]) -> Result<(), Stop> {
        let request = Request::Preserve { objects: ids.to_vec() };
        match self.talk.ask(&request)? {
            Reply::Preserved { claims, span } if claims.iter().map(|claim| claim.id).eq(ids.iter().copied()) => {
                widen(&mut self.timeline.preserve, span);
                self.tokens.extend(claims.iter().map(|claim| (claim.id, claim.token)));
            }
            other => return Err(self.talk.unexpected(&request, &other)),
        }
        // Only now do the pages stay where they are.
        for &id in ids.iter().filter(|&&id| id != HEARTBEAT) {
            let frames = self.locate(id)?;
            self.frames.insert(id, frames);
        }
        Ok(())
    }

    pub(super) fn locate(&mut self, id: ObjectId) -> Result<Frames, Stop> {
        let pages = self.plan.object(id).map_or(1, |object| pattern::pages(object.spec.bytes));
        let mut frames = Frames::default();
        let mut first_page = 0;
        while first_page < pages {
            let request = Request::Locate { object: id, first_page, pages: (pages - first_page).min(MAX_LOCATE) };
            match self.talk.ask(&request)? {
                Reply::Located { runs } => frames.extend(runs),
                other => return Err(self.talk.unexpected(&request, &other)),
            }
            first_page += MAX_LOCATE;
        }
        if frames.pages() != pages {
            let what = format!("tells where {} pages of {} lie, it has {pages}", frames.pages(), self.plan.name_of(id));
            return Err(self.talk.misbehaved(&what));
        }
        Ok(frames)
    }

    pub(super) fn claim(&self, id: ObjectId) -> Claim {
        // What was never preserved has no token. Its number is the best guess that a thief could make.
        Claim { id, token: self.tokens.get(&id).copied().unwrap_or(Token(u64::from(id.0))) }
    }

    pub(super) fn retrieve(&mut self, ids: &[ObjectId]) -> Result<(), Stop> {
        let (results, span) = self.claim_all(ids)?;
        widen(&mut self.hop()?.timeline.retrieve, span);
        for (&id, result) in ids.iter().zip(&results) {
            let name = self.plan.name_of(id);
            let expected = self.plan.object(id).map_or(0, |object| object.spec.bytes);
            let (kind, message) = match result {
                Retrieval::Found { bytes } if *bytes == expected => continue,
                Retrieval::Found { bytes } => {
                    (FailureKind::WrongSize, format!("{name} came back with {bytes} bytes, it had {expected}"))
                }
                Retrieval::Absent => {
                    (FailureKind::NotFound, format!("{name} is not there: the kernel knows nothing of it"))
                }
                Retrieval::Failed(failure) => {
                    (FailureKind::Refused, format!("{name}: {} {}", failure.operation, failure.detail))
                }
            };
            return Err(self.talk.failed(kind, message));
        }
        Ok(())
    }

    pub(super) fn expect_absent(&mut self, ids: &[ObjectId]) -> Result<(), Stop> {
        let (results, _) = self.claim_all(ids)?;
        for (&id, result) in ids.iter().zip(&results) {
            let name = self.plan.name_of(id);
            match result {
                Retrieval::Absent => {}
                Retrieval::Found { bytes } => {
                    let message = format!("{name} is there ({bytes} bytes) and must not be");
                    return Err(self.talk.failed(FailureKind::UnexpectedlyFound, message));
                }
                Retrieval::Failed(failure) => {
                    let message = format!("{name}: {} {}", failure.operation, failure.detail);
                    return Err(self.talk.failed(FailureKind::Refused, message));
                }
            }
        }
        Ok(())
    }

    pub(super) fn claim_all(&mut self, ids: &[ObjectId]) -> Result<(Vec<Retrieval>, Span), Stop> {
        let request = Request::Retrieve { claims: ids.iter().map(|&id| self.claim(id)).collect() };
        match self.talk.ask(&request)? {
            Reply::Retrieved { results, span } if results.len() == ids.len() => Ok((results, span)),
            other => Err(self.talk.unexpected(&request, &other)),
        }
    }

    pub(super) fn verify(&mut self, id: ObjectId) -> Result<(), Stop> {
        let Some(object) = self.plan.object(id) else { return Ok(()) };
        let request = Request::Verify { object: object.spec };
        let told: Verification = match self.talk.ask(&request)? {
            Reply::Verified(told) => told,
            other => return Err(self.talk.unexpected(&request, &other)),
        };
        // What the last update handed over counts for it, once; anything else only has to be right.
        let judged = match self.crossed.remove(&id) {
            Some(before) => {
                let in_place = self.locate(id)?.in_common(&before);
                let hop = self.hop()?;
                widen(&mut hop.timeline.verify, told.span);
                let content = fidelity::judge(object, &told, &mut hop.fidelity);
                // Counted even if the content is wrong: the two say different things of what went wrong.
                content.and(fidelity::judge_place(object, in_place, &mut hop.fidelity))
            }
            None => fidelity::judge(object, &told, &mut Fidelity::default()),
        };
        judged.map_err(Stop::Failed)?;
        match self.hops.is_empty() {
            true => Ok(()),
            false => self.arrived(Arrival::Found),
        }
    }

    pub(super) fn read_memory(&mut self) -> Result<MemoryCounters, Stop> {
        match self.talk.ask(&Request::Memory)? {
            Reply::Memory(counters) => Ok(counters),
            other => Err(self.talk.unexpected(&Request::Memory, &other)),
        }
    }

    pub(super) fn account(&mut self, load: Load) -> Result<(), Stop> {
        let now = self.read_memory()?;
        self.hop()?.managed_bytes = Some(now.total);
        self.accounts.enter(&self.kernel.facts.requested, load, now.total);
        Ok(())
    }

    pub(super) fn no_leak(&mut self, within: Size) -> Result<(), Stop> {
        self.talk.ask_done(&Request::Drop)?;
        self.ticking = false;
        let now = self.read_memory()?;
        let first = self.memory.ok_or_else(|| Stop::Infrastructure("memory was not counted at the boot".to_owned()))?;
        let missing = first.free.saturating_sub(now.free);
        if missing <= within.0 {
            return Ok(());
        }
        let mib = |bytes: u64| bytes >> 20;
        let message = format!(
            "{} MiB less are free than at the first boot ({} then, {} now), of {} MiB in all then and {} now",
            mib(missing),
            mib(first.free),
            mib(now.free),
            mib(first.total),
            mib(now.total)
        );
        Err(Stop::Failed(Failure::new(FailureKind::Leak, message)))
    }
}
