//! The host's time stamp counter, which is the guest's under TCG.

/// Its rate in kHz; `None` on processors that have none.
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "the counter is read by an instruction")]
pub(super) fn khz() -> Option<u64> {
    use std::arch::x86_64::_rdtsc;
    use std::time::{Duration, Instant};

    // SAFETY: every x86-64 processor has this instruction, and Linux lets user space use it.
    let read = || unsafe { _rdtsc() };
    let (began, first) = (Instant::now(), read());
    // Long enough that reading the two clocks apart costs no more than a few parts per million.
    std::thread::sleep(Duration::from_millis(20));
    let (passed, last) = (began.elapsed(), read());
    Some(last.wrapping_sub(first).saturating_mul(1_000_000) / u64::try_from(passed.as_nanos()).ok()?)
}

/// Its rate in kHz; `None` on processors that have none.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn khz() -> Option<u64> {
    None
}
