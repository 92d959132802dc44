// SPDX-License-Identifier: GPL-2.0

//! Names of sessions, instances and subsystems, and what is said about them.

use core::fmt;

/// The longest name in bytes.
pub const MAX: usize = 63;

/// A name: 1 to 63 bytes, none of them a slash, a control character or beyond ASCII.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    bytes: [u8; MAX],
    len: u8,
}

impl Name {
    /// Checks it.
    pub fn new(text: &[u8]) -> Option<Self> {
        let mut bytes = [0; MAX];
        let sound = |byte: &u8| byte.is_ascii_graphic() && *byte != b'/';
        if text.is_empty() || !text.iter().all(sound) {
            return None;
        }
        bytes.get_mut(..text.len())?.copy_from_slice(text);
        Some(Self {
            bytes,
            len: u8::try_from(text.len()).ok()?,
        })
    }

    /// From a field that a zero ends.
    pub fn from_terminated(field: &[u8]) -> Option<Self> {
        let end = field.iter().position(|byte| *byte == 0)?;
        Self::new(field.get(..end)?)
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or(&[])
    }

    /// The same, as text.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(self.as_bytes()).unwrap_or("")
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The longest reason in bytes.
pub const REASON_MAX: usize = 240;

/// In words, why something was refused. What is too long is cut.
#[derive(Clone, Copy)]
pub struct Reason {
    bytes: [u8; REASON_MAX],
    len: usize,
}

impl Reason {
    /// Nothing to say.
    pub const fn new() -> Self {
        Self {
            bytes: [0; REASON_MAX],
            len: 0,
        }
    }

    /// These words instead of what was said before.
    pub fn set(&mut self, words: fmt::Arguments<'_>) {
        self.len = 0;
        // Writing here does not fail.
        _ = fmt::Write::write_fmt(self, words);
    }

    /// The words.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }

    /// The same, as text.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(self.as_bytes()).unwrap_or("")
    }
}

impl Default for Reason {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Write for Reason {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            let Some(place) = self.bytes.get_mut(self.len) else {
                break;
            };
            // Cut in the middle of a character, it would not be text any more.
            *place = if byte.is_ascii() { byte } else { b'?' };
            self.len = self.len.saturating_add(1);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;

    #[test]
    fn names_are_checked() {
        for good in ["a", "db-1.main", &"x".repeat(MAX)] {
            assert_eq!(
                Name::new(good.as_bytes()).unwrap().as_bytes(),
                good.as_bytes()
            );
        }
        for bad in ["", "a/b", "a b", "a\n", "ä", &"x".repeat(MAX + 1)] {
            assert!(Name::new(bad.as_bytes()).is_none(), "{bad}");
        }
        assert!(Name::from_terminated(b"unterminated").is_none());
        assert_eq!(Name::from_terminated(b"ab\0c").unwrap().as_bytes(), b"ab");
    }

    #[test]
    fn a_reason_is_cut_and_stays_text() {
        let mut reason = Reason::new();
        reason.set(format_args!("{}", "é".repeat(200)));
        assert_eq!(reason.as_str().len(), REASON_MAX);
        reason.set(format_args!("short"));
        assert_eq!(reason.as_str(), "short");
    }
}
