//! A kernel as it is wanted: a source, and what is laid on top of it.

use std::str::FromStr;

use super::patch::Patch;
use super::{KernelSource, ParseError, Profile};

/// What is wanted. A bare source is one too, with nothing on top.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelSpec {
    /// What people call it.
    pub name: String,
    /// What it is made from.
    pub source: KernelSource,
    /// Applied to the source, in order. Not to a directory that someone works in: that one is patched where it is.
    pub patches: Vec<Patch>,
    /// Options on top of the profile's, as lines of a configuration fragment.
    pub options: String,
    /// What it is built for, whatever the others are built for.
    pub profile: Option<Profile>,
}

impl KernelSpec {
    /// This source as it stands.
    #[must_use]
    pub fn plain(source: KernelSource) -> Self {
        let name = source.to_string();
        Self { name, source, patches: Vec::new(), options: String::new(), profile: None }
    }

    /// With one more patch on top.
    #[must_use]
    pub fn with_patch(mut self, patch: Patch) -> Self {
        self.patches.push(patch);
        self
    }
}

/// A source; names are the catalogue's.
impl FromStr for KernelSpec {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        text.parse().map(Self::plain)
    }
}

impl From<KernelSource> for KernelSpec {
    fn from(source: KernelSource) -> Self {
        Self::plain(source)
    }
}

impl From<&KernelSource> for KernelSpec {
    fn from(source: &KernelSource) -> Self {
        Self::plain(source.clone())
    }
}

impl From<&Self> for KernelSpec {
    fn from(spec: &Self) -> Self {
        spec.clone()
    }
}
