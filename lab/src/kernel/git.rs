//! Trees from repositories: one on this machine is read where it is, one elsewhere gets a bare copy in the cache.

use std::path::{Path, PathBuf};

use xshell::cmd;

use super::resolve::{Resolved, ResolvedSource};
use super::source::expand_home;
use super::tree_state::git;
use super::{Error, Job, tree};
use crate::cache::{Key, Lock};

/// Whether a reference can never mean anything else.
pub(super) fn is_commit(reference: &str) -> bool {
    matches!(reference.len(), 40 | 64) && reference.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The tree of a commit in a repository on this machine; `None` if the repository is elsewhere.
pub(super) fn local(repository: &str, reference: &str, job: &Job<'_>) -> Result<Option<Resolved>, Error> {
    let path = expand_home(Path::new(repository.strip_prefix("file://").unwrap_or(repository)));
    if repository.contains("://") && !repository.starts_with("file://") || !path.is_dir() {
        return Ok(None);
    }
    let commit = commit_of(&path, reference)?;
    let origin = format!("git repository {}", path.display());
    checkout(&path, &commit, &origin, &format!("git:{repository}#{reference}"), job).map(Some)
}

/// Fetches a commit from a repository elsewhere. Only that commit if the other side allows it.
pub(super) fn remote(repository: &str, reference: &str, requested: &str, job: &Job<'_>) -> Result<Resolved, Error> {
    if !repository.contains(':') {
        return Err(Error::Git(format!("{repository} is neither a directory nor a URL")));
    }
    let key = Key::of([("repository", repository)]);
    let copy = job.cache.root().join("git").join(key.short());
    let _lock =
        Lock::take(&job.cache.lock_path("git", &key), &format!("fetches {repository}"), job.progress, job.cancel)?;
    let shell = tree::shell()?;
    job.run(cmd!(shell, "git init --quiet --bare {copy}"), &copy, |_| {})?;
    if !(is_commit(reference) && commit_of(&copy, reference).is_ok()) {
        job.progress.stage(&format!("fetch {reference} of {repository}"), None);
        fetch(&copy, repository, reference, job)?;
    }
    let commit = match is_commit(reference) {
        true => commit_of(&copy, reference)?,
        false => commit_of(&copy, "FETCH_HEAD")?,
    };
    checkout(&copy, &commit, &format!("git repository {repository}"), requested, job)
}

fn fetch(copy: &Path, repository: &str, reference: &str, job: &Job<'_>) -> Result<(), Error> {
    let shell = tree::shell()?;
    let run = |arguments: &[&str]| {
        let command = cmd!(shell, "git -C {copy} fetch --no-tags {arguments...}").env("GIT_TERMINAL_PROMPT", "0");
        job.run(command, copy, |_| {})
    };
    match run(&["--depth=1", repository, reference]) {
        Ok(_) => Ok(()),
        // Some servers hand out single commits, and some only what has a name.
        Err(error) if !error.is_cancelled() && is_commit(reference) => {
            job.progress.note("the server does not give single commits away; fetching all branches");
            run(&[repository, "+refs/heads/*:refs/heads/*"]).map(|_| ())
        }
        Err(error) => Err(error),
    }
}

fn commit_of(repository: &Path, reference: &str) -> Result<String, Error> {
    let name = format!("{reference}^{{commit}}");
    let found = git(repository, &["rev-parse", "--verify", "--quiet", "--end-of-options", &name])
        .map_err(|_| Error::Git(format!("{} has no commit `{reference}`", repository.display())))?;
    Ok(String::from_utf8_lossy(&found).trim().to_owned())
}

fn checkout(repository: &Path, commit: &str, origin: &str, requested: &str, job: &Job<'_>) -> Result<Resolved, Error> {
    let name = format!("commit {}", &commit[..12.min(commit.len())]);
    let tree: PathBuf = tree::obtain(commit, &name, job, |dir| tree::unpack_commit(repository, commit, dir, job))?.dir;
    let source = ResolvedSource {
        requested: requested.to_owned(),
        version: tree::series(&tree)?.to_string(),
        origin: origin.to_owned(),
        sha256: commit.to_owned(),
    };
    Ok(Resolved { source, tree })
}
