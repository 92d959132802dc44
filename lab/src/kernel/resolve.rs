//! From what was asked for to one tree of known content. An answer is remembered, so that a run needs no network.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::origin::{Candidate, ORIGINS, Wanted, download};
use super::{Error, Job, KernelSource, git, tree};
use crate::cache::{self, Built, Key, Layout, Ready, disk, write_atomically};

/// A moving answer (a series, a branch) is asked for again after this long.
const FRESH: Duration = Duration::from_secs(7 * 24 * 60 * 60);
const TARBALL: &str = "linux.tar";
/// What a tarball takes on the disk, in its package and out of it.
const TARBALL_BYTES: u64 = 350_000_000;

/// What a request came to, for the record of every result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolvedSource {
    /// What was asked for.
    pub requested: String,
    /// The release, or the series that the tree says it belongs to.
    pub version: String,
    /// Who it came from: a name, a URL as given, or a directory.
    pub origin: String,
    /// The tarball's hash; for a repository the commit's; for a directory that of its state.
    pub sha256: String,
}

/// A remembered answer.
#[derive(Debug, Serialize, Deserialize)]
struct Memo {
    resolved: ResolvedSource,
    at: u64,
}

/// A tree, and what it is.
pub(super) struct Resolved {
    pub(super) source: ResolvedSource,
    pub(super) tree: PathBuf,
}

/// Finds or fetches the tree. `refresh` forgets remembered answers that may have changed.
pub(super) fn resolve(source: &KernelSource, refresh: bool, job: &Job<'_>) -> Result<Resolved, Error> {
    let requested = source.to_string();
    if let KernelSource::Git { repository, reference } = source
        && let Some(found) = git::local(repository, reference, job)?
    {
        return Ok(found);
    }
    let memo = memo_path(&requested, job.cache);
    let moving = match source {
        KernelSource::Series(_) => true,
        KernelSource::Git { reference, .. } => !git::is_commit(reference),
        KernelSource::Package(_) | KernelSource::Exact(_) | KernelSource::Tarball { .. } | KernelSource::Path(_) => {
            false
        }
    };
    let remembered = recall(&memo);
    if let Some(memo) = &remembered
        && !(moving && (refresh || !is_fresh(memo)))
        && let Some(tree) = tree::find(&memo.resolved.sha256, job)?
    {
        return Ok(Resolved { source: memo.resolved.clone(), tree });
    }
    let answer = ask(source, &requested, job);
    let resolved = match (answer, remembered) {
        // Out of reach: what was good before is better than nothing, if it is said.
        (Err(error), Some(memo)) if !error.is_cancelled() => {
            let Some(tree) = tree::find(&memo.resolved.sha256, job)? else { return Err(error) };
            job.progress.note(&format!("{error}\ngoing on with Linux {} of earlier", memo.resolved.version));
            return Ok(Resolved { source: memo.resolved, tree });
        }
        (answer, _) => answer?,
    };
    remember(&resolved.source, job.cache)?;
    Ok(resolved)
}

/// Remembers an answer.
pub(super) fn remember(resolved: &ResolvedSource, cache: &cache::Cache) -> Result<(), Error> {
    let memo = memo_path(&resolved.requested, cache);
    let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let record = serde_json::to_vec_pretty(&Memo { resolved: resolved.clone(), at });
    Ok(write_atomically(&memo, &record.map_err(|error| Error::io("describe", &memo, error.into()))?)?)
}

/// A remembered answer that need not be asked for again.
pub(super) fn recent(requested: &str, refresh: bool, cache: &cache::Cache) -> Option<ResolvedSource> {
    recall(&memo_path(requested, cache)).filter(|memo| !refresh && is_fresh(memo)).map(|memo| memo.resolved)
}

fn memo_path(requested: &str, cache: &cache::Cache) -> PathBuf {
    cache.root().join("resolved").join(format!("{}.json", Key::of([("requested", requested)])))
}

/// What a request came to when it was last made.
pub(super) fn remembered(source: &KernelSource, cache: &cache::Cache) -> Option<ResolvedSource> {
    recall(&memo_path(&source.to_string(), cache)).map(|memo| memo.resolved)
}

/// The tree with this content, if it is there.
pub(super) fn unpacked(content: &str, cache: &cache::Cache) -> Option<PathBuf> {
    let entry = cache.entry("tree", &tree::key(content));
    entry.peek().map(|_| entry.dir())
}

fn recall(memo: &Path) -> Option<Memo> {
    serde_json::from_slice(&fs::read(memo).ok()?).ok()
}

fn is_fresh(memo: &Memo) -> bool {
    let at = UNIX_EPOCH + Duration::from_secs(memo.at);
    SystemTime::now().duration_since(at).is_ok_and(|age| age < FRESH)
}

fn ask(source: &KernelSource, requested: &str, job: &Job<'_>) -> Result<Resolved, Error> {
    match source {
        KernelSource::Series(series) => release(Wanted::Series(*series), requested, job),
        KernelSource::Exact(version) => release(Wanted::Exact(*version), requested, job),
        KernelSource::Tarball { url, sha256 } => tarball(url, sha256.as_deref(), requested, job),
        KernelSource::Git { repository, reference } => git::remote(repository, reference, requested, job),
        KernelSource::Path(path) => Err(Error::NotATree {
            path: path.clone(),
            reason: "a directory is built where it is, not fetched".to_owned(),
        }),
        KernelSource::Package(name) => Err(Error::NotATree {
            path: name.into(),
            reason: "a package holds an image, and no source that could be built or patched".to_owned(),
        }),
    }
}

/// Asks everyone in turn, and takes the first release that can really be fetched.
fn release(wanted: Wanted, requested: &str, job: &Job<'_>) -> Result<Resolved, Error> {
    let mut tried = Vec::new();
    for (name, ask) in ORIGINS {
        let candidates = match ask(wanted, job) {
            Ok(candidates) => candidates,
            Err(error) if is_final(&error) => return Err(error),
            Err(error) => {
                job.progress.note(&format!("{name} cannot be used, asking elsewhere: {}", error.brief()));
                tried.push(format!("{name}: {}", error.brief()));
                continue;
            }
        };
        if candidates.is_empty() {
            tried.push(format!("{name}: has none"));
        }
        for candidate in candidates {
            match fetch(&candidate, job).and_then(|ready| unpack(&ready, &candidate.origin, requested, job)) {
                Ok(resolved) => return Ok(resolved),
                Err(error) if is_final(&error) => return Err(error),
                Err(error) => tried.push(format!("{}: {}", candidate.origin, error.brief())),
            }
        }
    }
    Err(Error::NotAvailable { requested: requested.to_owned(), tried })
}

/// Whether asking someone else would not help.
fn is_final(error: &Error) -> bool {
    error.is_cancelled() || matches!(error, Error::Cache(_))
}

fn fetch(candidate: &Candidate, job: &Job<'_>) -> Result<Ready, Error> {
    let version = candidate.version.to_string();
    let key = Key::of([("origin", candidate.origin.as_str()), ("version", version.as_str())]);
    let purpose = format!("downloads Linux {version}");
    let ready = keep_tarball(&key, &purpose, candidate.sha256.as_deref(), &version, job, |tarball, scratch| {
        candidate.fetch(tarball, scratch, job)
    })?;
    Ok(ready)
}

fn tarball(url: &str, sha256: Option<&str>, requested: &str, job: &Job<'_>) -> Result<Resolved, Error> {
    let key = Key::of([("url", url), ("sha256", sha256.unwrap_or_default())]);
    job.progress.stage(&format!("download {url}"), Some(100));
    let ready =
        keep_tarball(&key, &format!("downloads {url}"), sha256, "", job, |tarball, _| download(url, tarball, job))?;
    unpack(&ready, url, requested, job)
}

/// Downloads in a place that outlives an interruption, checks the hash, keeps the tarball.
fn keep_tarball(
    key: &Key,
    purpose: &str,
    sha256: Option<&str>,
    version: &str,
    job: &Job<'_>,
    fetch: impl FnOnce(&Path, &Path) -> Result<(), Error>,
) -> Result<Ready, Error> {
    let entry = job.cache.entry("tarball", key);
    entry.obtain(Layout::InPlace, purpose, (job.progress, job.cancel), |dir| {
        let tarball = dir.join(TARBALL);
        if !tarball.exists() {
            disk::require(dir, TARBALL_BYTES).map_err(cache::Error::NoSpace)?;
            fetch(&tarball, dir)?;
        }
        if let Some(expected) = sha256 {
            let found = cache::digest::file(&tarball).map_err(|source| Error::io("read", &tarball, source))?;
            if found != expected {
                fs::remove_file(&tarball).map_err(|source| Error::io("remove", &tarball, source))?;
                return Err(Error::WrongHash { what: purpose.to_owned(), found, expected: expected.to_owned() });
            }
        }
        Ok(Built::of(&[TARBALL]).with("version", version))
    })
}

fn unpack(ready: &Ready, origin: &str, requested: &str, job: &Job<'_>) -> Result<Resolved, Error> {
    let sha256 = ready.sha256(TARBALL).to_owned();
    let tree = tree::obtain(&sha256, origin, job, |dir| tree::unpack(&ready.dir.join(TARBALL), dir, job))?.dir;
    let version = match ready.provenance("version") {
        "" => tree::series(&tree)?.to_string(),
        version => version.to_owned(),
    };
    let source = ResolvedSource { requested: requested.to_owned(), version, origin: origin.to_owned(), sha256 };
    Ok(Resolved { source, tree })
}
