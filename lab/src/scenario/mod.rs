//! What a user writes, and what it means.
//!
//! [`raw`] is the YAML as it stands, [`plan`] what can really be run: every object numbered, every
//! order checked, the steps that an interface needs put in. [`diagnostic`] says what is wrong, where
//! and what was meant; [`library`] finds scenario files by name.

pub mod diagnostic;
pub mod library;
pub(crate) mod locate;
pub mod parameters;
pub mod plan;
pub mod raw;
pub mod size;
mod validate;

use diagnostic::Diagnostic;
use locate::Turn;
use plan::Plan;
use protocol::message::Interface;
use raw::Scenario;

/// A scenario file: its name, its text and what it says.
#[derive(Clone, Debug)]
pub struct Document {
    /// The name that results carry: the file's stem.
    pub name: String,
    /// Where it was read, for messages.
    pub path: String,
    /// The YAML.
    pub text: String,
    /// The YAML, typed. Not yet validated: see [`Document::plan`].
    pub scenario: Scenario,
}

impl Document {
    /// Reads a scenario from `text`.
    ///
    /// # Errors
    /// What the YAML says that no scenario can say, with its place.
    pub fn parse(name: &str, path: &str, text: &str) -> Result<Self, Diagnostic> {
        let scenario = raw::parse(text).map_err(|fault| fault.at(path, text))?;
        let document = Self { name: name.to_owned(), path: path.to_owned(), text: text.to_owned(), scenario };
        // Whatever interface is asked for later, a file that cannot run on its own ones is wrong now.
        for &interface in &document.scenario.interfaces {
            document.plan(interface)?;
        }
        Ok(document)
    }

    /// `file:line:column` of a step, counted from zero.
    #[must_use]
    pub fn place_of_step(&self, index: usize) -> Option<String> {
        let place = locate::find(&self.text, &[Turn::Key("steps"), Turn::Item(index)])?;
        Some(format!("{}:{}:{}", self.path, place.line, place.column))
    }

    /// The plan for one interface.
    ///
    /// # Errors
    /// The first step that cannot mean anything, with its place.
    pub fn plan(&self, interface: Interface) -> Result<Plan, Diagnostic> {
        validate::plan(self, interface).map_err(|invalid| {
            let place = locate::find(&self.text, &invalid.path);
            Diagnostic::new(&self.path, &self.text, place, invalid.message, invalid.help)
        })
    }
}
