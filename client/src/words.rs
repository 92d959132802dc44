//! The words of the interface: names, tokens, states, events.

use std::{fmt, num::NonZeroU64, str::FromStr};

use crate::abi::NAME_LEN;

/// The name of a session, an instance or a subsystem: 1 to 63 printable ASCII characters, no space, no slash.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name {
    /// Terminated.
    bytes: [u8; NAME_LEN],
    len: u8,
}

impl Name {
    /// Checks it.
    ///
    /// # Errors
    /// It is no such name.
    pub const fn new(text: &str) -> Result<Self, InvalidName> {
        let text = text.as_bytes();
        if text.is_empty() || text.len() >= NAME_LEN {
            return Err(InvalidName(()));
        }
        let mut bytes = [0; NAME_LEN];
        let mut at = 0;
        // No iterators: this is for constants too.
        while at < text.len() {
            if !text[at].is_ascii_graphic() || text[at] == b'/' {
                return Err(InvalidName(()));
            }
            bytes[at] = text[at];
            at += 1;
        }
        Ok(Self { bytes, len: text.len() as u8 })
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.len.into()]).unwrap_or_default()
    }

    pub(crate) fn terminated(&self) -> [u8; NAME_LEN] {
        self.bytes
    }
}

impl FromStr for Name {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        Self::new(text)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// Not a [`Name`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidName(());

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a name has 1 to {} printable ASCII characters, none of them a space or a slash", NAME_LEN - 1)
    }
}

impl std::error::Error for InvalidName {}

/// What a preserved file is known by in the next kernel, in the session that preserved it.
///
/// The kernel draws it at random. Who preserves must see to it that the token reaches the next kernel: by the
/// kernel's command line, in a file on disk, or in a file of a kexecfs instance, which is found by its name.
/// Its text is what `preserve_fd` of an instance gives: `0x` and sixteen hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(NonZeroU64);

impl Token {
    /// From a number that the kernel gave. Zero is no token.
    #[must_use]
    pub const fn new(number: u64) -> Option<Self> {
        match NonZeroU64::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0.get()
    }
}

impl From<Token> for u64 {
    fn from(token: Token) -> Self {
        token.get()
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#018x}", self.0)
    }
}

impl FromStr for Token {
    type Err = InvalidToken;

    fn from_str(text: &str) -> Result<Self, InvalidToken> {
        let digits = text.strip_prefix("0x").ok_or(InvalidToken(()))?;
        // The standard library's parser takes a sign.
        if digits.len() > 16 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(InvalidToken(()));
        }
        u64::from_str_radix(digits, 16).ok().and_then(Self::new).ok_or(InvalidToken(()))
    }
}

/// Not a [`Token`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidToken(());

impl fmt::Display for InvalidToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a token is `0x` and up to sixteen hexadecimal digits, not all of them 0")
    }
}

impl std::error::Error for InvalidToken {}

/// Where the machine stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Nothing is under way.
    Normal = 0,
    /// What is preserved stays where it is, its content may still change.
    Prepared = 1,
    /// Ready for the kexec.
    Frozen = 2,
    /// The previous kernel has handed over, and FINISH has not come yet.
    Updated = 3,
}

impl State {
    const ALL: [Self; 4] = [Self::Normal, Self::Prepared, Self::Frozen, Self::Updated];

    pub(crate) fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|&state| state as u32 == number)
    }

    /// As the file `state` of an instance has it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Prepared => "prepared",
            Self::Frozen => "frozen",
            Self::Updated => "updated",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl FromStr for State {
    type Err = UnknownState;

    fn from_str(word: &str) -> Result<Self, UnknownState> {
        Self::ALL.into_iter().find(|state| state.word() == word).ok_or(UnknownState(()))
    }
}

/// Not a [`State`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownState(());

impl fmt::Display for UnknownState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a state is normal, prepared, frozen or updated")
    }
}

impl std::error::Error for UnknownState {}

/// What moves the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// NORMAL → PREPARED.
    Prepare,
    /// PREPARED → FROZEN.
    Freeze,
    /// PREPARED or FROZEN → NORMAL.
    Cancel,
    /// UPDATED → NORMAL.
    Finish,
}

impl Event {
    /// As the file `state` of an instance takes it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Prepare => "prepare",
            Self::Freeze => "freeze",
            Self::Cancel => "cancel",
            Self::Finish => "finish",
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        let longest = "x".repeat(63);
        for good in ["a", "db-1.main", &longest] {
            let name = Name::new(good).unwrap();
            assert_eq!(name.as_str(), good);
            let terminated = name.terminated();
            assert_eq!(&terminated[..good.len()], good.as_bytes());
            assert!(terminated[good.len()..].iter().all(|&byte| byte == 0));
        }
        for bad in ["", "a/b", "a b", "a\n", "a\0", "ä", &"x".repeat(64)] {
            assert_eq!(bad.parse::<Name>(), Err(InvalidName(())), "{bad:?}");
        }
    }

    #[test]
    fn a_token_s_text_is_read_again() {
        for number in [1, 0x0123_4567_89ab_cdef, u64::MAX] {
            let token = Token::new(number).unwrap();
            assert_eq!(token.to_string().len(), 18);
            assert_eq!(token.to_string().parse(), Ok(token));
        }
        assert_eq!(Token::new(0x2a).unwrap().to_string(), "0x000000000000002a");
        for bad in ["", "0x", "2a", "0x0", "0x+1", "0x-1", "0x1g", "0x10000000000000000", " 0x1", "0x1\n"] {
            assert_eq!(bad.parse::<Token>(), Err(InvalidToken(())), "{bad:?}");
        }
        assert_eq!(Token::new(0), None);
    }

    #[test]
    fn states_are_read_again() {
        for state in State::ALL {
            assert_eq!(state.word().parse(), Ok(state));
            assert_eq!(State::from_number(state as u32), Some(state));
        }
        assert_eq!(State::from_number(4), None);
        assert_eq!("NORMAL".parse::<State>(), Err(UnknownState(())));
    }
}
