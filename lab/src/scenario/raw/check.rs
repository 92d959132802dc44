//! `check: memory-crosses`, or `check: {name: memory-crosses, proves: C1, within: 5 s}`; `seed` and `rounds` too
//! where dice are thrown.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use serde::de::Error as _;
use serde::de::value::MapAccessDeserializer;
use serde::{Deserialize, Deserializer};

use super::Names;

/// What a `check`, a `leave` or a `find` step applies to.
#[derive(Clone, Debug)]
pub struct CheckStep {
    /// The check.
    pub name: String,
    /// The requirements that it proves by itself.
    pub proves: Names,
    /// The requirements that it proves not to hold.
    pub refutes: Names,
    /// How long it may take.
    pub within: Patience,
    /// For a check that throws dice; the scenario's if it is not said.
    pub seed: Option<u32>,
    /// How often it throws them.
    pub rounds: Option<NonZeroU32>,
}

/// The same, as it stands in YAML with more than the name.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Full {
    name: String,
    #[serde(default)]
    proves: Names,
    #[serde(default)]
    refutes: Names,
    #[serde(default)]
    within: Patience,
    seed: Option<u32>,
    rounds: Option<NonZeroU32>,
}

impl<'de> Deserialize<'de> for CheckStep {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = CheckStep;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a check, or `{name: …, proves: …, within: …, seed: …, rounds: …}`")
            }
            fn visit_str<E>(self, name: &str) -> Result<CheckStep, E> {
                let (proves, refutes, within) = (Names::default(), Names::default(), Patience::default());
                Ok(CheckStep { name: name.to_owned(), proves, refutes, within, seed: None, rounds: None })
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<CheckStep, A::Error> {
                let full = Full::deserialize(MapAccessDeserializer::new(map))?;
                let Full { name, proves, refutes, within, seed, rounds } = full;
                Ok(CheckStep { name, proves, refutes, within, seed, rounds })
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// A duration: `500 ms` or `5 s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience(pub Duration);

/// Longest time that a check may ask for.
const LONGEST: Duration = Duration::from_secs(120);

impl Default for Patience {
    fn default() -> Self {
        Self(Duration::from_secs(10))
    }
}

impl FromStr for Patience {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || {
            format!("`{text}` is no time that a check may take: write 500 ms or 5 s, at most {} s", LONGEST.as_secs())
        };
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| refuse())?;
        let duration = match unit.trim_start() {
            "ms" => Duration::from_millis(number),
            "s" => Duration::from_secs(number),
            _ => return Err(refuse()),
        };
        if duration.is_zero() || duration > LONGEST { Err(refuse()) } else { Ok(Self(duration)) }
    }
}

impl<'de> Deserialize<'de> for Patience {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, ms) in [("500 ms", 500), ("5 s", 5000), ("5s", 5000), ("120 s", 120_000)] {
            assert_eq!(text.parse(), Ok(Patience(Duration::from_millis(ms))), "{text}");
        }
        for text in ["", "5", "0 s", "-1 s", "121 s", "1.5 s", "5 min", "99999999999999999999 s"] {
            assert!(text.parse::<Patience>().is_err(), "{text}");
        }
    }
}
