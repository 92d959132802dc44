//! Why there is no kernel.

use std::io;
use std::path::{Path, PathBuf};

use super::source::ParseError;
use crate::cache;
use crate::host::process;

/// Why a kernel or module could not be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text names no kernel.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// The cache could not serve.
    #[error(transparent)]
    Cache(#[from] cache::Error),
    /// A command could not be run, or was cancelled.
    #[error(transparent)]
    Process(#[from] process::Error),
    /// A file could not be used.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// Nobody has this kernel.
    #[error("no source for kernel {requested} can be had:\n{}", indent(tried))]
    NotAvailable {
        /// What was asked for.
        requested: String,
        /// Who was asked, and what they said.
        tried: Vec<String>,
    },
    /// An origin is of no use on this machine.
    #[error("{0}")]
    NoOrigin(&'static str),
    /// What was downloaded is not what was announced.
    #[error("{what}: sha256 is {found}, expected {expected}; the download was thrown away")]
    WrongHash {
        /// What was downloaded.
        what: String,
        /// Its hash.
        found: String,
        /// The hash it should have.
        expected: String,
    },
    /// A directory is no kernel tree.
    #[error("{} is no kernel source tree: {reason}", path.display())]
    NotATree {
        /// The directory.
        path: PathBuf,
        /// How it shows.
        reason: String,
    },
    /// A package holds no kernel that can be booted here.
    #[error("Debian package {package} is of no use: {reason}")]
    NotAPackage {
        /// Its name.
        package: String,
        /// How it shows.
        reason: String,
    },
    /// A repository does not have what was asked for.
    #[error("git: {0}")]
    Git(String),
    /// The configuration fragment is malformed.
    #[error("kernel configuration fragment, line {line}: {reason}")]
    Fragment {
        /// The line's number.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A patch is none, or does not fit.
    #[error("{patch} {}:\n{}", to.as_ref().map_or("is of no use".to_owned(), |to| format!("does not apply to {to}")), indent(said))]
    Patch {
        /// Its name.
        patch: String,
        /// The release that it was to change.
        to: Option<String>,
        /// The file, the hunk and the reason.
        said: Vec<String>,
    },
    /// Options of the fragment did not take.
    #[error("kernel {release} cannot be configured as the lab needs it:\n{}", indent(problems))]
    Config {
        /// The tree's version.
        release: String,
        /// Each option, and why.
        problems: Vec<String>,
    },
    /// The compiler, or something beside it, failed.
    #[error("{what} failed:\n{}\nThe whole log: {}", indent(excerpt), log.display())]
    Build {
        /// What was built.
        what: String,
        /// The first error.
        excerpt: Vec<String>,
        /// The log.
        log: PathBuf,
    },
}

fn indent(lines: &[String]) -> String {
    lines.iter().flat_map(|entry| entry.lines()).map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

impl Error {
    /// An input or output error; a full disk is told apart.
    pub(super) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        match cache::disk::shortage(&source, path) {
            Some(shortage) => Self::Cache(cache::Error::NoSpace(shortage)),
            None => Self::Io { action, path: path.to_path_buf(), source },
        }
    }

    /// A command's failure; a full disk is told apart.
    pub(super) fn command(outcome: process::Outcome, writing_to: &Path) -> Self {
        let words = outcome.tail.iter().map(String::as_str);
        match cache::disk::shortage_in(words, writing_to) {
            Some(shortage) => Self::Cache(cache::Error::NoSpace(shortage)),
            None => Self::Process(process::Error::Failed {
                command: outcome.command,
                status: outcome.status,
                tail: outcome.tail,
            }),
        }
    }

    /// The error in a few words: of a command's failure, its last.
    pub(super) fn brief(&self) -> String {
        match self {
            Self::Process(process::Error::Failed { tail, .. }) if !tail.is_empty() => tail[tail.len() - 1].clone(),
            other => other.to_string(),
        }
    }

    /// Whether we were told to stop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Process(process::Error::Cancelled { .. }) | Self::Cache(cache::Error::Cancelled { .. }))
    }
}
