//! Where in a YAML text a value stands.
//!
//! The `serde_yaml` API tells the place of an error and of nothing else. So a value is found by walking
//! to it a second time and refusing it there: the error's place is the value's place. This runs only
//! when there is something to complain about.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::diagnostic::Place;

/// One turn on the way to a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    Key(&'static str),
    /// A key that someone made up.
    Name(String),
    Item(usize),
}

pub(crate) fn find(text: &str, path: &[Turn]) -> Option<Place> {
    let refused = Walk(path).deserialize(serde_yaml::Deserializer::from_str(text)).err()?;
    refused.location().map(|at| Place { line: at.line(), column: at.column() })
}

struct Walk<'a>(&'a [Turn]);

/// Refuses whatever it is shown.
struct Refuse;

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.0 {
            [] => deserializer.deserialize_any(Refuse),
            _ => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match self.0 {
                [Turn::Key(wanted), rest @ ..] if key == *wanted => map.next_value_seed(Walk(rest))?,
                [Turn::Name(wanted), rest @ ..] if key == *wanted => map.next_value_seed(Walk(rest))?,
                _ => map.next_value::<IgnoredAny>().map(drop)?,
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<(), A::Error> {
        let [Turn::Item(wanted), rest @ ..] = self.0 else { return Ok(()) };
        for _ in 0..*wanted {
            sequence.next_element::<IgnoredAny>()?;
        }
        sequence.next_element_seed(Walk(rest)).map(drop)
    }
}

impl Visitor<'_> for Refuse {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nothing")
    }

    fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<(), E> {
        Err(E::custom("here"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "about: x\nsteps:\n  - update\n  - create: {name: a, size: 1}\n  - swap:\n      object: a\n      pages: [1, 2]\n";

    #[test]
    fn every_kind_of_value_is_found() {
        let steps = Turn::Key("steps");
        for (path, line, column) in [
            (vec![Turn::Key("about")], 1, 8),
            (vec![steps.clone(), Turn::Item(0)], 3, 5),
            (vec![steps.clone(), Turn::Item(1), Turn::Key("create"), Turn::Key("size")], 4, 29),
            (vec![steps.clone(), Turn::Item(2)], 5, 5),
            (vec![steps.clone(), Turn::Item(2), Turn::Key("swap"), Turn::Key("pages"), Turn::Item(1)], 7, 18),
        ] {
            assert_eq!(find(TEXT, &path), Some(Place { line, column }), "{path:?}");
        }
    }

    #[test]
    fn what_is_not_there_has_no_place() {
        assert_eq!(find(TEXT, &[Turn::Key("nowhere")]), None);
        assert_eq!(find(TEXT, &[Turn::Key("steps"), Turn::Item(9)]), None);
    }
}
