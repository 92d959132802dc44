//! The clone that is searched, and git's words.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::{Commit, Error, Found};
use crate::cache;

/// A clone without objects of its own.
pub(super) struct Clone {
    /// Its checkout.
    pub(super) folder: PathBuf,
    repository: PathBuf,
}

/// What git wants next.
pub(super) enum Next {
    Test(Commit),
    Over(Found),
}

impl Clone {
    /// That of this repository, made if need be. An earlier search in it is forgotten.
    pub(super) fn of(repository: &Path, folder: &Path) -> Result<Self, Error> {
        let failed = |source| cache::Error::io("open", repository, source);
        let clone = Self { folder: folder.to_owned(), repository: fs::canonicalize(repository).map_err(failed)? };
        if !folder.join(".git").is_dir() {
            let parent = folder.parent().unwrap_or(folder);
            fs::create_dir_all(parent).map_err(|source| cache::Error::io("create", parent, source))?;
            let (from, to) = (clone.repository.display().to_string(), folder.display().to_string());
            said(git(parent, &["clone", "--quiet", "--shared", "--no-checkout", &from, &to])?)?;
        }
        said(clone.git(&["bisect", "reset"])?).or_else(|_| said(clone.git(&["bisect", "reset", "HEAD"])?))?;
        Ok(clone)
    }

    fn git(&self, arguments: &[&str]) -> Result<Output, Error> {
        git(&self.folder, arguments)
    }

    /// What a name means in the repository itself.
    pub(super) fn commit_of(&self, name: &str) -> Result<Commit, Error> {
        let spec = format!("{name}^{{commit}}");
        let words = ["rev-parse", "--verify", "--quiet", "--end-of-options", &spec];
        let found = said(git(&self.repository, &words)?)
            .map_err(|_| Error::Git(format!("{} has no commit `{name}`", self.repository.display())))?;
        self.describe(found.trim())
    }

    fn describe(&self, id: &str) -> Result<Commit, Error> {
        let subject = said(self.git(&["log", "-1", "--format=%s", id])?)?;
        Ok(Commit { id: id.to_owned(), subject: subject.trim().to_owned() })
    }

    /// Lays the commit out. What is equal keeps its time of change, and is not built anew.
    pub(super) fn check_out(&self, commit: &Commit) -> Result<(), Error> {
        said(self.git(&["checkout", "--quiet", "--force", "--detach", &commit.id])?).map(drop)
    }

    pub(super) fn begin(&self, good: &Commit, bad: &Commit) -> Result<Next, Error> {
        self.next(self.git(&["bisect", "start", &bad.id, &good.id])?)
    }

    pub(super) fn mark(&self, word: &str) -> Result<Next, Error> {
        self.next(self.git(&["bisect", word])?)
    }

    /// As `git bisect log` has it.
    pub(super) fn log(&self) -> Result<String, Error> {
        said(self.git(&["bisect", "log"])?)
    }

    /// What git's answer to a mark means. That only skipped ones are left is no success to it.
    fn next(&self, answer: Output) -> Result<Next, Error> {
        let text = String::from_utf8_lossy(&answer.stdout).into_owned();
        let first = text.lines().find_map(|line| line.strip_suffix(" is the first bad commit"));
        if let Some(id) = first {
            return Ok(Next::Over(Found::First(self.describe(id)?)));
        }
        if text.contains("only 'skip'ped commits left") {
            let is_name = |line: &&str| line.len() >= 40 && line.bytes().all(|byte| byte.is_ascii_hexdigit());
            let ids = text.lines().map(str::trim).filter(is_name);
            return Ok(Next::Over(Found::OneOf(ids.map(|id| self.describe(id)).collect::<Result<_, _>>()?)));
        }
        said(answer)?;
        let head = said(self.git(&["rev-parse", "HEAD"])?)?;
        Ok(Next::Test(self.describe(head.trim())?))
    }
}

/// Runs git without the caller's surroundings: hooks set some, and they name another repository.
fn git(folder: &Path, arguments: &[&str]) -> Result<Output, Error> {
    let mut command = Command::new("git");
    command.arg("-C").arg(folder).args(["-c", "advice.detachedHead=false"]).args(arguments).env("LC_ALL", "C");
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY"] {
        command.env_remove(name);
    }
    command.output().map_err(|error| Error::Git(format!("cannot be run: {error}")))
}

/// What it said, if it succeeded.
fn said(output: Output) -> Result<String, Error> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(Error::Git(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}
