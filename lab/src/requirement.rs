//! What a live update orchestrator is asked for, each requirement with an id.
//!
//! C: claimed in the mail of RFC v2. T: asked for in its thread. Scenarios name what they prove by these ids.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! requirements {
    ($($id:ident = $text:literal;)*) => {
        /// The id of a requirement.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum Requirement {
            $(#[doc = $text] $id,)*
        }

        impl Requirement {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$id),*];

            /// What is asked for, in a sentence.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$id => $text,)* }
            }
        }
    };
}

requirements! {
    C1 = "what a holder registered is forgotten when it closes or crashes before PREPARE";
    C2 = "what is not reclaimed by FINISH is cleaned up and its memory released";
    C3 = "dependencies are checked at PREPARE and FREEZE, and a missing one fails them";
    C4 = "a failure or CANCEL unwinds the dependencies safely";
    C5 = "a failed restore says so and can be tried again";
    C6 = "unpreserving and failing to prepare leak nothing";
    C7 = "FINISH survives what has no data or no handler";
    T1 = "descriptors without CAP_SYS_ADMIN; a token that no foreign domain can use";
    T2 = "not tied to devtmpfs: namespaced, delegated";
    T3 = "fsopen, fsconfig, fsmount: a private instance in no mountinfo";
    T4 = "the last descriptor closed or crashed cleans up, with no umount";
    T5 = "umount destroys whatever remains";
    T6 = "the same states and the same ioctls on a file system instance";
    T7 = "a service recovers its state from an instance bind-mounted into it";
    T8 = "linkat of a foreign descriptor into an instance is refused";
    T9 = "preserve_fd and state files are at par with the ioctls";
    T10 = "a control file in the file system takes the same ioctls";
    T11 = "an instance is found again after the reboot; its holder need not live";
    T12 = "a service sees its own instance only; the state machine is the machine's";
    T13 = "an agent hands out session descriptors, and may vet each";
    T14 = "one policy broker; keys and values";
    T15 = "no control in /sys";
    T16 = "a special file system, not sysfs";
    T17 = "fixed-width, size-first structures and packed numbers";
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// No requirement has this id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no requirement `{0}`: they are C1 to C7 and T1 to T17")]
pub struct UnknownRequirement(pub String);

impl FromStr for Requirement {
    type Err = UnknownRequirement;

    fn from_str(id: &str) -> Result<Self, UnknownRequirement> {
        let found = Self::ALL.iter().copied().find(|requirement| requirement.to_string() == id);
        found.ok_or_else(|| UnknownRequirement(id.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_back_and_none_is_missing() {
        let ids: Vec<String> = Requirement::ALL.iter().map(ToString::to_string).collect();
        let wanted: Vec<String> = (1..=7).map(|n| format!("C{n}")).chain((1..=17).map(|n| format!("T{n}"))).collect();
        assert_eq!(ids, wanted);
        for &requirement in Requirement::ALL {
            assert_eq!(requirement.to_string().parse(), Ok(requirement));
            assert_eq!(serde_json::to_string(&requirement).unwrap(), format!("\"{requirement}\""));
        }
        for wrong in ["C0", "C8", "T18", "c1", "", "T01"] {
            assert!(wrong.parse::<Requirement>().is_err(), "{wrong}");
        }
    }
}
