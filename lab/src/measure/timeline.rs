//! The moments of one update, and the phases between them.

use protocol::message::{Span, Tsc};

use super::clock::Clock;
use crate::result::{HopTime, Phase, PhaseName};

/// What the guest noted around one update. Each is there if it was reached.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    /// Registration of objects.
    pub preserve: Option<Span>,
    /// NORMAL → PREPARED.
    pub prepare: Option<Span>,
    /// PREPARED → FROZEN.
    pub freeze: Option<Span>,
    /// Loading of the next kernel.
    pub load: Option<Span>,
    /// The call of reboot(2).
    pub reboot: Option<Tsc>,
    /// The workload's last tick before.
    pub last_tick: Option<Tsc>,
    /// Mean time between its ticks before, in units of the counter.
    pub tick_period: u64,
    /// The agent's first instruction after.
    pub agent_started: Option<Tsc>,
    /// Its ports open.
    pub agent_ready: Option<Tsc>,
    /// The heartbeat asked for.
    pub resume_asked: Option<Tsc>,
    /// The workload's first tick after.
    pub first_tick: Option<Tsc>,
    /// Retrieval of the objects.
    pub retrieve: Option<Span>,
    /// Comparison of the objects.
    pub verify: Option<Span>,
}

/// Widens `known` to hold `more`, or begins it.
pub fn widen(known: &mut Option<Span>, more: Span) {
    match known {
        Some(span) => span.to = more.to,
        None => *known = Some(more),
    }
}

impl Timeline {
    /// The durations, as far as their ends are known and in order.
    #[must_use]
    pub fn durations(&self, clock: &Clock) -> HopTime {
        let between = |from: Option<Tsc>, to: Option<Tsc>| Some(Span { from: from?, to: to? });
        let named = [
            (PhaseName::Preserve, self.preserve),
            (PhaseName::Prepare, self.prepare),
            (PhaseName::Freeze, self.freeze),
            (PhaseName::Load, self.load),
            (PhaseName::Shutdown, between(self.reboot, self.last_tick)),
            (PhaseName::Restart, between(self.last_tick.or(self.reboot), self.agent_started)),
            (PhaseName::AgentStart, between(self.agent_started, self.agent_ready)),
            (PhaseName::Handshake, between(self.agent_ready, self.resume_asked)),
            (PhaseName::Resume, between(self.resume_asked, self.first_tick)),
            (PhaseName::Retrieve, self.retrieve),
            (PhaseName::Verify, self.verify),
        ];
        let phases = named
            .into_iter()
            .filter_map(|(name, span)| {
                let span = span?;
                Some(Phase { name, ns: clock.ns(span)?, tsc: [span.from.0, span.to.0] })
            })
            .collect();
        let blackout = between(self.last_tick, self.first_tick).and_then(|span| clock.ns(span));
        let retrieved = self.retrieve.map(|span| span.to).or(self.first_tick);
        HopTime {
            blackout_ns: blackout,
            blackout_error_ns: blackout.and_then(|blackout| {
                let tick = clock.ns(Span { from: Tsc(0), to: Tsc(self.tick_period) })?;
                // The guest may tell of any period.
                Some(tick.saturating_add((blackout as f64 * clock.facts().error_ppm / 1e6) as u64))
            }),
            brownout_ns: between(self.prepare.map(|span| span.from), self.reboot).and_then(|span| clock.ns(span)),
            update_ns: between(self.reboot, retrieved).and_then(|span| clock.ns(span)),
            phases,
        }
    }
}
