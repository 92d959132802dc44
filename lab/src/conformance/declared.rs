//! The file that says, cell by cell, what cannot hold and why.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use protocol::message::Interface;
use serde::{Deserialize, Deserializer};

use crate::requirement::Requirement;
use crate::scenario::diagnostic::{Diagnostic, Place};

/// Its name, in the folder of the conformance scenarios.
pub const FILE: &str = "not-applicable.yaml";

/// `- {id: C1, face: luo, reason: …}`; `id` and `face` may be lists.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Declaration {
    /// The requirements.
    #[serde(deserialize_with = "one_or_many")]
    pub id: Vec<Requirement>,
    /// The faces that they do not apply to.
    #[serde(deserialize_with = "one_or_many")]
    pub face: Vec<Interface>,
    /// Why.
    pub reason: String,
}

/// All that is declared.
#[derive(Clone, Debug, Default)]
pub struct Declared(BTreeMap<(Requirement, &'static str), String>);

impl Declared {
    /// Reads the file; one that is not there declares nothing.
    ///
    /// # Errors
    /// What it says that cannot be.
    pub fn read(path: &Path) -> Result<Self, Diagnostic> {
        let shown = path.to_string_lossy();
        match fs::read_to_string(path) {
            Ok(text) => Self::parse(&shown, &text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(Diagnostic::new(&shown, "", None, format!("cannot be read: {error}"), None)),
        }
    }

    /// Reads its text.
    ///
    /// # Errors
    /// What it says that cannot be.
    pub fn parse(path: &str, text: &str) -> Result<Self, Diagnostic> {
        let wrong = |place, message: String| Diagnostic::new(path, text, place, message, None);
        let lines: Option<Vec<Declaration>> = serde_yaml::from_str(text).map_err(|error| {
            let place = error.location().map(|at| Place { line: at.line(), column: at.column() });
            let message = error.to_string();
            wrong(place, message.rsplit_once(" at line ").map_or(message.as_str(), |(head, _)| head).to_owned())
        })?;
        let mut all = BTreeMap::new();
        for Declaration { id, face, reason } in lines.unwrap_or_default() {
            if reason.trim().is_empty() {
                return Err(wrong(None, format!("{id:?} is declared not applicable without a reason")));
            }
            for (&id, &face) in id.iter().flat_map(|id| face.iter().map(move |face| (id, face))) {
                if all.insert((id, face.name()), reason.trim().to_owned()).is_some() {
                    return Err(wrong(None, format!("{id} on {} is declared twice", face.name())));
                }
            }
        }
        Ok(Self(all))
    }

    /// Why a requirement does not apply to a face, if that is declared.
    #[must_use]
    pub fn reason(&self, requirement: Requirement, face: Interface) -> Option<&str> {
        self.0.get(&(requirement, face.name())).map(String::as_str)
    }
}

fn one_or_many<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    struct Visitor<T>(std::marker::PhantomData<T>);
    impl<'de, T: Deserialize<'de>> serde::de::Visitor<'de> for Visitor<T> {
        type Value = Vec<T>;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("one, or a list")
        }
        fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<Vec<T>, E> {
            T::deserialize(serde::de::value::StrDeserializer::new(word)).map(|one| vec![one])
        }
        fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut words: A) -> Result<Vec<T>, A::Error> {
            let mut all = Vec::new();
            while let Some(word) = words.next_element()? {
                all.push(word);
            }
            Ok(all)
        }
    }
    deserializer.deserialize_any(Visitor(std::marker::PhantomData))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_declare_every_combination() {
        let declared = Declared::parse("x", "- id: [C1, T4]\n  face: [luo, module]\n  reason: none has it\n").unwrap();
        for id in [Requirement::C1, Requirement::T4] {
            for face in [Interface::Luo, Interface::Module] {
                assert_eq!(declared.reason(id, face), Some("none has it"));
            }
        }
        assert_eq!(declared.reason(Requirement::C2, Interface::Luo), None);
        assert!(Declared::parse("x", "# nothing\n").is_ok());
    }

    #[test]
    fn what_cannot_be_is_told_with_its_place() {
        for (text, told) in [
            ("- {id: C9, face: luo, reason: x}\n", "unknown variant `C9`"),
            ("- {id: C1, face: lou, reason: x}\n", "unknown variant `lou`"),
            ("- {id: C1, face: luo}\n", "missing field `reason`"),
            ("- {id: C1, face: luo, reason: ' '}\n", "without a reason"),
            ("- {id: C1, face: luo, reason: x, why: y}\n", "unknown field `why`"),
            ("- {id: [C1, C1], face: luo, reason: x}\n", "C1 on luo is declared twice"),
            ("id: C1\n", "expected a sequence"),
        ] {
            let said = Declared::parse("na.yaml", text).unwrap_err().to_string();
            assert!(said.contains(told) && said.contains("na.yaml"), "{text}{said}");
        }
    }

    #[test]
    fn the_shipped_file_is_sound() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios").join(super::super::TAG).join(FILE);
        assert!(path.is_file());
        Declared::read(&path).unwrap();
    }
}
