//! `hazards.yaml`: pairs of kernels that are known to come to something else than their sources let expect.

use std::fs;
use std::path::Path;

use protocol::message::Interface;
use serde::Deserialize;

use crate::result::HopOutcome;
use crate::scenario::diagnostic::{Diagnostic, Place};

/// The file's name, at the project's root.
const FILE: &str = "hazards.yaml";
/// Longest file, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hazard {
    /// The kernels that hand over, by their names in the catalogue.
    pub from: Vec<String>,
    /// Those that it goes to.
    pub to: Vec<String>,
    /// By which interfaces.
    pub interfaces: Vec<Interface>,
    /// What it comes to.
    pub outcome: HopOutcome,
    /// Why.
    pub why: String,
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub struct Hazards(Vec<Hazard>);

impl Hazards {
    /// Reads the file of a project; without one, none is known.
    ///
    /// # Errors
    /// What it says that cannot be, with its place.
    pub fn read(project: &Path) -> Result<Self, Box<Diagnostic>> {
        let path = project.join(FILE);
        let shown = path.to_string_lossy();
        let about = |message: String| Box::new(Diagnostic::about(&shown, message));
        let text = match fs::metadata(&path) {
            Ok(meta) if meta.len() > MAX_BYTES => return Err(about(format!("it is longer than {MAX_BYTES} bytes"))),
            Ok(_) => fs::read_to_string(&path).map_err(|error| about(format!("cannot be read: {error}")))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(about(format!("cannot be read: {error}"))),
        };
        Self::parse(&shown, &text)
    }

    fn parse(path: &str, text: &str) -> Result<Self, Box<Diagnostic>> {
        serde_yaml::from_str(text).map(Self).map_err(|error| {
            let place = error.location().map(|at| Place { line: at.line(), column: at.column() });
            let message = error.to_string();
            let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(head, _)| head).to_owned();
            Box::new(Diagnostic::new(path, text, place, message, None))
        })
    }

    /// The one of this pair and interface, if it is known.
    #[must_use]
    pub fn find(&self, from: &str, to: &str, by: Interface) -> Option<&Hazard> {
        let names = |names: &[String], name: &str| names.iter().any(|named| named == name);
        let is =
            |hazard: &&Hazard| names(&hazard.from, from) && names(&hazard.to, to) && hazard.interfaces.contains(&by);
        self.0.iter().find(is)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str =
        "- {from: [6.17], to: [6.18, 6.20], interfaces: [kho], outcome: panicked, why: bitmaps of another size}\n";

    #[test]
    fn a_pair_is_found_by_its_interface_alone() {
        let hazards = Hazards::parse("hazards.yaml", ONE).unwrap();
        let found = hazards.find("6.17", "6.18", Interface::Kho).unwrap();
        assert_eq!((found.outcome, found.why.as_str()), (HopOutcome::Panicked, "bitmaps of another size"));
        assert!(hazards.find("6.17", "6.20", Interface::Kho).is_some());
        assert_eq!(hazards.find("6.18", "6.17", Interface::Kho), None);
        assert_eq!(hazards.find("6.17", "6.18", Interface::Luo), None);
    }

    #[test]
    fn what_it_cannot_say_is_shown_at_its_place() {
        let said = Hazards::parse("hazards.yaml", &ONE.replace("panicked", "exploded")).unwrap_err().to_string();
        assert!(said.contains("hazards.yaml:1") && said.contains("exploded"), "{said}");
    }

    #[test]
    fn the_shipped_file_is_sound() {
        let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        assert!(Hazards::read(&project).is_ok());
    }
}
