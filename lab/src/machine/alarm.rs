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
    // Rust says where before it dies of it.
    ("rust_kernel: panicked at ", FailureKind::KernelComplaint),
    ("UBSAN: ", FailureKind::KernelComplaint),
    // Lockdep's word on waiting, the slab allocator's `BUG kmalloc-64 (Not tainted): Redzone overwritten`, the watchdog's.
    ("[ BUG: ", FailureKind::KernelComplaint),
    ("BUG ", FailureKind::KernelComplaint),
    ("watchdog: BUG: ", FailureKind::KernelComplaint),
    // What was hit comes before the `BUG` or `WARNING`, and says more.
    ("list_add corruption", FailureKind::KernelComplaint),
    ("list_del corruption", FailureKind::KernelComplaint),
    ("page dumped because: ", FailureKind::KernelComplaint),
    ("pagealloc: memory corruption", FailureKind::KernelComplaint),
    ("pagealloc: single bit error", FailureKind::KernelComplaint),
    ("rcu: INFO: rcu_", FailureKind::KernelComplaint),
    ("INFO: task ", FailureKind::KernelComplaint),
    ("INFO: trying to register non-static key", FailureKind::KernelComplaint),
    ("INFO: lockdep is turned off", FailureKind::KernelComplaint),
    // Leaks; and the detector's own end, after which it would find none.
    ("unreferenced object", FailureKind::KernelComplaint),
    ("kmemleak: unreferenced object", FailureKind::KernelComplaint),
    ("kmemleak: Kernel memory leak detector disabled", FailureKind::KernelComplaint),
    // A test inside the kernel, in KTAP.
    ("not ok ", FailureKind::KernelComplaint),
];

/// What stands in the middle of a line that begins with a name or a number of its own.
const WITHIN: &[(&str, &str)] = &[
    ("kmemleak: ", " new suspected memory leaks"),
    ("ODEBUG: ", " (active state "),
    ("# ", ": EXPECTATION FAILED at "),
    ("# ", ": ASSERTION FAILED at "),
];

/// Looks at one console line.
#[must_use]
pub fn scan(line: &str) -> Option<Alarm> {
    let text = message(line);
    // KUnit's tests that do not apply are `ok`; other writers of TAP say `not ok` of those too.
    if text.starts_with("not ok ") && text.contains("# SKIP") {
        return None;
    }
    let kind = SIGNS.iter().find(|(sign, _)| text.starts_with(sign)).map(|&(_, kind)| kind).or_else(|| {
        let fits = |&&(begin, within): &&(&str, &str)| text.starts_with(begin) && text.contains(within);
        WITHIN.iter().find(fits).map(|_| FailureKind::KernelComplaint)
    })?;
    Some(Alarm { kind, line: text.to_owned() })
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

    /// Lines as 7.3 prints them, and some from the mouths of those who write such kernels.
    #[test]
    fn what_kernels_print_that_watch_themselves() {
        for line in [
            "[    2.1] WARNING: possible circular locking dependency detected",
            "[    2.1] WARNING: possible recursive locking detected",
            "[    2.1] WARNING: inconsistent lock state",
            "[    2.1] WARNING: suspicious RCU usage",
            "[    2.1] WARNING: lock held when returning to user space!",
            "[    2.1] [ BUG: Invalid wait context ]",
            "[    2.1][   T41] [ BUG: Invalid wait context ]",
            "[    2.1] BUG: MAX_LOCKDEP_ENTRIES too low!",
            "[    2.1] INFO: lockdep is turned off.",
            "[    2.1] BUG: sleeping function called from invalid context at kernel/locking/mutex.c:591",
            "[    2.1] BUG: scheduling while atomic: init/1/0x00000002",
            "[    2.1] BUG: using smp_processor_id() in preemptible [00000000] code: init/1",
            "[    2.1] BUG: KASAN: slab-use-after-free in lu_put+0x1/0x2 [liveupdate_lab]",
            "[    2.1] BUG kmalloc-64 (Tainted: G           O     ): Right Redzone overwritten",
            "[    2.1] BUG: Bad page state in process init  pfn:01234",
            "[    2.1] page dumped because: VM_BUG_ON_FOLIO(!folio_test_locked(folio))",
            "[    2.1] pagealloc: memory corruption",
            "[    2.1] list_add corruption. prev is NULL.",
            "[    2.1] list_del corruption, ffff888003456780->next is LIST_POISON1 (dead000000000100)",
            "[    2.1] ODEBUG: free active (active state 0) object: ffff888003456780 object type: timer_list hint: x",
            "[   26.0] watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [init:1]",
            "[    2.1] UBSAN: array-index-out-of-bounds in kmod/shim/dir.c:12:3",
            "[    2.1] rust_kernel: panicked at kmod/src/machine.rs:12:9:",
            "[    9.1] kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)",
            "[    9.1] kmemleak: unreferenced object 0xffff888003456780 (size 64):",
            "unreferenced object 0xffff888003456780 (size 64):",
            "unreferenced object (percpu) 0x1234567 (size 64):",
            "[    9.1] kmemleak: Kernel memory leak detector disabled",
            "[    3.0] not ok 1 liveupdate_lab",
            "[    3.0]     not ok 2 a_name_is_checked",
            "[    3.0]     # a_name_is_checked: EXPECTATION FAILED at kmod/shim/tests.c:12",
            "[    3.0]     # a_name_is_checked: ASSERTION FAILED at kmod/shim/tests.c:14",
        ] {
            assert_eq!(scan(line).map(|alarm| alarm.kind), Some(FailureKind::KernelComplaint), "{line}");
        }
    }

    #[test]
    fn what_kernels_print_that_watch_themselves_and_find_nothing() {
        for line in [
            "[    0.0] Lock dependency validator: Copyright (c) 2006 Red Hat, Inc., Ingo Molnar",
            "[    0.0] ... MAX_LOCKDEP_ENTRIES:     32768",
            "[    0.0] ODEBUG: selftest passed",
            "[    0.0] ODEBUG: 12 of 34 active objects replaced",
            "[    0.0] kmemleak: Kernel memory leak detector initialized (mem pool available: 15000)",
            "[    0.0] page_owner is disabled",
            "[    0.0] **   NOTICE NOTICE NOTICE NOTICE NOTICE NOTICE NOTICE   **",
            "[    1.0] KTAP version 1",
            "[    1.0] 1..0",
            "[    1.0]     ok 1 a_name_is_checked",
            "[    1.0]     ok 2 needs_two_processors # SKIP there is one",
            "[    1.0]     not ok 2 needs_two_processors # SKIP there is one",
            "[    1.0] # liveupdate_lab: pass:2 fail:0 skip:0 total:2",
            "[    1.0] FAULT_INJECTION: forcing a failure.",
            "[    1.0] name failslab, interval 1, probability 100, space 0, times 1",
            "[    1.0] the file is not ok by itself",
        ] {
            assert_eq!(scan(line), None, "{line}");
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
