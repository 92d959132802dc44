//! Runs side by side: as many guests at a time as the host has room for.

use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;

use super::snapshots::Snapshots;
use super::{Cancelled, Observer, Stage, Together, run_together};
use crate::host::{Cancel, Capacity};
use crate::result::Run;
use crate::scenario::Document;
use crate::scenario::plan::Plan;

/// What QEMU itself takes for a guest, its RAM left out: mostly the code that it translates into.
const OVERHEAD: u64 = 256 << 20;

/// A run to be made.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// On what.
    pub stage: &'a Stage,
    /// The file that the plan comes from.
    pub document: &'a Document,
    /// What is done.
    pub plan: &'a Plan,
}

/// How many guests may run at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Limit {
    /// As many as there are processors and memory for.
    #[default]
    Host,
    /// As many as this, as far as memory goes.
    Guests(NonZero<u32>),
}

impl Limit {
    /// One after the other: the host is theirs alone, and their times count.
    pub const ALONE: Self = Self::Guests(NonZero::<u32>::MIN);
}

/// Watches the runs.
pub trait Audience<'a> {
    /// A run begins; who watches this one?
    fn begins(&mut self, job: &Job<'a>) -> Box<dyn Observer + Send + 'a>;
    /// A run has ended.
    fn ended(&mut self, job: &Job<'a>, run: &mut Run);
}

/// Runs every job, and returns their results in the order of the jobs. Whatever was not run to its end because the
/// user wants to stop has none.
///
/// Guests that begin alike are booted once and restored from then on, if there are enough of them.
/// The jobs begin in their order, but that a small one passes a large one for which there is no room yet.
pub fn run<'a>(jobs: &[Job<'a>], limit: Limit, audience: &mut dyn Audience<'a>, cancel: &Cancel) -> Vec<Option<Run>> {
    let room = Room { limit, host: Capacity::here() };
    let patience = room.shared_by(jobs.len(), jobs.iter().map(|job| job.plan.cpus).max().unwrap_or(1));
    let snapshots = &Snapshots::of(jobs);
    let mut runs: Vec<Option<Run>> = jobs.iter().map(|_| None).collect();
    let mut waiting: Vec<usize> = (0..jobs.len()).collect();
    let mut guests: Vec<Guest> = Vec::new();
    let (sender, ended) = mpsc::channel();
    thread::scope(|scope| {
        loop {
            while !cancel.is_cancelled()
                && let Some(next) = waiting.iter().position(|&job| room.takes(&guests, jobs[job].plan))
            {
                let index = waiting.remove(next);
                let job = jobs[index];
                let guest = Guest { job: index, demand: Demand::of(job.plan), beside: Arc::default() };
                let beside = Arc::clone(&guest.beside);
                guests.push(guest);
                meet(&guests);
                let mut observer = audience.begins(&job);
                let sender = sender.clone();
                scope.spawn(move || {
                    let stage = Stage { limits: job.stage.limits.times(patience), ..job.stage.clone() };
                    let job = Job { stage: &stage, ..job };
                    let together = Together { beside: beside.as_ref(), snapshots };
                    let run = || run_together(&job, together, observer.as_mut(), cancel);
                    // A thread that says nothing any more would be waited for without end.
                    let run = catch_unwind(AssertUnwindSafe(run));
                    drop(observer);
                    // Whoever listens ends after all threads.
                    let _ = sender.send((index, run));
                });
            }
            if guests.is_empty() {
                break;
            }
            let Ok((index, run)) = ended.recv() else { break };
            guests.retain(|guest| guest.job != index);
            match run {
                Ok(Ok(mut run)) => {
                    audience.ended(&jobs[index], &mut run);
                    runs[index] = Some(run);
                }
                Ok(Err(Cancelled)) => {}
                Err(panic) => resume_unwind(panic),
            }
        }
    });
    runs
}

/// A guest that runs.
struct Guest {
    job: usize,
    demand: Demand,
    /// The most that ran beside it so far.
    beside: Arc<AtomicU32>,
}

/// Tells each of them how many the others are.
fn meet(guests: &[Guest]) {
    let others = u32::try_from(guests.len().saturating_sub(1)).unwrap_or(u32::MAX);
    for guest in guests {
        guest.beside.fetch_max(others, Ordering::Relaxed);
    }
}

/// What a guest takes of the host.
#[derive(Clone, Copy, Debug)]
struct Demand {
    processors: u32,
    memory: u64,
}

impl Demand {
    fn of(plan: &Plan) -> Self {
        // Emulated or not, each of its processors is a thread that may be busy all the time.
        Self { processors: plan.cpus, memory: plan.memory.0.saturating_add(OVERHEAD) }
    }
}

struct Room {
    limit: Limit,
    host: Capacity,
}

impl Room {
    /// Whether one more has room. A single guest always has: who else would run it?
    fn takes(&self, guests: &[Guest], plan: &Plan) -> bool {
        if guests.is_empty() {
            return true;
        }
        let demands = || guests.iter().map(|guest| guest.demand).chain([Demand::of(plan)]);
        let memory = demands().fold(0u64, |sum, demand| sum.saturating_add(demand.memory));
        if self.host.memory.is_some_and(|free| memory > free) {
            return false;
        }
        match self.limit {
            Limit::Host => demands().map(|demand| demand.processors).sum::<u32>() <= self.host.processors,
            Limit::Guests(most) => guests.len() < most.get() as usize,
        }
    }

    /// How many times as long as alone a run of so many may take: limits are told in the host's time, and more guests
    /// than there are processors for share them.
    fn shared_by(&self, jobs: usize, cpus: u32) -> u32 {
        match self.limit {
            Limit::Host | Limit::ALONE => 1,
            Limit::Guests(most) => {
                let guests = most.get().min(u32::try_from(jobs).unwrap_or(u32::MAX));
                guests.saturating_mul(cpus).div_ceil(self.host.processors.max(1))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::message::Interface;

    use super::*;
    use crate::scenario::size::Size;

    fn plan(cpus: u32, memory: u64) -> Plan {
        let yaml = "about: a test\ninterfaces: [module]\nsteps:\n  - check: state-is-normal-at-start\n";
        let mut plan = Document::parse("test", "test.yaml", yaml).unwrap().plan(Interface::Module).unwrap();
        (plan.cpus, plan.memory) = (cpus, Size(memory));
        plan
    }

    fn guests(plans: &[&Plan]) -> Vec<Guest> {
        plans.iter().map(|plan| Guest { job: 0, demand: Demand::of(plan), beside: Arc::default() }).collect()
    }

    const GIB: u64 = 1 << 30;

    fn host(limit: Limit) -> Room {
        Room { limit, host: Capacity { processors: 4, memory: Some(8 * GIB) } }
    }

    #[test]
    fn processors_and_memory_bound_what_runs_at_a_time() {
        let (small, wide, fat) = (plan(1, GIB), plan(4, GIB), plan(1, 6 * GIB));
        let room = host(Limit::Host);
        assert!(room.takes(&guests(&[&small, &small, &small]), &small));
        assert!(!room.takes(&guests(&[&small, &small, &small, &small]), &small), "a fifth on four processors");
        assert!(!room.takes(&guests(&[&small]), &wide));
        assert!(room.takes(&guests(&[&fat]), &small));
        assert!(!room.takes(&guests(&[&fat]), &fat), "no memory for two of these");
    }

    #[test]
    fn one_guest_always_has_room() {
        assert!(host(Limit::Host).takes(&[], &plan(64, 64 * GIB)));
        assert!(host(Limit::ALONE).takes(&[], &plan(64, 64 * GIB)));
        assert!(!host(Limit::ALONE).takes(&guests(&[&plan(1, GIB)]), &plan(1, GIB)));
    }

    #[test]
    fn who_asks_for_more_than_there_are_processors_gets_them_and_more_time() {
        let (small, fat) = (plan(1, GIB / 2), plan(1, 6 * GIB));
        let room = host(Limit::Guests(NonZero::new(9).unwrap()));
        assert!(room.takes(&guests(&[&small; 8]), &small));
        assert!(!room.takes(&guests(&[&small; 9]), &small));
        assert!(!room.takes(&guests(&[&fat]), &fat), "memory is not to be had by asking");
        let patience = |limit, count| host(limit).shared_by(count, 1);
        assert_eq!(patience(Limit::Guests(NonZero::new(9).unwrap()), 100), 3);
        assert_eq!(patience(Limit::Guests(NonZero::new(9).unwrap()), 4), 1, "there are no more than four to run");
        assert_eq!(patience(Limit::Host, 100), 1);
        assert_eq!(host(Limit::ALONE).shared_by(100, 16), 1, "alone it has always been given as long");
    }

    #[test]
    fn each_is_told_the_most_that_ran_beside_it() {
        let small = plan(1, GIB);
        let mut all = guests(&[&small, &small]);
        meet(&all);
        let first = Arc::clone(&all.remove(0).beside);
        all.extend(guests(&[&small, &small]));
        meet(&all);
        let beside: Vec<u32> = all.iter().map(|guest| guest.beside.load(Ordering::Relaxed)).collect();
        assert_eq!((first.load(Ordering::Relaxed), beside), (1, vec![2, 2, 2]));
    }
}
