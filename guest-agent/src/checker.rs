//! The processes of checks as PID 1 sees them: one that is under way, and those that stay until the kexec.

use std::{
    collections::VecDeque,
    process::ChildStdout,
    time::{Duration, Instant},
};

use protocol::{
    check::{Order, Verdict},
    message::{Reply, Request, Span, Tsc},
};
use rustix::process::{Pid, WaitStatus};

use crate::{CHECK, PROGRESS, child::Child, failure::Outcome, now};

/// All of them.
#[derive(Default)]
pub(crate) struct Checks {
    under_way: Option<UnderWay>,
    staying: Vec<Child>,
}

struct UnderWay {
    child: Child,
    from: Tsc,
    limit: Duration,
    deadline: Instant,
    /// When the host was last told that it goes on: a check that takes long is no guest that hangs.
    told: Instant,
}

impl Checks {
    /// Starts a check. Its answer comes from [`Checks::proceed`].
    pub(crate) fn begin(&mut self, order: Order) -> Outcome<()> {
        let (from, limit) = (now(), Duration::from_millis(order.limit_ms.into()));
        let mut child = Child::start(CHECK)?;
        if let Err(failure) = child.ask(&Request::Check(order)) {
            let _ = child.kill_all();
            return Err(failure);
        }
        self.under_way = Some(UnderWay { child, from, limit, deadline: Instant::now() + limit, told: Instant::now() });
        Ok(())
    }

    /// To wait for, if a check is under way.
    pub(crate) fn replies(&self) -> Option<&ChildStdout> {
        self.under_way.as_ref().map(|check| check.child.replies())
    }

    /// When the check that is under way has to be looked at again.
    pub(crate) fn left(&self) -> Option<Duration> {
        let next = |check: &UnderWay| check.deadline.min(check.told + PROGRESS);
        self.under_way.as_ref().map(|check| next(check).saturating_duration_since(Instant::now()))
    }

    /// Hears the check that is under way, if there is something to hear, and ends it when its time is up.
    pub(crate) fn proceed(&mut self, readable: bool) -> Option<Reply> {
        let mut check = self.under_way.take()?;
        let mut said = VecDeque::new();
        let lives = !readable || check.child.listen(&mut said);
        let from = check.from;
        let measured = |verdict, figures| Some(Reply::Checked { verdict, figures, span: Span { from, to: now() } });
        let checked = |verdict| measured(verdict, Vec::new());
        if let Some(reply) = said.pop_front() {
            return match reply {
                Reply::Checked { verdict: verdict @ Verdict::Left { stays: true, .. }, figures, .. } => {
                    self.staying.push(check.child);
                    measured(verdict, figures)
                }
                reply => match (check.child.kill_all(), reply) {
                    (Err(failure), _) => checked(Verdict::Unfinished { how: failure.detail }),
                    (Ok(()), Reply::Checked { verdict, figures, .. }) => measured(verdict, figures),
                    (Ok(()), other) => Some(other),
                },
            };
        }
        let late = check.deadline <= Instant::now();
        if lives && !late {
            let busy = check.told.elapsed() >= PROGRESS;
            if busy {
                check.told = Instant::now();
            }
            self.under_way = Some(check);
            return busy.then_some(Reply::Busy);
        }
        let gone = check.child.kill_all();
        let how = match gone {
            Err(failure) => failure.detail,
            Ok(()) if late => format!("it was killed after {} ms", check.limit.as_millis()),
            Ok(()) => check.child.obituary(),
        };
        checked(Verdict::Unfinished { how })
    }

    /// Kills all of them.
    pub(crate) fn end(&mut self) -> Outcome<()> {
        let under_way = self.under_way.take().map(|check| check.child);
        self.staying.drain(..).chain(under_way).try_for_each(|mut child| child.kill_all())
    }

    /// Takes note of a process's end.
    pub(crate) fn note_end(&mut self, pid: Pid, status: WaitStatus) {
        for child in self.staying.iter_mut().chain(self.under_way.as_mut().map(|check| &mut check.child)) {
            child.note_end(pid, status);
        }
    }
}
