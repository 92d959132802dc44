//! How much of a guest this machine can take.

use std::num::NonZero;
use std::thread::available_parallelism;

/// Left to whoever else is on this machine: an eighth of what is free, and no less than this.
const RESERVE: u64 = 512 << 20;

/// What guests may take of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Processors that this process may use.
    pub processors: u32,
    /// Bytes of memory; `None` if it cannot be told.
    pub memory: Option<u64>,
}

impl Capacity {
    /// What is free now.
    #[must_use]
    pub fn here() -> Self {
        let processors = available_parallelism().map_or(1, NonZero::get);
        let memory = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| available(&text));
        Self { processors: u32::try_from(processors).unwrap_or(u32::MAX), memory: memory.map(without_reserve) }
    }
}

fn without_reserve(free: u64) -> u64 {
    free.saturating_sub(RESERVE.max(free / 8))
}

/// `MemAvailable` of `/proc/meminfo`, in bytes.
fn available(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_memory_is_what_linux_says_can_be_had() {
        let text = "MemTotal:       24689764 kB\nMemFree:          811028 kB\nMemAvailable:   23068672 kB\n";
        assert_eq!(available(text), Some(22 << 30));
        assert_eq!(available("MemTotal: 1 kB\n"), None);
        assert_eq!(available("MemAvailable:   lots kB\n"), None);
        assert_eq!(available("MemAvailable:   18446744073709551615 kB\n"), None);
    }

    #[test]
    fn some_of_it_is_left_to_others() {
        assert_eq!(without_reserve(1 << 30), 512 << 20);
        assert_eq!(without_reserve(16 << 30), 14 << 30);
        assert_eq!(without_reserve(5), 0);
    }

    #[test]
    fn this_machine_has_some() {
        let here = Capacity::here();
        assert!(here.processors > 0 && here.memory.is_some(), "{here:?}");
    }
}
