//! The named checks: what the agent can find out by itself, in a process of its own.
//!
//! The list stands here so that the host can refuse a name before anything is built, and so that neither
//! side can have a check that the other one lacks. What each of them does is the agent's.

mod define;
mod list;
mod name;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::message::{Interface, Span};
pub use define::Shape;
pub use list::Check;
pub use name::UnknownCheck;

/// Most bytes that a check may leave for the next kernel's half of it.
pub const MAX_NOTES: usize = 4096;

/// Most characters of one text in a [`Verdict`].
pub const MAX_TEXT: usize = 1000;

/// Most figures that a check may bring.
pub const MAX_FIGURES: usize = 256;

/// What [`Check::PlainPayloadCrosses`] says that it found where nothing was handed over.
pub const NOTHING: &str = "nothing that was handed over";

/// What one half of a check leaves for the other: opaque to the host, which carries it over the kexec.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notes(Vec<u8>);

/// Why notes are none.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotesError {
    /// Too many bytes.
    #[error("notes of {0} bytes, at most {MAX_NOTES} are carried")]
    TooLong(usize),
    /// Other values than those asked for.
    #[error("the notes hold other values than those asked for")]
    Shape,
}

impl Notes {
    /// Writes values down.
    ///
    /// # Errors
    /// They take more than [`MAX_NOTES`] bytes.
    pub fn of<T: Serialize>(values: &T) -> Result<Self, NotesError> {
        let bytes = postcard::to_allocvec(values).map_err(|_| NotesError::Shape)?;
        let notes = Self(bytes);
        notes.bounded()?;
        Ok(notes)
    }

    /// Reads values back, all of them.
    ///
    /// # Errors
    /// The notes hold others, or more.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, NotesError> {
        match postcard::take_from_bytes(&self.0) {
            Ok((values, [])) => Ok(values),
            _ => Err(NotesError::Shape),
        }
    }

    /// Whoever takes notes from the other side asks this first.
    ///
    /// # Errors
    /// They are longer than [`MAX_NOTES`].
    pub fn bounded(&self) -> Result<(), NotesError> {
        if self.0.len() > MAX_NOTES { Err(NotesError::TooLong(self.0.len())) } else { Ok(()) }
    }
}

/// What is asked of a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Which one.
    pub check: Check,
    /// Of which interface.
    pub interface: Interface,
    /// Which part of it.
    pub part: Part,
    /// Milliseconds after which it is killed.
    pub limit_ms: u32,
    /// For a check that throws dice.
    pub dice: Dice,
}

/// What a check that throws dice ([`Check::throws_dice`]) does it with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dice {
    /// What comes of the same seed is the same.
    pub seed: u32,
    /// How often; as often as the check sees fit if `None`.
    pub rounds: Option<u32>,
}

/// A part of a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    /// All of it.
    Within,
    /// What comes before the update.
    Leave,
    /// What comes after it.
    Find {
        /// As [`Verdict::Left`] had them.
        notes: Notes,
    },
}

/// What a check found out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// All is as it must be.
    Held,
    /// All is as it must be so far.
    Left {
        /// For the other half.
        notes: Notes,
        /// Whether the process that left them lives on until the kexec.
        stays: bool,
    },
    /// Something is not as it must be.
    Contradicted {
        /// What had to be so.
        expected: String,
        /// What was.
        came: String,
    },
    /// This kernel lacks what the check is about.
    NotApplicable {
        /// What it lacks.
        reason: String,
    },
    /// It came to no end: killed when its time was up, or dead before.
    Unfinished {
        /// How it went.
        how: String,
    },
}

/// A stretch of guest time that a check has measured. Several may bear one name: measured anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figure {
    /// What was done in it.
    pub what: String,
    /// When.
    pub span: Span,
}

/// Cuts a text to what a [`Verdict`] may hold, without what a terminal would obey.
#[must_use]
pub fn cut(text: &str) -> String {
    text.chars().take(MAX_TEXT).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn notes_have_a_bound_and_read_back_whole() {
        let most = vec![7u8; MAX_NOTES - 2];
        let notes = Notes::of(&most).unwrap();
        assert_eq!(notes.read::<Vec<u8>>(), Ok(most));
        assert_eq!(notes.read::<u8>(), Err(NotesError::Shape), "bytes left over");
        assert_eq!(Notes::of(&vec![7u8; MAX_NOTES]), Err(NotesError::TooLong(MAX_NOTES + 2)));
        assert_eq!(Notes(vec![0; MAX_NOTES]).bounded(), Ok(()));
        assert_eq!(Notes(vec![0; MAX_NOTES + 1]).bounded(), Err(NotesError::TooLong(MAX_NOTES + 1)));
        assert_eq!(Notes::default().read::<u64>(), Err(NotesError::Shape));
    }

    #[test]
    fn texts_are_cut_and_harmless() {
        assert_eq!(cut("a\u{1b}[31m\nb"), "a [31m b");
        assert_eq!(cut(&"é".repeat(MAX_TEXT + 1)).chars().count(), MAX_TEXT);
    }

    proptest! {
        #[test]
        fn what_is_noted_is_read(token: u64, text in "\\PC{0,200}", bytes in prop::collection::vec(any::<u8>(), 0..1000)) {
            let values = (token, text, bytes);
            prop_assert_eq!(Notes::of(&values).unwrap().read(), Ok(values));
        }

        #[test]
        fn hostile_notes_never_panic(bytes: Vec<u8>) {
            let _ = Notes(bytes).read::<(u64, String, Vec<u8>)>();
        }
    }
}
