//! Kernel version numbers.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A series such as `7.3`, whose patch releases differ in fixes only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Series {
    /// The first number.
    pub major: u32,
    /// The second number.
    pub minor: u32,
}

/// One release such as `7.3.4`; the first of a series is written without its zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Version {
    /// What it is a release of.
    pub series: Series,
    /// The third number.
    pub patch: u32,
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.patch {
            0 => self.series.fmt(f),
            patch => write!(f, "{}.{patch}", self.series),
        }
    }
}

/// A text that is no version number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a version number")]
pub struct NotAVersion;

fn numbers(text: &str) -> Result<Vec<u32>, NotAVersion> {
    let number = |word: &str| {
        let plain = !word.is_empty() && word.len() <= 6 && word.bytes().all(|byte| byte.is_ascii_digit());
        if plain { word.parse().map_err(|_| NotAVersion) } else { Err(NotAVersion) }
    };
    text.split('.').map(number).collect()
}

impl FromStr for Series {
    type Err = NotAVersion;

    fn from_str(text: &str) -> Result<Self, NotAVersion> {
        match numbers(text)?[..] {
            [major, minor] => Ok(Self { major, minor }),
            _ => Err(NotAVersion),
        }
    }
}

impl FromStr for Version {
    type Err = NotAVersion;

    fn from_str(text: &str) -> Result<Self, NotAVersion> {
        match numbers(text)?[..] {
            [major, minor] => Ok(Self { series: Series { major, minor }, patch: 0 }),
            [major, minor, patch] => Ok(Self { series: Series { major, minor }, patch }),
            _ => Err(NotAVersion),
        }
    }
}

impl Series {
    /// The series that a kernel tree says it belongs to, from its top `Makefile`.
    #[must_use]
    pub fn of_makefile(makefile: &str) -> Option<Self> {
        let number = |name: &str| {
            makefile.lines().take(20).find_map(|line| {
                let (key, value) = line.split_once('=')?;
                (key.trim() == name).then(|| value.trim().parse().ok())?
            })
        };
        Some(Self { major: number("VERSION")?, minor: number("PATCHLEVEL")? })
    }
}
