//! The list itself.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::message::Interface;

const MODULE: &[Interface] = &[Interface::Module];
const ALL: &[Interface] = Interface::ALL;

/// How a check lies in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Within one kernel: `check`.
    Within,
    /// Over a live update: `leave` before and `find` after it. The host moves the state machine.
    Spans,
    /// As [`Shape::Spans`], but the check moves the state machine itself, or leaves it alone on purpose.
    Drives,
}

macro_rules! checks {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $shape:ident, $faces:expr;)*) => {
        /// A named check.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Check {
            $($(#[$doc])* $variant,)*
        }

        impl Check {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Its name, as it stands in a scenario.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// How it lies in time.
            #[must_use]
            pub const fn shape(self) -> Shape {
                match self { $(Self::$variant => Shape::$shape,)* }
            }

            /// The interfaces that it can be asked of.
            #[must_use]
            pub const fn faces(self) -> &'static [Interface] {
                match self { $(Self::$variant => $faces,)* }
            }
        }
    };
}

// A line a check, grouped by the agent's files: `Variant = "name", Shape, faces;`
checks! {
    // guest-agent/src/checks/sight.rs
    /// Says what is not so, to prove that this is seen.
    SaysWhatIsNotSo = "says-what-is-not-so", Within, ALL;
    /// Never comes to an end, to prove that this is seen.
    NeverEnds = "never-ends", Within, ALL;
    /// Dies before it has said anything, to prove that this is seen.
    DiesMidway = "dies-midway", Within, ALL;
    /// Lacks something that no kernel has, to prove that this is no pass.
    DoesNotApply = "does-not-apply", Within, ALL;
    /// Finds other notes than it left, to prove that this is seen.
    FindsWhatWasNotLeft = "finds-what-was-not-left", Drives, ALL;

    // guest-agent/src/checks/state.rs
    /// Before anybody has done anything the state is NORMAL.
    StateIsNormalAtStart = "state-is-normal-at-start", Within, MODULE;
    /// The device lets nobody in without CAP_SYS_ADMIN.
    DeviceNeedsAPrivilege = "device-needs-a-privilege", Within, MODULE;

    // guest-agent/src/checks/close.rs
    /// What a closed device had registered is free to be registered by another one.
    CloseBeforePrepareForgets = "close-before-prepare-forgets", Within, MODULE;
    /// The same of a holder that is killed.
    CrashBeforePrepareForgets = "crash-before-prepare-forgets", Within, MODULE;

    // guest-agent/src/checks/crossing.rs
    /// What a holder preserved is the next kernel's, under the token and with the bytes that it had.
    MemoryCrosses = "memory-crosses", Spans, MODULE;
}

impl Check {
    /// Whether it goes wrong on purpose: what a `must-fail` scenario is made of.
    #[must_use]
    pub const fn is_wrong_on_purpose(self) -> bool {
        matches!(self, Self::SaysWhatIsNotSo | Self::NeverEnds | Self::DiesMidway | Self::FindsWhatWasNotLeft)
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No check has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no check `{0}`")]
pub struct UnknownCheck(pub String);

impl FromStr for Check {
    type Err = UnknownCheck;

    fn from_str(name: &str) -> Result<Self, UnknownCheck> {
        Self::ALL.iter().copied().find(|check| check.name() == name).ok_or_else(|| UnknownCheck(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_variants_and_unique() {
        for &check in Check::ALL {
            let mut kebab = String::new();
            for c in format!("{check:?}").chars() {
                if c.is_uppercase() && !kebab.is_empty() {
                    kebab.push('-');
                }
                kebab.extend(c.to_lowercase());
            }
            assert_eq!(check.name(), kebab);
            assert_eq!(check.name().parse(), Ok(check));
            assert!(!check.faces().is_empty(), "{check} can be asked of nothing");
        }
        assert_eq!("nonsense".parse::<Check>(), Err(UnknownCheck("nonsense".to_owned())));
    }
}
