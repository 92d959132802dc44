//! What became of a hop's payload, decided from how far the new kernel came, what it said, and what was found.

use rustix::io::Errno;

use crate::machine::alarm;
use crate::result::{Failure, FailureKind, HopOutcome, Proof};

/// Most lines that show an outcome.
const EVIDENCE: usize = 12;

/// How far a new kernel came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Arrival {
    /// No agent has answered.
    Dark,
    /// Its agent has answered.
    Awake,
    /// The interface is open.
    Open,
    /// Something that was handed over was found to be what it must be.
    Found,
}

/// What is known of a hop when the run is over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known<'a> {
    /// Whether anything was handed over.
    pub(super) hands_over: bool,
    /// How far it came.
    pub(super) arrival: Arrival,
    /// What shows that it happened, once an agent has answered.
    pub(super) proof: Option<&'a Proof>,
    /// What ended the run in this hop.
    pub(super) failure: Option<&'a Failure>,
    /// The new kernel's log, as far as it is known.
    pub(super) log: &'a str,
}

/// What became of it, and the lines that show it; `None` where that was not found out.
pub(super) fn classify(known: Known<'_>) -> (Option<HopOutcome>, Vec<String>) {
    use FailureKind::{
        CheckFailed, CheckUnfinished, GuestDied, Hung, KernelComplaint, KernelPanic, NotFound, PageCorrupted,
        PageMoved, PagesSwapped, Refused, TimedOut, UnexpectedlyFound, UpdateNotProven, WorkloadBroken, WrongSize,
    };
    if !known.hands_over {
        return (None, Vec::new());
    }
    let Some(failure) = known.failure else {
        return ((known.arrival == Arrival::Found).then_some(HopOutcome::Preserved), Vec::new());
    };
    let shown = failure.evidence.clone();
    let without_handover = |log: &str| {
        let lines = lines(log, is_refusal);
        let outcome = if lines.is_empty() { HopOutcome::LostSilently } else { HopOutcome::Refused };
        (Some(outcome), lines)
    };
    match failure.kind {
        KernelPanic => (Some(HopOutcome::Panicked), shown),
        KernelComplaint if is_fatal(&failure.message) || shown.iter().any(|line| is_fatal(alarm::message(line))) => {
            (Some(HopOutcome::Panicked), shown)
        }
        KernelComplaint | GuestDied | Hung | TimedOut if known.arrival == Arrival::Dark => {
            (Some(HopOutcome::Died), shown)
        }
        GuestDied | Hung => (Some(HopOutcome::Died), shown),
        UpdateNotProven => match known.proof.filter(|proof| proof.is_new_kernel()) {
            Some(proof) if proof.said_handover => (Some(HopOutcome::Ignored), lines(known.log, is_complaint)),
            Some(_) => without_handover(known.log),
            None => (None, shown),
        },
        PageCorrupted | PagesSwapped | PageMoved | WrongSize | WorkloadBroken => {
            let lines = lines(known.log, is_complaint);
            (Some(HopOutcome::Altered), if lines.is_empty() { shown } else { lines })
        }
        Refused if known.arrival == Arrival::Awake => match failure.errno.map(Errno::from_raw_os_error) {
            // There is no such interface, and so nobody who could want the payload.
            Some(Errno::NOENT | Errno::NODEV) | None => (Some(HopOutcome::Ignored), lines(known.log, is_complaint)),
            Some(_) => (Some(HopOutcome::Unopenable), lines(known.log, is_complaint)),
        },
        NotFound | Refused | CheckFailed | CheckUnfinished if known.arrival >= Arrival::Open => {
            let lines = lines(known.log, is_complaint);
            let absent = failure.kind == NotFound || failure.errno.map(Errno::from_raw_os_error) == Some(Errno::NOENT);
            match (absent, lines.is_empty()) {
                (true, true) => (Some(HopOutcome::LostSilently), lines),
                (true, false) => (Some(HopOutcome::Ignored), lines),
                (false, _) if failure.kind != Refused => (None, lines),
                // A system call failed; or none did, and the agent would not take what it was given.
                (false, _) if failure.errno.is_some() => (Some(HopOutcome::Unopenable), lines),
                (false, _) => (Some(HopOutcome::Altered), shown),
            }
        }
        UnexpectedlyFound => (Some(HopOutcome::Preserved), shown),
        _ => (None, shown),
    }
}

/// Whether a kernel does not go on after this line. An oops is a panic for all of ours: they are told `oops=panic`.
fn is_fatal(text: &str) -> bool {
    const ENDS: [&str; 6] = [
        "Kernel panic - not syncing",
        "BUG: unable to handle ",
        "BUG: kernel NULL pointer dereference",
        "Oops: ",
        "general protection fault",
        "kernel BUG at ",
    ];
    ENDS.iter().any(|end| text.starts_with(end))
}

/// The log's lines that are of a kind, without their time stamps.
fn lines(log: &str, is: fn(u8, &str) -> bool) -> Vec<String> {
    let of_kernel = log.lines().filter_map(|line| {
        let (level, rest) = line.strip_prefix('<')?.split_once('>')?;
        Some((level.parse::<u8>().ok()?, alarm::message(rest)))
    });
    of_kernel.filter(|&(level, text)| is(level, text)).map(|(_, text)| text.to_owned()).take(EVIDENCE).collect()
}

/// What Kexec HandOver says when it does not take what it was given.
fn is_refusal(level: u8, text: &str) -> bool {
    level < 8 && (text.starts_with("KHO: setup: ") || text.starts_with("KHO: disabling KHO revival"))
}

/// What an orchestrator says when it cannot use what it was given: a warning or worse.
fn is_complaint(level: u8, text: &str) -> bool {
    const SPEAKERS: [&str; 7] =
        ["KHO: ", "luo: ", "memfd_luo: ", "liveupdate: ", "liveupdate_lab: ", "kho_block: ", "plain_kho: "];
    level <= 4 && SPEAKERS.iter().any(|speaker| text.starts_with(speaker))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSAL: &str = "<6>[    0.000000] Linux version 7.1.13\n<4>[    0.000000] KHO: setup: handover FDT (0x7fe0) is \
                           incompatible with 'kho-v3': -1\n<4>[    0.000000] KHO: disabling KHO revival\n";

    fn known<'a>(arrival: Arrival, failure: Option<&'a Failure>, log: &'a str) -> Known<'a> {
        Known { hands_over: true, arrival, proof: None, failure, log }
    }

    fn failed(kind: FailureKind, errno: Option<Errno>) -> Failure {
        Failure { errno: errno.map(Errno::raw_os_error), ..Failure::new(kind, String::new()) }
    }

    fn outcome(known: Known<'_>) -> Option<HopOutcome> {
        classify(known).0
    }

    #[test]
    fn a_hop_is_preserved_only_if_something_was_found() {
        assert_eq!(outcome(known(Arrival::Found, None, "")), Some(HopOutcome::Preserved));
        assert_eq!(outcome(known(Arrival::Open, None, "")), None);
        assert_eq!(outcome(Known { hands_over: false, ..known(Arrival::Found, None, "") }), None);
    }

    #[test]
    fn a_cold_boot_is_refused_only_if_the_kernel_says_so() {
        let failure = failed(FailureKind::UpdateNotProven, None);
        let cold = Proof {
            from_release: "7.3.4".to_owned(),
            to_release: "7.1.13".to_owned(),
            to_version: "Linux version 7.1.13".to_owned(),
            command_line_matches: true,
            from_boot_id: "a".to_owned(),
            to_boot_id: "b".to_owned(),
            said_handover: false,
            said_previous_release: None,
            kexec_count: None,
        };
        let of =
            |proof: Proof, log| classify(Known { proof: Some(&proof), ..known(Arrival::Awake, Some(&failure), log) });
        let (outcome, lines) = of(cold.clone(), REFUSAL);
        assert_eq!(outcome, Some(HopOutcome::Refused));
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert_eq!(of(cold.clone(), "").0, Some(HopOutcome::LostSilently));
        // A command line, and a process, may hold the same words.
        let forged = "<12>[    1.000000] KHO: disabling KHO revival\n[ 1.0] KHO: disabling KHO revival\n";
        assert_eq!(of(cold.clone(), forged).0, Some(HopOutcome::LostSilently));
        // It found what was handed over and makes nothing of it.
        assert_eq!(of(Proof { said_handover: true, ..cold.clone() }, "").0, Some(HopOutcome::Ignored));
        // No kexec, or not into what was loaded.
        assert_eq!(of(Proof { to_boot_id: "a".to_owned(), ..cold.clone() }, "").0, None);
        assert_eq!(of(Proof { command_line_matches: false, ..cold }, "").0, None);
    }

    #[test]
    fn deaths_are_told_apart() {
        let mut warned = failed(FailureKind::KernelComplaint, None);
        assert_eq!(outcome(known(Arrival::Dark, Some(&warned), "")), Some(HopOutcome::Died));
        assert_eq!(outcome(known(Arrival::Open, Some(&warned), "")), None);
        let oops =
            Failure { message: "BUG: unable to handle page fault for address: ff89".to_owned(), ..warned.clone() };
        assert_eq!(outcome(known(Arrival::Open, Some(&oops), "")), Some(HopOutcome::Panicked));
        warned.evidence.push("[    0.1] Kernel panic - not syncing: Attempted to kill the idle task!".to_owned());
        assert_eq!(outcome(known(Arrival::Dark, Some(&warned), "")), Some(HopOutcome::Panicked));
        for (kind, expected) in [
            (FailureKind::KernelPanic, HopOutcome::Panicked),
            (FailureKind::GuestDied, HopOutcome::Died),
            (FailureKind::Hung, HopOutcome::Died),
        ] {
            assert_eq!(outcome(known(Arrival::Dark, Some(&failed(kind, None)), "")), Some(expected), "{kind:?}");
        }
    }

    #[test]
    fn what_cannot_be_opened_is_not_what_is_not_there() {
        let at_open = |errno| outcome(known(Arrival::Awake, Some(&failed(FailureKind::Refused, errno)), ""));
        assert_eq!(at_open(Some(Errno::IO)), Some(HopOutcome::Unopenable));
        assert_eq!(at_open(Some(Errno::NOENT)), Some(HopOutcome::Ignored));
        assert_eq!(at_open(None), Some(HopOutcome::Ignored), "no module in the initramfs");
    }

    #[test]
    fn a_loss_is_silent_unless_somebody_speaks() {
        let lost = failed(FailureKind::NotFound, None);
        assert_eq!(
            outcome(known(Arrival::Open, Some(&lost), "<6>[ 0.1] luo: hello\n")),
            Some(HopOutcome::LostSilently)
        );
        let said = "<4>[ 0.1] luo: No registered handler for compatible 'memfd-v9'\n";
        assert_eq!(outcome(known(Arrival::Open, Some(&lost), said)), Some(HopOutcome::Ignored));
        let no_heartbeat = failed(FailureKind::Refused, Some(Errno::NOENT));
        assert_eq!(outcome(known(Arrival::Open, Some(&no_heartbeat), "")), Some(HopOutcome::LostSilently));
        let other = failed(FailureKind::Refused, Some(Errno::BUSY));
        assert_eq!(outcome(known(Arrival::Open, Some(&other), "")), Some(HopOutcome::Unopenable));
        let heartbeat_of_no_size = failed(FailureKind::Refused, None);
        assert_eq!(outcome(known(Arrival::Open, Some(&heartbeat_of_no_size), "")), Some(HopOutcome::Altered));
        let check = failed(FailureKind::CheckFailed, None);
        assert_eq!(outcome(known(Arrival::Open, Some(&check), "")), None);
        let altered = failed(FailureKind::PagesSwapped, None);
        assert_eq!(outcome(known(Arrival::Open, Some(&altered), "")), Some(HopOutcome::Altered));
    }
}
