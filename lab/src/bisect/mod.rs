//! Which commit broke it: `git bisect`, with a scenario as the judge.
//!
//! The search is git's own, in a clone of its own that borrows the repository's objects: nobody's checkout, HEAD, references or
//! unfinished bisection are touched. What a commit is worth is asked of whoever calls; what follows from that is decided here.

mod clone;

use std::path::{Path, PathBuf};

use crate::cache;
use crate::kernel;
use clone::Clone;

/// What a commit turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The scenario is green.
    Green,
    /// It is red, and why.
    Red(String),
    /// It does not build or does not boot, and why: neither good nor bad.
    Untestable(String),
    /// The lab itself could not find out, and why.
    Infrastructure(String),
}

/// What is done with it, as `git bisect run` does by exit codes: 0, 1, 125, and anything above 127.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Good,
    Bad,
    Skip,
    Abort,
}

impl Verdict {
    fn step(&self) -> Step {
        match self {
            Self::Green => Step::Good,
            Self::Red(_) => Step::Bad,
            Self::Untestable(_) => Step::Skip,
            Self::Infrastructure(_) => Step::Abort,
        }
    }

    /// In a few words.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Green => "good".to_owned(),
            Self::Red(why) => format!("bad: {why}"),
            Self::Untestable(why) => format!("skipped: {why}"),
            Self::Infrastructure(why) => format!("not found out: {why}"),
        }
    }
}

/// A commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Its name, in full.
    pub id: String,
    /// The first line of what it says.
    pub subject: String,
}

impl std::fmt::Display for Commit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.12} {}", self.id, self.subject)
    }
}

/// What the search came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The first bad commit.
    First(Commit),
    /// It is one of these: the others cannot be tested.
    OneOf(Vec<Commit>),
}

/// A search that is over.
#[derive(Clone, Debug)]
pub struct Bisection {
    /// What it came to.
    pub found: Found,
    /// As `git bisect log` has it; `git bisect replay` takes it.
    pub log: String,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// git refused.
    #[error("git: {0}")]
    Git(String),
    /// The cache refused.
    #[error(transparent)]
    Cache(#[from] cache::Error),
    /// A kernel could not be had.
    #[error(transparent)]
    Kernel(#[from] kernel::Error),
    /// What was said of one end is not so.
    #[error("{commit} is said to be {said}, and is {}", verdict.words())]
    NotAsSaid {
        /// The end.
        commit: Commit,
        /// `good` or `bad`.
        said: &'static str,
        /// What it is.
        verdict: Verdict,
    },
    /// The lab could not find out.
    #[error("{commit}: {message}; what was found until then:\n{log}")]
    Infrastructure {
        /// Where it was.
        commit: Commit,
        /// Why.
        message: String,
        /// As `git bisect log` has it.
        log: String,
    },
    /// The user wants to stop.
    #[error("cancelled")]
    Cancelled,
}

/// What is to be searched.
#[derive(Clone, Copy, Debug)]
pub struct Search<'a> {
    /// The repository, or a checkout of it.
    pub repository: &'a Path,
    /// A commit at which all is well.
    pub good: &'a str,
    /// A later one at which it is not.
    pub bad: &'a str,
    /// Where the clone is kept, so that the next build finds the last one's objects.
    pub folder: &'a Path,
}

/// Searches. `test` judges the commit that is checked out in the folder it is given; nothing if the user wants to stop.
///
/// # Errors
/// The ends are not as said, git refuses, or the lab cannot find out.
pub fn search(
    search: &Search<'_>,
    test: &mut dyn FnMut(&Commit, &PathBuf) -> Option<Verdict>,
) -> Result<Bisection, Error> {
    let clone = Clone::of(search.repository, search.folder)?;
    let (good, bad) = (clone.commit_of(search.good)?, clone.commit_of(search.bad)?);
    if good == bad {
        return Err(Error::Git(format!("`{}` and `{}` are one commit, {good}", search.good, search.bad)));
    }
    let mut judge = |commit: &Commit| -> Result<Verdict, Error> {
        clone.check_out(commit)?;
        test(commit, &clone.folder).ok_or(Error::Cancelled)
    };
    for (commit, said, wanted) in [(&good, "good", Step::Good), (&bad, "bad", Step::Bad)] {
        let verdict = judge(commit)?;
        if verdict.step() != wanted {
            return Err(Error::NotAsSaid { commit: commit.clone(), said, verdict });
        }
    }
    let mut next = clone.begin(&good, &bad)?;
    loop {
        let commit = match next {
            clone::Next::Test(commit) => commit,
            clone::Next::Over(found) => return Ok(Bisection { found, log: clone.log()? }),
        };
        let verdict = judge(&commit)?;
        let word = match verdict.step() {
            Step::Good => "good",
            Step::Bad => "bad",
            Step::Skip => "skip",
            Step::Abort => {
                let message = verdict.words();
                return Err(Error::Infrastructure { commit, message, log: clone.log()? });
            }
        };
        next = clone.mark(word)?;
    }
}

#[cfg(test)]
mod tests;
