//! Whether page frames are reserved, as the kernel tells of each.

use std::{fs::File, os::unix::fs::FileExt as _};

use protocol::message::{FrameRun, MAX_LOCATE};

use crate::failure::{Outcome, Tell, refuse};

const FLAGS: &str = "/proc/kpageflags";
/// `KPF_RESERVED`, of the kernel's `include/linux/kernel-page-flags.h`.
const RESERVED: u64 = 1 << 32;

/// How many of these frames are. A frame that the kernel does not know is not.
pub(crate) fn count(runs: &[FrameRun]) -> Outcome<u64> {
    let asked = runs.iter().fold(0u64, |sum, run| sum.saturating_add(run.pages));
    if asked > MAX_LOCATE {
        return Err(refuse("count reserved pages", format!("{asked} asked for, at most {MAX_LOCATE} at once")));
    }
    let file = File::open(FLAGS).tell(format!("open {FLAGS}"))?;
    let mut reserved = 0;
    for run in runs {
        let Some(place) = run.first.and_then(|first| first.checked_mul(8)) else { continue };
        let mut flags = vec![0u8; run.pages as usize * 8];
        let read = file.read_at(&mut flags, place).tell(format!("read {FLAGS}"))?;
        let (entries, _) = flags[..read].as_chunks();
        reserved += entries.iter().filter(|&&entry| u64::from_ne_bytes(entry) & RESERVED != 0).count() as u64;
    }
    Ok(reserved)
}
