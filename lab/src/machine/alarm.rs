//! Which lines of a kernel's console mean that something is wrong.

use crate::result::FailureKind;

/// A line that ends the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// What it means.
    pub kind: FailureKind,
    /// The line, without its time stamp.
    pub line: String,
}

/// What the kernel prints, and what it means. The first that fits counts.
const SIGNS: &[(&str, FailureKind)] = &[
    ("Kernel panic - not syncing", FailureKind::KernelPanic),
    ("BUG: ", FailureKind::KernelComplaint),
    ("kernel BUG at ", FailureKind::KernelComplaint),
    ("WARNING: ", FailureKind::KernelComplaint),
    ("Oops: ", FailureKind::KernelComplaint),
    ("general protection fault", FailureKind::KernelComplaint),
    ("Unable to handle kernel", FailureKind::KernelComplaint),
    ("stack segment: ", FailureKind::KernelComplaint),
    ("double fault: ", FailureKind::KernelComplaint),
    ("UBSAN: ", FailureKind::KernelComplaint),
    ("rcu: INFO: rcu_", FailureKind::KernelComplaint),
    ("INFO: task ", FailureKind::KernelComplaint),
    ("INFO: trying to register non-static key", FailureKind::KernelComplaint),
    ("unreferenced object 0x", FailureKind::KernelComplaint),
];

/// Looks at one console line.
#[must_use]
pub fn scan(line: &str) -> Option<Alarm> {
    let text = message(line);
    let found = SIGNS.iter().find(|(sign, _)| text.starts_with(sign))?;
    Some(Alarm { kind: found.1, line: text.to_owned() })
}

/// A console line without the kernel's time stamp and caller: `[    0.123456][    T1] text`.
#[must_use]
pub fn message(line: &str) -> &str {
    let mut rest = line.trim_start();
    while let Some(bracketed) = rest.strip_prefix('[') {
        let Some((inside, after)) = bracketed.split_once(']') else { break };
        if !inside.chars().all(|c| c.is_ascii_digit() || " .TC".contains(c)) {
            break;
        }
        rest = after.trim_start();
    }
    rest
}

/// A line of the kernel's own log without its level: `<4>[    0.123456] text`.
#[must_use]
pub fn without_level(line: &str) -> &str {
    line.strip_prefix('<').and_then(|rest| rest.split_once('>')).map_or(line, |(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kernels_print_when_they_die() {
        for (line, kind) in [
            ("[    1.234567] Kernel panic - not syncing: VFS: Unable to mount root fs", FailureKind::KernelPanic),
            (
                "[    1.2][    T1] BUG: kernel NULL pointer dereference, address: 0000000000000000",
                FailureKind::KernelComplaint,
            ),
            (
                "[   12.000001] WARNING: kernel/liveupdate/luo_core.c:12 at luo_do+0x1/0x2, CPU#0: init/1",
                FailureKind::KernelComplaint,
            ),
            ("[    0.000000] WARNING: CPU: 0 PID: 0 at mm/page_alloc.c:1 x+0x1/0x2", FailureKind::KernelComplaint),
            ("[    3.1] Oops: Oops: 0000 [#1] SMP NOPTI", FailureKind::KernelComplaint),
            ("[   21.0] rcu: INFO: rcu_sched self-detected stall on CPU", FailureKind::KernelComplaint),
            ("[   21.0] kernel BUG at mm/memblock.c:5!", FailureKind::KernelComplaint),
        ] {
            assert_eq!(scan(line).map(|alarm| alarm.kind), Some(kind), "{line}");
        }
    }

    #[test]
    fn a_kernels_own_log_is_read_like_its_console() {
        let line = without_level("<4>[    9.1] WARNING: mm/page_alloc.c:1 at x+0x1/0x2");
        assert_eq!(scan(line).map(|alarm| alarm.kind), Some(FailureKind::KernelComplaint));
        assert_eq!(scan(without_level("<6>[    0.0] KHO: exec from: 7.3.4 (count 1)")), None);
        assert_eq!(without_level("<no level"), "<no level");
    }

    #[test]
    fn what_kernels_print_when_they_are_well() {
        for line in [
            "[    0.000000] Linux version 7.3.4 (builder@lab) (gcc 12) #1 SMP PREEMPT",
            "[    0.0] KHO: exec from: 7.3.4 (count 1)",
            "[    0.0] Spectre V2 : WARNING: Unprivileged eBPF is enabled",
            "[    0.0] debug: panic_on_oops: Kernel panic follows BUG: or Oops",
            "",
            "[",
            "[ 1.0",
        ] {
            assert_eq!(scan(line), None, "{line}");
        }
    }
}
