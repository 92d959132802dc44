//! Whether something builds for a kernel: found out by trying, and remembered.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde::{Deserialize, Serialize};

use super::build::Build;
use super::provider::Provider;
use super::resolve::resolve;
use super::steps::Extent;
use super::{Error, Fragment, Job, Kernel, KernelSource, KernelSpec, module, tree};
use crate::cache::{Key, write_atomically};
use crate::host::{Cancel, Progress};

/// What a trial came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// Whether it builds.
    pub builds: bool,
    /// If it does not, the first error.
    pub said: Vec<String>,
    /// What the kernel asks for, if it says: the oldest compilers that may do.
    pub asks: Option<String>,
}

/// Lines of a kernel's Rust that say what it takes.
const RUST: &str = "\nCONFIG_RUST=y\n# CONFIG_MODVERSIONS is not set\n";

impl Provider<'_> {
    /// Whether the kernel's own Rust builds with this machine's compilers: its core, its bindings and its crate, as far as
    /// they come before the kernel itself. `built` is the kernel as it is built; with Rust in it, it is the proof.
    ///
    /// # Errors
    /// It could not be tried: the source cannot be had, or the work was cancelled.
    pub fn try_rust(
        &self,
        wanted: &KernelSpec,
        built: &Kernel,
        progress: &dyn Progress,
        cancel: &Cancel,
    ) -> Result<Trial, Error> {
        if built.rust {
            return Ok(Trial { builds: true, said: Vec::new(), asks: asks(&built.source_dir) });
        }
        let job = Job { cache: self.cache(), progress, cancel };
        if let KernelSource::Package(_) = &wanted.source {
            let said = vec!["a package holds no source".to_owned()];
            return Ok(Trial { builds: false, said, asks: None });
        }
        let mut recipe = self.recipe(wanted)?;
        let (content, tree) = match &wanted.source {
            KernelSource::Path(path) => {
                let (source, tree) = super::provider::directory(path, wanted)?;
                (source.sha256, tree)
            }
            source => {
                let resolved = resolve(source, false, &job)?;
                (resolved.source.sha256, resolved.tree)
            }
        };
        let series = tree::series(&tree)?;
        let fragment = Fragment::parse(&format!("{}{RUST}", recipe.fragment.for_series(series)))?;
        recipe.fragment = fragment;
        let key = Key::of([("trial", "rust"), ("build", recipe.key(&content, series).as_str())]);
        let asks = asks(&tree);
        remembered(&job, &key, asks, || {
            let dir = job.cache.root().join("tmp").join(format!("trial.{key}"));
            fs::create_dir_all(&dir).map_err(|source| Error::io("create", &dir, source))?;
            let identity = &key.short()[..16];
            let build = Build {
                tree: &tree,
                dir: &dir,
                fragment: &recipe.fragment,
                tools: &recipe.tools,
                identity,
                extent: Extent::Unknown,
            };
            let outcome = build.prepare(&job);
            let _ = fs::remove_dir_all(&dir);
            outcome
        })
    }
}

/// Whether these sources build as modules for the kernel.
///
/// # Errors
/// It could not be tried, or the work was cancelled.
pub fn try_module(
    kernel: &Kernel,
    sources: &Path,
    cache: &crate::cache::Cache,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Trial, Error> {
    let job = Job { cache, progress, cancel };
    if !kernel.rust {
        let said = vec!["the kernel is built without Rust".to_owned()];
        return Ok(Trial { builds: false, said, asks: None });
    }
    let key = module::key(kernel, sources)?;
    remembered(&job, &Key::of([("trial", "module"), ("build", key.as_str())]), None, || {
        module::build(cache, kernel, sources, progress, cancel).map(drop)
    })
}

/// Tries, unless it was tried before. What fails for want of a disk or of patience was no trial.
fn remembered(
    job: &Job<'_>,
    key: &Key,
    asks: Option<String>,
    attempt: impl FnOnce() -> Result<(), Error>,
) -> Result<Trial, Error> {
    let memo = job.cache.root().join("trials").join(format!("{key}.json"));
    if let Some(known) = fs::read(&memo).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
        return Ok(known);
    }
    let (builds, said) = match attempt() {
        Ok(()) => (true, Vec::new()),
        Err(Error::Build { excerpt, .. }) => (false, excerpt),
        Err(Error::Config { problems, .. }) => (false, problems),
        Err(other) => return Err(other),
    };
    let trial = Trial { builds, said, asks };
    let text = serde_json::to_vec_pretty(&trial).map_err(|error| Error::io("describe", &memo, error.into()))?;
    write_atomically(&memo, &text)?;
    Ok(trial)
}

/// The oldest compilers that the tree says it takes.
fn asks(tree: &Path) -> Option<String> {
    let oldest = |tool: &str| {
        let script = tree.join("scripts/min-tool-version.sh");
        let output = Command::new("sh").arg(script).arg(tool).output().ok().filter(|it| it.status.success())?;
        let text = String::from_utf8(output.stdout).ok()?;
        let text = text.trim();
        let is_version = !text.is_empty() && text.len() < 32 && text.bytes().all(|c| c.is_ascii_digit() || c == b'.');
        is_version.then(|| text.to_owned())
    };
    Some(format!("rustc {} and bindgen {} at least", oldest("rustc")?, oldest("bindgen")?))
}
