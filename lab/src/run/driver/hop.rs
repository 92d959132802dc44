//! One live update: the state machine, the next kernel, the restart, the proof, and the workload that lives on.

use protocol::message::{Event, MAX_LOCATE, Reply, Request, Resumption, Tsc};

use super::{Driver, HopUnderWay};
use crate::measure::timeline::Timeline;
use crate::result::{FailureKind, Fidelity};
use crate::run::outcome::Arrival;
use crate::run::{Bootable, Stop, predict::predict, proof};
use crate::scenario::parameters::KernelParameters;
use crate::scenario::plan::{HEARTBEAT, Update};

impl<'a> Driver<'a> {
    pub(super) fn signal(&mut self, event: Event) -> Result<(), Stop> {
        let span = self.talk.ask_done(&Request::Signal { event })?;
        match event {
            Event::Prepare => self.timeline.prepare = Some(span),
            Event::Freeze => self.timeline.freeze = Some(span),
            Event::Cancel => {
                // The tokens stay: what was cancelled must not answer to its own.
                self.timeline = Timeline::default();
                self.frames.clear();
            }
            Event::Finish => {}
        }
        Ok(())
    }

    pub(super) fn update(&mut self, update: &Update) -> Result<(), Stop> {
        let next = match &update.kernel {
            Some(name) => self
                .stage
                .named
                .get(name)
                .ok_or_else(|| Stop::Infrastructure(format!("kernel `{name}` was not built before the run")))?,
            None if self.stage.into.is_empty() => self.kernel,
            None => &self.stage.into[self.hops.len() % self.stage.into.len()],
        };
        let command_line = update.kernel_parameters.behind(&next.told(&self.command_line));
        let command_line = proof::marked(&command_line);
        self.load(next, &command_line)?;
        if std::mem::take(&mut self.ticking) {
            self.talk.ask_done(&Request::AwaitTick)?;
        }
        // What a kernel is told by this one update, its source does not know.
        let told = update.kernel_parameters != KernelParameters::default();
        let predicted = if told { None } else { predict(&self.kernel.facts, &next.facts, self.plan.interface) };
        let by_stage =
            || self.stage.expect.of(&self.kernel.facts, &next.facts, self.plan.interface, predicted.as_ref());
        let expected = update.expect.unwrap_or_else(by_stage);
        self.hops.push(HopUnderWay {
            from: self.kernel.facts.requested.clone(),
            to: next.facts.requested.clone(),
            hands_over: update.hands_over,
            expected,
            predicted,
            arrival: Arrival::Dark,
            proof: None,
            fidelity: Fidelity::default(),
            managed_bytes: None,
            timeline: std::mem::take(&mut self.timeline),
        });
        self.crossed = std::mem::take(&mut self.frames);
        let rebooted = self.restart(update.skip_kexec)?;
        self.hop()?.timeline.reboot = rebooted;

        let after = self.talk.meet()?;
        self.kernel = next;
        let number = self.hops.len() as u32;
        let before = self.facts.replace(after.clone());
        let proof = before.map(|before| proof::gather(&before, &after, &command_line));
        let proof = proof.ok_or_else(|| Stop::Infrastructure("an update before the boot".to_owned()))?;
        let hop = self.hop()?;
        hop.arrival = Arrival::Awake;
        hop.proof = Some(proof.clone());
        hop.timeline.agent_started = Some(after.started);
        hop.timeline.agent_ready = Some(after.ready);
        proof::check(&proof, number, &next.facts).map_err(Stop::Failed)?;
        self.check_processors(&after)?;
        self.open()?;
        self.arrived(Arrival::Open)
    }

    /// Restarts, and tells when that was asked for, if the answer came through.
    fn restart(&mut self, skip_kexec: bool) -> Result<Option<Tsc>, Stop> {
        let reboot = if skip_kexec { Request::PretendReboot } else { Request::Reboot };
        let asked = self.talk.restart(&reboot);
        // The old kernel answers, and so it would not go.
        if matches!(&asked, Err(Stop::Failed(failure)) if failure.kind == FailureKind::Refused) {
            self.hops.pop();
        }
        asked
    }

    /// Notes how far the last hop has come.
    pub(super) fn arrived(&mut self, at: Arrival) -> Result<(), Stop> {
        let hop = self.hop()?;
        hop.arrival = hop.arrival.max(at);
        Ok(())
    }

    /// Whether pages that the last update handed over are still reserved, if they were not opened and the guest still
    /// answers: then nobody can use them.
    pub(super) fn still_reserved(&mut self, ended: &Result<(), Stop>) -> Option<bool> {
        use FailureKind::{NotFound, Refused, UpdateNotProven};
        let lost = |kind| matches!(kind, NotFound | Refused | UpdateNotProven);
        let asked = matches!(ended, Err(Stop::Failed(failure)) if lost(failure.kind));
        let (_, frames) = self.crossed.iter().find(|_| asked && !self.hops.is_empty())?;
        let runs = frames.beginning(MAX_LOCATE);
        let looked_at: u64 = runs.iter().map(|run| run.pages).sum();
        match self.talk.ask(&Request::CountReserved { runs }) {
            // A kernel that knows nothing of them may have put something of its own on a few.
            Ok(Reply::Reserved { pages }) => Some(pages > looked_at / 2),
            // It is told where it can be found out; the run ended for another reason.
            _ => None,
        }
    }

    pub(super) fn load(&mut self, next: &Bootable, command_line: &str) -> Result<(), Stop> {
        self.timeline.load = Some(self.talk.load(next, command_line)?);
        Ok(())
    }

    pub(super) fn hop(&mut self) -> Result<&mut HopUnderWay, Stop> {
        self.hops.last_mut().ok_or_else(|| Stop::Infrastructure("no update was made yet".to_owned()))
    }

    pub(super) fn resume(&mut self) -> Result<(), Stop> {
        let request = Request::ResumeWorkload { claim: self.claim(HEARTBEAT) };
        let told = match self.talk.ask(&request)? {
            Reply::Resumed(told) => told,
            other => return Err(self.talk.unexpected(&request, &other)),
        };
        let Resumption { count, last_tick, period, first_tick, retrieve } = told;
        let known = self.ticks;
        let timeline = &mut self.hop()?.timeline;
        let rebooted = timeline.reboot.unwrap_or(Tsc(0));
        timeline.last_tick = Some(last_tick);
        timeline.tick_period = period;
        timeline.first_tick = Some(first_tick);
        timeline.resume_asked = Some(retrieve.from);
        // The workload ticked once more after the next kernel was loaded, and its memory must show it.
        let loaded = timeline.load.map_or(Tsc(0), |load| load.to);
        let stale = last_tick < loaded || timeline.agent_started.is_some_and(|started| last_tick >= started);
        if count <= known || last_tick >= first_tick || stale {
            let message = format!(
                "the workload's page says {count} ticks, the last at {}; reboot was called at {}, the first tick after it was at {}",
                last_tick.0, rebooted.0, first_tick.0
            );
            return Err(self.talk.failed(FailureKind::WorkloadBroken, message));
        }
        self.ticks = count;
        self.ticking = true;
        self.arrived(Arrival::Found)
    }
}
