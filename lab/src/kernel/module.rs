//! Builds modules outside the kernel's tree, from a copy of their sources: a checkout is never written to.

use std::fs;
use std::path::{Path, PathBuf};

use super::build::watch;
use super::tools::Tools;
use super::workbench::Held;
use super::{Error, Job, Kernel, Patch, Profile, patch};
use crate::cache::digest::Hasher;
use crate::cache::{Built, Cache, Key, Layout, Lock, Ready, digest};
use crate::host::{Cancel, Progress};

/// Where the cache keeps modules.
const KIND: &str = "module";

/// A module built for one kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// The `.ko` file.
    pub path: PathBuf,
    /// Its hash.
    pub sha256: String,
}

/// The modules whose sources are in `sources`, built for `kernel` if need be: at least one, by their names.
///
/// # Errors
/// They cannot be built, or the work was cancelled.
pub fn build(
    cache: &Cache,
    kernel: &Kernel,
    sources: &Path,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Vec<Module>, Error> {
    let job = Job { cache, progress, cancel };
    let ready = attempt(&job, kernel, sources, KIND, &[])?;
    let modules = ready.manifest.files.iter();
    Ok(modules.map(|(name, made)| Module { path: ready.dir.join(name), sha256: made.sha256.clone() }).collect())
}

/// Puts a patched copy of the modules' sources into `into`, where `project` and the patches have them in one folder; that
/// copy.
///
/// # Errors
/// A patch does not apply.
pub fn patched(
    project: &Path,
    patches: &[Patch],
    into: &Path,
    cache: &Cache,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<PathBuf, Error> {
    let folder = Path::new("kmod");
    let sources = project.join(folder);
    for file in files(&sources)? {
        place(&sources.join(&file), &into.join(folder).join(&file))?;
    }
    patch::apply(patches, project, "the module", into, &Job { cache, progress, cancel })?;
    Ok(into.join(folder))
}

fn place(from: &Path, to: &Path) -> Result<(), Error> {
    let placed = fs::create_dir_all(to.parent().unwrap_or(to)).and_then(|()| fs::copy(from, to));
    placed.map(drop).map_err(|source| Error::io("copy", from, source))
}

/// Has clippy look at the module's Rust as it is built for `kernel`; warnings are errors.
///
/// # Errors
/// Clippy found something, or the module cannot be built.
pub fn clippy(
    cache: &Cache,
    kernel: &Kernel,
    sources: &Path,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<(), Error> {
    let job = Job { cache, progress, cancel };
    attempt(&job, kernel, sources, "module-clippy", &["CLIPPY=1", "KRUSTFLAGS=-Dwarnings"]).map(|_| ())
}

/// What a module is built against.
struct Against<'a> {
    key: &'a str,
    release: &'a str,
    profile: Profile,
    tree: &'a Path,
    build: &'a Path,
}

fn attempt(
    job: &Job<'_>,
    kernel: &Kernel,
    sources: &Path,
    kind: &'static str,
    options: &[&str],
) -> Result<Ready, Error> {
    let against = Against {
        key: &kernel.key,
        release: &kernel.release,
        profile: kernel.profile,
        tree: &kernel.source_dir,
        build: &kernel.build_dir,
    };
    // A workbench may have been another kernel since.
    let take = || kernel.workbench.as_ref().map(|bench| bench.take(job)).transpose();
    against.build(sources, kind, options, take, job)
}

/// Builds modules for a kernel while it is on the workbench, so that it need not come back there for them. Sources that do
/// not build say so when they are asked for.
pub(super) fn build_ahead(
    held: &Held,
    (key, release): (&Key, &str),
    profile: Profile,
    sources: &Path,
    job: &Job<'_>,
) -> Result<(), Error> {
    let against = Against { key: key.as_str(), release, profile, tree: &held.tree, build: &held.build };
    // Who builds them already may be waiting for this very workbench.
    let free = Lock::try_take(&job.cache.lock_path(KIND, &against.entry_key(sources)?))?;
    if free.is_none() {
        return Ok(());
    }
    drop(free);
    match against.build(sources, KIND, &[], || Ok(None), job) {
        Ok(_) | Err(Error::Build { .. }) => Ok(()),
        Err(other) => Err(other),
    }
}

impl Against<'_> {
    fn entry_key(&self, sources: &Path) -> Result<Key, Error> {
        let content = content(sources, &files(sources)?)?;
        Ok(Key::of([("kernel", self.key), ("sources", &content)]))
    }

    /// Builds in a copy, while what `take` gives is held.
    fn build(
        &self,
        sources: &Path,
        kind: &'static str,
        options: &[&str],
        take: impl FnOnce() -> Result<Option<Held>, Error>,
        job: &Job<'_>,
    ) -> Result<Ready, Error> {
        let key = self.entry_key(sources)?;
        let entry = job.cache.entry(kind, &key);
        let shown = sources.file_name().unwrap_or(sources.as_os_str()).display();
        let purpose = format!("builds {shown} for Linux {}", self.release);
        entry.obtain(Layout::Moved, &purpose, (job.progress, job.cancel), |dir| {
            let copy = dir.join("src");
            for file in &files(sources)? {
                place(&sources.join(file), &copy.join(file))?;
            }
            let _held = take()?;
            job.progress.stage(&format!("build {shown} for Linux {}", self.release), None);
            let tools = Tools::find(job.cache, self.profile.compiler());
            let mut command = tools.make(self.tree, self.build);
            command.arg(format!("M={}", copy.display())).args(options).arg("modules");
            let log = job.cache.root().join("logs").join(format!("{kind}.{key}.log"));
            let what = format!("the build of {shown}");
            watch(command, &what, &log, dir, job, &mut |step| job.progress.advance(step))
                .map_err(|error| in_place_of(error, &copy, sources))?;
            keep_modules(dir, &copy)
        })
    }
}

/// What a build is a function of.
pub(super) fn key(kernel: &Kernel, sources: &Path) -> Result<Key, Error> {
    Ok(Key::of([("kernel", kernel.key.as_str()), ("sources", &content(sources, &files(sources)?)?)]))
}

/// Keeps the modules, drops the rest.
fn keep_modules(dir: &Path, copy: &Path) -> Result<Built, Error> {
    let failed = |source| Error::io("keep the module of", copy, source);
    let mut names = Vec::new();
    for entry in fs::read_dir(copy).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "ko") {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            fs::rename(&path, dir.join(&name)).map_err(failed)?;
            names.push(name);
        }
    }
    fs::remove_dir_all(copy).map_err(failed)?;
    if names.is_empty() {
        let reason = "its build left no `.ko` file; does its Kbuild say `obj-m`?".to_owned();
        return Err(Error::NotATree { path: copy.to_path_buf(), reason });
    }
    Ok(Built { files: names, ..Built::default() })
}

/// An error about the copy, told of the sources that a person can open.
fn in_place_of(error: Error, copy: &Path, sources: &Path) -> Error {
    let (copy, sources) = (copy.display().to_string(), sources.display().to_string());
    match error {
        Error::Build { what, excerpt, log } => {
            let excerpt = excerpt.into_iter().map(|line| line.replace(&copy, &sources)).collect();
            Error::Build { what, excerpt, log }
        }
        other => other,
    }
}

/// The sources, without what a build by hand may have left there.
fn files(sources: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut found = Vec::new();
    let mut pending = vec![sources.to_path_buf()];
    while let Some(current) = pending.pop() {
        let failed = |source| Error::io("read", &current, source);
        for entry in fs::read_dir(&current).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            if name.starts_with('.') || name == "target" {
                continue;
            }
            if path.is_dir() {
                pending.push(path);
            } else if !is_product(&name) {
                found.push(path.strip_prefix(sources).unwrap_or(&path).to_path_buf());
            }
        }
    }
    found.sort();
    Ok(found)
}

fn is_product(name: &str) -> bool {
    [".o", ".ko", ".mod", ".mod.c", ".cmd", ".rmeta", ".a"].iter().any(|ending| name.ends_with(ending))
        || matches!(name, "Module.symvers" | "modules.order")
}

fn content(sources: &Path, files: &[PathBuf]) -> Result<String, Error> {
    let mut hasher = Hasher::new();
    for file in files {
        let path = sources.join(file);
        hasher.field(file.as_os_str().as_encoded_bytes());
        hasher.field(digest::file(&path).map_err(|source| Error::io("read", &path, source))?);
    }
    Ok(hasher.finish())
}
