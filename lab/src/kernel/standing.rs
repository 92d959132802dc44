//! What is there of a kernel already, without asking anyone or building anything.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::packaged;
use super::provider::{Provider, patched_key};
use super::resolve::{self, ResolvedSource};
use super::workbench;
use super::{Abi, Error, KernelSource, KernelSpec, Series, Version, abi};
use crate::cache::{Cache, Entry, Key};

/// What is there of a kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// What its source came to when it was last asked for.
    pub resolved: Option<ResolvedSource>,
    /// Its tree, if it is unpacked.
    pub tree: Option<PathBuf>,
    /// The folder of its build, if it is built as things are now: with these options and these compilers.
    pub built: Option<PathBuf>,
    /// Where it is patched and built, if that was begun.
    pub workbench: Option<PathBuf>,
    /// What `uname -r` says in it, if it is built.
    pub release: Option<String>,
    /// Its ABI, as its tree says; of a patched one as its tree said when it was built.
    pub abi: Option<Abi>,
}

impl Standing {
    /// With what the entry of its build says, if there is one.
    fn fill(&mut self, entry: &Entry<'_>) {
        let Some(manifest) = entry.peek() else { return };
        let said = |name: &str| manifest.provenance.get(name).cloned();
        self.release = said("release");
        self.abi = said("abi").and_then(|text| serde_json::from_str(&text).ok());
        self.built = Some(entry.dir());
    }

    /// All its folders in the cache.
    pub fn folders(&self) -> impl Iterator<Item = &Path> {
        [&self.tree, &self.built, &self.workbench].into_iter().flatten().map(PathBuf::as_path)
    }
}

impl Provider<'_> {
    /// What the cache has of it.
    ///
    /// # Errors
    /// Its options are malformed.
    pub fn standing(&self, wanted: &KernelSpec) -> Result<Standing, Error> {
        let cache = self.cache();
        let mut found = Standing::default();
        if let KernelSource::Path(path) = &wanted.source {
            let path = super::source::expand_home(path);
            found.abi = path.is_dir().then(|| abi::of_tree(&path));
            found.tree = path.is_dir().then_some(path);
            return Ok(found);
        }
        let Some(resolved) = resolve::remembered(&wanted.source, cache) else { return Ok(found) };
        if let KernelSource::Package(_) = &wanted.source {
            found.fill(&cache.entry("image", &packaged::key(&resolved)));
            found.resolved = Some(resolved);
            return Ok(found);
        }
        found.tree = resolve::unpacked(&resolved.sha256, cache);
        let recipe = self.recipe(wanted)?;
        let series = match &found.tree {
            Some(tree) => super::tree::series(tree).ok(),
            None => series_of(&resolved.version),
        };
        if let Some(series) = series {
            let base = recipe.key(&resolved.sha256, series);
            let patched = !wanted.patches.is_empty();
            let key = if patched { patched_key(&base, wanted) } else { base.clone() };
            found.fill(&cache.entry(if patched { "image" } else { "kernel" }, &key));
            let bench = workbench::dir(cache, &base);
            found.workbench = (patched && bench.is_dir()).then_some(bench);
            if found.abi.is_none() && !patched {
                found.abi = found.tree.as_deref().map(abi::of_tree);
            }
        }
        found.resolved = Some(resolved);
        Ok(found)
    }
}

fn series_of(version: &str) -> Option<Series> {
    version.parse().map(|version: Version| version.series).ok()
}

/// What a folder takes on the disk. A file that others share counts for its part.
#[must_use]
pub fn disk_usage(folder: &Path) -> u64 {
    let mut bytes = 0;
    let mut pending = vec![folder.to_path_buf()];
    while let Some(current) = pending.pop() {
        let Ok(entries) = fs::read_dir(&current) else { continue };
        for entry in entries.flatten() {
            let Ok(meta) = entry.metadata() else { continue };
            if meta.is_dir() {
                pending.push(entry.path());
            }
            let shares = if meta.is_dir() { 1 } else { meta.nlink().max(1) };
            bytes += meta.blocks() * 512 / shares;
        }
    }
    bytes
}

/// The folders of builds that a key leads to; for who decides what to keep.
pub(super) fn folders_of(cache: &Cache, base: &Key, key: &Key) -> [PathBuf; 3] {
    [cache.entry("kernel", base).dir(), cache.entry("image", key).dir(), workbench::dir(cache, base)]
}
