//! What a guest boots besides its kernel: an initramfs that holds the agent as `/init`, and the modules.

mod agent;
mod initramfs;

pub use agent::build as build_agent;
pub use initramfs::{Content, MODULES, PROGRAMS, pack, pack_all};

use std::io;
use std::path::PathBuf;

use crate::cache;
use crate::host::process;

/// Why an image could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The cache refused.
    #[error(transparent)]
    Cache(#[from] cache::Error),
    /// The agent could not be compiled.
    #[error("the guest agent cannot be built: {0}")]
    Compile(#[from] process::Error),
    /// A file could not be read or written.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

/// A file with its hash.
#[derive(Clone, Debug)]
pub struct Artefact {
    /// Where it is.
    pub path: PathBuf,
    /// What is in it.
    pub sha256: String,
}
