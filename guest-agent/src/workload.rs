//! The workload: a thread that ticks in a preserved page until the processor stops.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed, Ordering::Release},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use protocol::{
    heartbeat::{BYTES, MAGIC, PERIOD_NS, WORD_COUNT, WORD_FIRST_COUNT, WORD_FIRST_TSC, WORD_MAGIC, WORD_TSC},
    message::Tsc,
};
use rustix::{
    thread::{clock_nanosleep_absolute, set_current_timer_slack},
    time::{ClockId, Timespec, clock_gettime},
};

use crate::{
    failure::{Outcome, Tell, refuse},
    mapping::Mapping,
    now,
    objects::Object,
};

/// A heartbeat page, mapped.
struct Heart {
    mapping: Mapping,
    count: u64,
}

impl Heart {
    fn map(object: &Object) -> Outcome<Self> {
        let bytes = object.size()?;
        if bytes != BYTES {
            return Err(refuse("open the heartbeat", format!("it has {bytes} bytes instead of {BYTES}")));
        }
        Ok(Self { mapping: object.map(0, 1, true)?, count: 0 })
    }

    /// Count first: if the processor stops between the two, the page tells the tick before.
    fn tick(&mut self) -> Tsc {
        self.count = self.count.wrapping_add(1);
        let page = self.mapping.page(0);
        let tsc = now();
        page[WORD_COUNT].store(self.count.to_le(), Release);
        page[WORD_TSC].store(tsc.0.to_le(), Release);
        tsc
    }

    /// Ticks, and notes that this is where the generation begins.
    fn first_tick(&mut self) -> Tsc {
        let tsc = self.tick();
        let page = self.mapping.page(0);
        page[WORD_FIRST_TSC].store(tsc.0.to_le(), Release);
        page[WORD_FIRST_COUNT].store(self.count.to_le(), Release);
        tsc
    }
}

/// What a heartbeat page held when it was taken up again.
pub(crate) struct Found {
    /// Ticks counted before.
    pub(crate) count: u64,
    /// The last of them.
    pub(crate) last_tick: Tsc,
    /// Mean time between them, in TSC units.
    pub(crate) period: u64,
    /// The first one now.
    pub(crate) first_tick: Tsc,
}

/// Ten thousand periods: a thread that does not get to run for so long is as good as dead.
const PATIENCE: Duration = Duration::from_secs(1);

/// Who waits for a tick.
type Waiter = SyncSender<()>;

/// The running workload. Stops when dropped.
pub(crate) struct Workload {
    stop: Arc<AtomicBool>,
    waiters: SyncSender<Waiter>,
    thread: Option<JoinHandle<()>>,
}

impl Workload {
    /// Makes `object`, zeroed and of the right size, a heartbeat page and ticks in it.
    pub(crate) fn start(object: &Object) -> Outcome<Self> {
        let mut heart = Heart::map(object)?;
        heart.mapping.page(0)[WORD_MAGIC].store(MAGIC.to_le(), Release);
        heart.first_tick();
        Self::run(heart)
    }

    /// Ticks on in `object`, at once.
    pub(crate) fn resume(object: &Object) -> Outcome<(Self, Found)> {
        let mut heart = Heart::map(object)?;
        let word = |index: usize| u64::from_le(heart.mapping.page(0)[index].load(Relaxed));
        let (magic, count, last_tick) = (word(WORD_MAGIC), word(WORD_COUNT), Tsc(word(WORD_TSC)));
        if magic != MAGIC {
            return Err(refuse("open the heartbeat", format!("its first word is {magic:#x} instead of {MAGIC:#x}")));
        }
        // Untrusted as all that was handed over: a page that makes no sense has no period.
        let ticks = count.saturating_sub(word(WORD_FIRST_COUNT));
        let period = last_tick.0.saturating_sub(word(WORD_FIRST_TSC)).checked_div(ticks).unwrap_or(0);
        heart.count = count;
        let first_tick = heart.first_tick();
        Ok((Self::run(heart)?, Found { count, last_tick, period, first_tick }))
    }

    /// Returns when it has ticked once more.
    pub(crate) fn await_tick(&self) -> Outcome<()> {
        let (waiter, ticked) = sync_channel(1);
        let gone = |_| refuse("await a tick", "the workload's thread is gone");
        self.waiters.send(waiter).map_err(gone)?;
        ticked.recv_timeout(PATIENCE).map_err(|_| refuse("await a tick", format!("none came within {PATIENCE:?}")))
    }

    fn run(heart: Heart) -> Outcome<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let (waiters, asked) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .stack_size(64 << 10)
            .spawn(move || beat(heart, &stopped, &asked))
            .tell("start the workload's thread")?;
        Ok(Self { stop, waiters, thread: Some(thread) })
    }
}

impl Drop for Workload {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn beat(mut heart: Heart, stop: &AtomicBool, asked: &Receiver<Waiter>) {
    // The default slack of 50 µs is half a period.
    let _ = set_current_timer_slack(std::num::NonZeroU64::new(1));
    let mut next = nanoseconds();
    while !stop.load(Relaxed) {
        // Before the tick: it has to come after the question.
        let waiter = asked.try_recv();
        heart.tick();
        if let Ok(waiter) = waiter {
            // Whoever asked may have given up.
            let _ = waiter.try_send(());
        }
        // A late thread goes on from where it is instead of making up for what it missed.
        next = (next + PERIOD_NS).max(nanoseconds());
        let until = Timespec { tv_sec: (next / 1_000_000_000) as i64, tv_nsec: (next % 1_000_000_000) as i64 };
        let _ = clock_nanosleep_absolute(ClockId::Monotonic, &until);
    }
}

fn nanoseconds() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
