//! The guest's memory counters.

use std::{fs, time::Duration};

use protocol::message::MemoryCounters;

use crate::failure::{Outcome, Tell, refuse};

const MEMINFO: &str = "/proc/meminfo";
/// A directory for each cache of the slab allocator, where that keeps account of them.
const SLABS: &str = "/sys/kernel/slab";

/// Most readings taken, and how much two in a row may differ, until memory counts as settled.
const ROUNDS: usize = 10;
const STILL: u64 = 64 << 10;

/// The counters after the kernel has given back what it can: two readings around something that frees
/// memory can be compared.
pub(crate) fn settled() -> Outcome<MemoryCounters> {
    let mut last = given_back()?;
    for _ in 1..ROUNDS {
        // What a process held comes back for some milliseconds after its end.
        std::thread::sleep(Duration::from_millis(10));
        let next = given_back()?;
        if next.free.abs_diff(std::mem::replace(&mut last, next).free) <= STILL {
            break;
        }
    }
    Ok(last)
}

fn given_back() -> Outcome<MemoryCounters> {
    // 4 keeps the kernel from telling it in the log each time, 3 drops the caches; a sum of the two it refuses. A kernel
    // without one of these files is no worse off.
    for word in ["4", "3"] {
        let _ = fs::write("/proc/sys/vm/drop_caches", word);
    }
    // KASAN holds freed objects back, a thirty-second part of all memory: those of a cache until it is shrunk.
    for slab in fs::read_dir(SLABS).into_iter().flatten().flatten() {
        let _ = fs::write(slab.path().join("shrink"), "1");
    }
    let _ = fs::write("/proc/sys/vm/compact_memory", "1");
    let mut counters = counters()?;
    // Nothing that user space can do empties the processors' lists of free pages, some megabytes that
    // come and go; they are counted instead.
    counters.free += fs::read_to_string("/proc/zoneinfo").map_or(0, |text| held_back(&text));
    Ok(counters)
}

/// Bytes in the processors' own lists of free pages: the lines `count:` of `/proc/zoneinfo`.
fn held_back(zoneinfo: &str) -> u64 {
    let counts = zoneinfo.lines().filter_map(|line| line.trim().strip_prefix("count:")?.trim().parse::<u64>().ok());
    counts.fold(0, |sum, count| sum.saturating_add(count.saturating_mul(4096)))
}

/// The counters as they stand.
pub(crate) fn counters() -> Outcome<MemoryCounters> {
    let text = fs::read_to_string(MEMINFO).tell(format!("read {MEMINFO}"))?;
    parse(&text).ok_or_else(|| refuse(format!("read {MEMINFO}"), "a counter is missing"))
}

fn parse(text: &str) -> Option<MemoryCounters> {
    let field = |name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        let kilobytes: u64 = value.trim().strip_suffix(" kB")?.trim().parse().ok()?;
        kilobytes.checked_mul(1024)
    };
    Some(MemoryCounters { total: field("MemTotal")?, free: field("MemFree")?, available: field("MemAvailable")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_in_bytes() {
        let text =
            "MemTotal:         982124 kB\nMemFree:          950000 kB\nMemAvailable:          7 kB\nBuffers: 0 kB\n";
        let expected = MemoryCounters { total: 982_124 << 10, free: 950_000 << 10, available: 7 << 10 };
        assert_eq!(parse(text), Some(expected));
    }

    #[test]
    fn free_pages_of_processors_add_up() {
        let text = "Node 0, zone    DMA32\n  pages free     5\n  pagesets\n    cpu: 0\n              count:    63\n              \
                    high:     378\n    cpu: 1\n              count:    2\n              count: x\n";
        assert_eq!(held_back(text), 65 * 4096);
    }

    #[test]
    fn a_missing_or_broken_counter_is_told() {
        assert_eq!(parse("MemTotal: 1 kB\nMemFree: 1 kB\n"), None);
        assert_eq!(parse("MemTotal: 1 kB\nMemFree: x kB\nMemAvailable: 1 kB\n"), None);
        assert_eq!(parse("MemTotal: 1 kB\nMemFree: 99999999999999999999 kB\nMemAvailable: 1 kB\n"), None);
    }
}
