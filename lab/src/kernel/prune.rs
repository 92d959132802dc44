//! What of the cache can go: builds that no kernel leads to any more, what was never finished, and what is asked for.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::packaged;
use super::provider::{Provider, patched_key};
use super::resolve;
use super::standing::{disk_usage, folders_of};
use super::{Catalogue, Error, KernelSource, KernelSpec, Profile, tree};
use crate::cache::{Cache, Removal};

/// Small results that are made again in seconds go when they are this old.
const OLD: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Why something can go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// It was asked for by name.
    Asked,
    /// No kernel that has a name leads to it: another source, other options or other compilers made it.
    Obsolete,
    /// Whoever began it did not finish it.
    Unfinished,
    /// It is a week old, and made again in seconds.
    Old,
}

/// Something that can go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// What kind of thing it is: its folder within the cache.
    pub kind: &'static str,
    /// What it is, in words.
    pub what: String,
    /// Its folder.
    pub folder: PathBuf,
    /// What it takes on the disk.
    pub bytes: u64,
    /// Why it can go.
    pub why: Why,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is gone.
    Freed,
    /// Someone uses it, or builds it.
    InUse,
}

/// The kinds whose entries a kernel's key leads to, and those that are small and many.
const LARGE: [&str; 4] = ["kernel", "image", "workbench", "tree"];
const SMALL: [&str; 4] = ["module", "module-clippy", "initramfs", "agent"];

/// What can go. Without `asked`, what no kernel of the catalogue leads to; with it, all that these lead to and no other
/// does. Tarballs stay: they are small, and a network may be out of reach later.
///
/// # Errors
/// A kernel's options are malformed.
pub fn candidates(cache: &Cache, catalogue: &Catalogue, asked: &[KernelSpec]) -> Result<Vec<Candidate>, Error> {
    let others = catalogue.named().map(|named| &named.spec).filter(|spec| !asked.contains(spec));
    let kept = folders(cache, others)?;
    let wanted = folders(cache, asked.iter())?;
    let mut found = Vec::new();
    for (kind, folder) in entries(cache, &LARGE) {
        let finished = folder.join("manifest.json").is_file() || kind == "workbench";
        let why = match () {
            () if kept.contains(&folder) => continue,
            () if !asked.is_empty() && wanted.contains(&folder) => Why::Asked,
            () if !asked.is_empty() => continue,
            () if finished => Why::Obsolete,
            () => Why::Unfinished,
        };
        found.push(Candidate { kind, what: describe(&folder), bytes: disk_usage(&folder), folder, why });
    }
    if asked.is_empty() {
        for (kind, folder) in entries(cache, &SMALL).filter(|(_, folder)| is_old(folder)) {
            found.push(Candidate { kind, what: describe(&folder), bytes: disk_usage(&folder), folder, why: Why::Old });
        }
        for (kind, folder) in entries(cache, &["tarball"]).filter(|(_, it)| !it.join("manifest.json").is_file()) {
            let what = "a download that was not finished".to_owned();
            found.push(Candidate { kind, what, bytes: disk_usage(&folder), folder, why: Why::Unfinished });
        }
    }
    found.sort_by_key(|candidate| std::cmp::Reverse(candidate.bytes));
    Ok(found)
}

/// Removes it, unless someone uses it.
///
/// # Errors
/// The file system refuses.
pub fn free(cache: &Cache, candidate: &Candidate) -> Result<Fate, Error> {
    Ok(match cache.remove(candidate.kind, &candidate.folder)? {
        Removal::Done => Fate::Freed,
        Removal::InUse => Fate::InUse,
    })
}

/// All folders that these kernels lead to, whatever they are built for.
fn folders<'a>(cache: &Cache, specs: impl Iterator<Item = &'a KernelSpec>) -> Result<BTreeSet<PathBuf>, Error> {
    let mut folders = BTreeSet::new();
    for spec in specs.filter(|spec| !matches!(spec.source, KernelSource::Path(_))) {
        let Some(resolved) = resolve::remembered(&spec.source, cache) else { continue };
        if let KernelSource::Package(_) = &spec.source {
            folders.insert(cache.entry("image", &packaged::key(&resolved)).dir());
            continue;
        }
        let Some(tree) = resolve::unpacked(&resolved.sha256, cache) else { continue };
        let series = tree::series(&tree)?;
        folders.insert(tree);
        for profile in Profile::ALL {
            let base = Provider::new(cache).with_profile(profile).recipe(spec)?.key(&resolved.sha256, series);
            folders.extend(folders_of(cache, &base, &patched_key(&base, spec)));
        }
    }
    Ok(folders)
}

fn entries<'a>(cache: &'a Cache, kinds: &'a [&'static str]) -> impl Iterator<Item = (&'static str, PathBuf)> + 'a {
    kinds.iter().flat_map(|&kind| {
        let entries = fs::read_dir(cache.root().join(kind)).into_iter().flatten().flatten();
        entries.map(move |entry| (kind, entry.path())).filter(|(_, path)| path.is_dir())
    })
}

fn is_old(folder: &Path) -> bool {
    let made = fs::metadata(folder.join("manifest.json")).and_then(|meta| meta.modified());
    made.is_ok_and(|made| SystemTime::now().duration_since(made).is_ok_and(|age| age > OLD))
}

/// What an entry's own description says of it.
fn describe(folder: &Path) -> String {
    let text = fs::read_to_string(folder.join("manifest.json")).unwrap_or_default();
    let manifest: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    let said = |name: &str| manifest["provenance"][name].as_str().filter(|text| !text.is_empty());
    let release = said("release").map(|release| format!("Linux {release}"));
    let files = || manifest["files"].as_object().map(|files| files.keys().cloned().collect::<Vec<_>>().join(", "));
    release.or_else(|| said("source").map(str::to_owned)).or_else(files).unwrap_or_else(|| "unfinished".to_owned())
}
