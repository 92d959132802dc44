//! The guest's time stamp counter against the host's monotonic clock.
//!
//! The counter runs on across a kexec, which no clock of the guest does. Its rate is found by asking for
//! it twice, some time apart; a reading's place in host time is known to half its round trip.

use std::time::Duration;

use protocol::message::{Span, Tsc};

use crate::result::ClockFacts;

/// One reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// What the guest read.
    pub tsc: Tsc,
    /// Host time when it was asked, since an arbitrary beginning.
    pub asked: Duration,
    /// Host time when the answer was there.
    pub answered: Duration,
}

impl Reading {
    fn middle_ns(&self) -> f64 {
        (self.asked.as_nanos() as f64 + self.answered.as_nanos() as f64) / 2.0
    }

    fn round_trip(&self) -> Duration {
        self.answered.saturating_sub(self.asked)
    }
}

/// A counter whose rate is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clock {
    facts: ClockFacts,
}

impl Clock {
    /// The rate from the best reading of `early` and of `late`: the ones with the shortest round trip.
    ///
    /// `None` if there are none, or no time passed between them.
    #[must_use]
    pub fn between(early: &[Reading], late: &[Reading]) -> Option<Self> {
        let best = |readings: &[Reading]| readings.iter().min_by_key(|reading| reading.round_trip()).copied();
        let (first, last) = (best(early)?, best(late)?);
        let ticks = last.tsc.0.checked_sub(first.tsc.0).filter(|&ticks| ticks > 0)?;
        let ns = last.middle_ns() - first.middle_ns();
        if ns <= 0.0 {
            return None;
        }
        let uncertain = (first.round_trip() + last.round_trip()).as_nanos() as f64 / 2.0;
        Some(Self { facts: ClockFacts { tsc_hz: ticks as f64 * 1e9 / ns, error_ppm: uncertain / ns * 1e6 } })
    }

    /// Of a guest whose counter is the count of its instructions, in nanoseconds: the host's clock has no say in it.
    #[must_use]
    pub fn counted() -> Self {
        Self { facts: ClockFacts { tsc_hz: 1e9, error_ppm: 0.0 } }
    }

    /// The rate and how sure it is.
    #[must_use]
    pub fn facts(&self) -> ClockFacts {
        self.facts
    }

    /// A stretch of guest time in nanoseconds; `None` if it ends before it begins.
    #[must_use]
    pub fn ns(&self, span: Span) -> Option<u64> {
        let ticks = span.to.0.checked_sub(span.from.0)?;
        Some((ticks as f64 * 1e9 / self.facts.tsc_hz) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(tsc: u64, asked_us: u64, answered_us: u64) -> Reading {
        Reading { tsc: Tsc(tsc), asked: Duration::from_micros(asked_us), answered: Duration::from_micros(answered_us) }
    }

    #[test]
    fn the_quickest_answers_decide() {
        let early = [reading(0, 0, 9_000), reading(1_000_000, 10_000, 10_200)];
        let late = [reading(2_001_000_000, 1_010_000, 1_010_200), reading(7, 1_020_000, 1_090_000)];
        let clock = Clock::between(&early, &late).unwrap();
        assert!((clock.facts().tsc_hz - 2e9).abs() < 1.0, "{clock:?}");
        assert!((clock.facts().error_ppm - 200.0).abs() < 1.0, "{clock:?}");
        assert_eq!(clock.ns(Span { from: Tsc(0), to: Tsc(2_000_000_000) }), Some(1_000_000_000));
    }

    #[test]
    fn what_is_counted_is_nanoseconds() {
        assert_eq!(Clock::counted().ns(Span { from: Tsc(5), to: Tsc(12) }), Some(7));
    }

    #[test]
    fn a_counter_that_runs_backwards_is_no_clock() {
        assert_eq!(Clock::between(&[reading(9, 0, 1)], &[reading(5, 10, 11)]), None);
        assert_eq!(Clock::between(&[], &[reading(5, 10, 11)]), None);
        let clock = Clock::between(&[reading(0, 0, 1)], &[reading(1_000, 10, 11)]).unwrap();
        assert_eq!(clock.ns(Span { from: Tsc(5), to: Tsc(4) }), None);
    }
}
