// SPDX-License-Identifier: GPL-2.0

//! The machine-wide state machine, as one table.
//!
//! | event      | NORMAL      | PREPARED   | FROZEN   | UPDATED   |
//! |------------|-------------|------------|----------|-----------|
//! | Register   | stays       | EBUSY      | EBUSY    | stays     |
//! | Unregister | stays       | EBUSY      | EBUSY    | stays     |
//! | Restore    | EBUSY       | EBUSY      | EBUSY    | stays     |
//! | Prepare    | -> PREPARED | EEXIST     | EEXIST   | EINVAL    |
//! | Freeze     | EINVAL      | -> FROZEN  | EINVAL   | EINVAL    |
//! | Cancel     | ENOENT      | -> NORMAL  | -> NORMAL| ENOENT    |
//! | Finish     | EINVAL      | EINVAL     | EINVAL   | -> NORMAL |
//! | Close      | forgets     | stays      | stays    | forgets   |
//! | Restart    | stays       | -> FROZEN  | stays    | stays     |
//! | Unload     | stays       | EBUSY      | EBUSY    | EBUSY     |
//! | Handover   | -> UPDATED  | EINVAL     | EINVAL   | EINVAL    |
//!
//! A Prepare, Freeze or Restart whose work fails takes the machine to NORMAL, all of it undone:
//! the next attempt starts afresh. Creating a memory file and asking for the state are possible
//! in all of them.

use crate::store::NoMemory;

/// The four states, with the numbers that user space sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum State {
    /// No update is under way.
    Normal = 0,
    /// What is registered is preserved; the workload still runs.
    Prepared = 1,
    /// The description is sealed; only a kexec or a cancel follows.
    Frozen = 2,
    /// This kernel was handed objects over and has not finished with them.
    Updated = 3,
}

impl State {
    /// All states, in the order of their numbers.
    pub const ALL: [State; 4] = [
        State::Normal,
        State::Prepared,
        State::Frozen,
        State::Updated,
    ];

    /// The word that logs and sysfs use.
    pub const fn name(self) -> &'static str {
        match self {
            State::Normal => "normal",
            State::Prepared => "prepared",
            State::Frozen => "frozen",
            State::Updated => "updated",
        }
    }

    /// Whether the module must stay loaded.
    pub const fn pins_module(self) -> bool {
        matches!(decide(self, Event::Unload), Verdict::Refuse(_))
    }
}

/// Everything that the state has a say in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// FD_PRESERVE, SESSION_CREATE, DEPEND, a new instance, a subsystem's registration.
    Register,
    /// FD_UNPRESERVE, the end of a subsystem's registration.
    Unregister,
    /// FD_RESTORE, SESSION_RETRIEVE, an instance of the previous kernel, a subsystem's data.
    Restore,
    /// PREPARE.
    Prepare,
    /// FREEZE.
    Freeze,
    /// CANCEL.
    Cancel,
    /// FINISH.
    Finish,
    /// An open device is closed, its process killed perhaps.
    Close,
    /// The machine restarts; a kexec is one such restart. It cannot be refused.
    Restart,
    /// The module is to be unloaded.
    Unload,
    /// At load: the previous kernel left a valid description.
    Handover,
}

impl Event {
    /// All events.
    pub const ALL: [Event; 11] = [
        Event::Register,
        Event::Unregister,
        Event::Restore,
        Event::Prepare,
        Event::Freeze,
        Event::Cancel,
        Event::Finish,
        Event::Close,
        Event::Restart,
        Event::Unload,
        Event::Handover,
    ];
}

/// Why an event is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// EBUSY.
    Busy,
    /// EEXIST.
    Exists,
    /// EINVAL.
    Invalid,
    /// ENOENT.
    NotFound,
    /// ELOOP.
    Loop,
    /// ENOMEM.
    NoMemory,
    /// EACCES.
    Denied,
}

impl From<NoMemory> for Refusal {
    fn from(_: NoMemory) -> Self {
        Refusal::NoMemory
    }
}

/// What an event does in a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The event takes the machine to this state, if its work succeeds.
    Move(State),
    /// The event is carried out and the state stays.
    Stay,
    /// As `Stay`, and what the closing session registered is dropped.
    Forget,
    /// The event is refused and nothing changes.
    Refuse(Refusal),
}

/// The table above.
pub const fn decide(state: State, event: Event) -> Verdict {
    use Refusal::{Busy, Exists, Invalid, NotFound};
    use State::{Frozen, Normal, Prepared, Updated};
    use Verdict::{Forget, Move, Refuse, Stay};

    match (event, state) {
        (Event::Register | Event::Unregister, Normal | Updated) => Stay,
        (Event::Register | Event::Unregister, Prepared | Frozen) => Refuse(Busy),

        (Event::Restore, Updated) => Stay,
        (Event::Restore, Normal | Prepared | Frozen) => Refuse(Busy),

        (Event::Prepare, Normal) => Move(Prepared),
        (Event::Prepare, Prepared | Frozen) => Refuse(Exists),
        (Event::Prepare, Updated) => Refuse(Invalid),

        (Event::Freeze, Prepared) => Move(Frozen),
        (Event::Freeze, Normal | Frozen | Updated) => Refuse(Invalid),

        (Event::Cancel, Prepared | Frozen) => Move(Normal),
        (Event::Cancel, Normal | Updated) => Refuse(NotFound),

        (Event::Finish, Updated) => Move(Normal),
        (Event::Finish, Normal | Prepared | Frozen) => Refuse(Invalid),

        (Event::Close, Normal | Updated) => Forget,
        (Event::Close, Prepared | Frozen) => Stay,

        (Event::Restart, Prepared) => Move(Frozen),
        (Event::Restart, Normal | Frozen | Updated) => Stay,

        (Event::Unload, Normal) => Stay,
        (Event::Unload, Prepared | Frozen | Updated) => Refuse(Busy),

        (Event::Handover, Normal) => Move(Updated),
        (Event::Handover, Prepared | Frozen | Updated) => Refuse(Invalid),
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use crate::testing::{cases, length};
    use proptest::prelude::*;
    use std::{string::String, vec::Vec};

    /// The documented table, read back from this file's own words.
    fn documented(state: State, event: Event) -> Verdict {
        let name = std::format!("{event:?}");
        let row: Vec<String> = include_str!("state.rs")
            .lines()
            .take_while(|line| !line.starts_with("use "))
            .filter_map(|line| line.strip_prefix("//! | "))
            .map(|line| line.split('|').map(|cell| cell.trim().into()).collect())
            .find(|cells: &Vec<String>| cells[0] == name)
            .expect("a row for every event");
        match row[state as usize + 1].as_str() {
            "stays" => Verdict::Stay,
            "forgets" => Verdict::Forget,
            "EBUSY" => Verdict::Refuse(Refusal::Busy),
            "EEXIST" => Verdict::Refuse(Refusal::Exists),
            "EINVAL" => Verdict::Refuse(Refusal::Invalid),
            "ENOENT" => Verdict::Refuse(Refusal::NotFound),
            "-> NORMAL" => Verdict::Move(State::Normal),
            "-> PREPARED" => Verdict::Move(State::Prepared),
            "-> FROZEN" => Verdict::Move(State::Frozen),
            "-> UPDATED" => Verdict::Move(State::Updated),
            other => panic!("what does `{other}` mean?"),
        }
    }

    #[test]
    fn the_code_is_the_documented_table() {
        for state in State::ALL {
            for event in Event::ALL {
                assert_eq!(
                    decide(state, event),
                    documented(state, event),
                    "{event:?} in {state:?}"
                );
            }
        }
    }

    #[test]
    fn numbers_are_those_of_the_interface() {
        for (number, state) in State::ALL.into_iter().enumerate() {
            assert_eq!(state as usize, number);
        }
    }

    proptest! {
        #![proptest_config(cases(256))]

        /// A model that knows only two facts: is something preserved, is something inherited.
        #[test]
        fn random_events_keep_the_invariants(steps in proptest::collection::vec((0..Event::ALL.len(), any::<bool>()), 0..length(200))) {
            let mut state = State::Normal;
            let (mut preserved, mut sealed, mut inherited) = (false, false, false);
            for (event, works) in steps {
                let event = Event::ALL[event];
                let verdict = decide(state, event);
                if let (Verdict::Move(next), true) = (verdict, works) {
                    match event {
                        Event::Prepare => preserved = true,
                        Event::Freeze | Event::Restart => sealed = true,
                        Event::Cancel => (preserved, sealed) = (false, false),
                        Event::Handover => inherited = true,
                        Event::Finish => inherited = false,
                        other => panic!("{other:?} moved the state"),
                    }
                    prop_assert_ne!(next, state);
                    state = next;
                } else if let (Verdict::Move(_), Event::Prepare | Event::Freeze | Event::Restart) = (verdict, event) {
                    state = State::Normal;
                    (preserved, sealed) = (false, false);
                }
                prop_assert_eq!(preserved, matches!(state, State::Prepared | State::Frozen));
                prop_assert_eq!(sealed, state == State::Frozen);
                prop_assert_eq!(inherited, state == State::Updated);
                prop_assert_eq!(state.pins_module(), preserved || inherited);
                prop_assert!(!(verdict == Verdict::Forget && preserved));
            }
        }

        /// From anywhere there is a way back to NORMAL: the machine is never wedged (C4).
        #[test]
        fn normal_is_always_in_reach(state in 0..State::ALL.len()) {
            let state = State::ALL[state];
            let back = [Event::Cancel, Event::Finish].iter().any(|event| decide(state, *event) == Verdict::Move(State::Normal));
            prop_assert!(back || state == State::Normal);
        }
    }
}
