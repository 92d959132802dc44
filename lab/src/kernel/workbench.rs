//! One place where a tree is patched one way after another and built incrementally: a patch costs what depends on it.
//!
//! ```text
//! <cache>/workbench/<base>/tree      the tree, hard-linked to the cached one; what a patch changes is replaced
//! <cache>/workbench/<base>/build     its build directory, with all objects
//! <cache>/workbench/<base>/changed   the files that differ from the cached tree
//! <cache>/workbench/<base>/state     the build that all is up to date for
//! ```

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use xshell::cmd;

use super::build::Build;
use super::fragment::Fragment;
use super::patch::{self, Patch};
use super::steps::{self, Extent};
use super::tools::Tools;
use super::{Error, Job, Profile, tree};
use crate::cache::{Cache, Key, Lock, disk, write_atomically};

/// What a build with all its objects takes on the disk, and the folders of a tree.
const BENCH_BYTES: u64 = 1_200_000_000;

/// What it takes to have the workbench be one kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Workbench {
    /// The cached tree that it begins with.
    pub(super) pristine: PathBuf,
    /// What all kernels on it have in common: source, options and compilers.
    pub(super) base: Key,
    /// This kernel.
    pub(super) key: Key,
    pub(super) patches: Vec<Patch>,
    pub(super) fragment: Fragment,
    pub(super) profile: Profile,
    /// The release, for messages.
    pub(super) version: String,
}

/// The workbench, being this kernel and locked until dropped.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) tree: PathBuf,
    pub(super) build: PathBuf,
    _lock: Lock,
}

impl Workbench {
    pub(super) fn dir(&self, job: &Job<'_>) -> PathBuf {
        dir(job.cache, &self.base)
    }

    /// Waits for it, and has it be this kernel: patched and built.
    pub(super) fn take(&self, job: &Job<'_>) -> Result<Held, Error> {
        let dir = self.dir(job);
        let names: Vec<&str> = self.patches.iter().map(Patch::name).collect();
        let purpose = format!("builds Linux {} with {}", self.version, names.join(", "));
        let lock = Lock::take(&job.cache.lock_path("workbench", &self.base), &purpose, job.progress, job.cancel)?;
        let held = Held { tree: dir.join("tree"), build: dir.join("build"), _lock: lock };
        let state = dir.join("state");
        let is_up_to_date = fs::read_to_string(&state).is_ok_and(|built| built == self.key.as_str());
        if is_up_to_date {
            return Ok(held);
        }
        let _ = fs::remove_file(&state);
        self.furnish(&dir, job)?;
        let changed = self.patch(&dir, job)?;
        let built = dir.join("built");
        let tools = Tools::find(job.cache, self.profile.compiler());
        let series = tree::series(&held.tree)?;
        let extent = if built.exists() {
            Extent::Part { changed, memory: dir.join("rest") }
        } else {
            let memory = steps::memory(job.cache.root(), &series.to_string(), &self.fragment.for_series(series));
            Extent::Whole { memory, usual: self.profile.usual_steps() }
        };
        let identity = &self.key.short()[..16];
        Build { tree: &held.tree, dir: &held.build, fragment: &self.fragment, tools: &tools, identity, extent }
            .run(job)?;
        write_atomically(&built, b"")?;
        write_list(&dir.join("changed"), self.files())?;
        write_atomically(&state, self.key.as_str().as_bytes())?;
        Ok(held)
    }

    /// Makes tree and build directory. Links cost no space, and a patched file is replaced, never written to.
    fn furnish(&self, dir: &Path, job: &Job<'_>) -> Result<(), Error> {
        let (tree, partial, build) = (dir.join("tree"), dir.join("tree.partial"), dir.join("build"));
        fs::create_dir_all(&build).map_err(|source| Error::io("create", &build, source))?;
        if tree.is_dir() {
            return Ok(());
        }
        disk::require(dir, BENCH_BYTES).map_err(crate::cache::Error::NoSpace)?;
        job.progress.stage(&format!("lay out Linux {} on a workbench", self.version), None);
        let (shell, pristine) = (tree::shell()?, &self.pristine);
        job.run(cmd!(shell, "rm -rf {partial}"), dir, |_| {})?;
        job.run(cmd!(shell, "cp --archive --link --no-target-directory {pristine} {partial}"), dir, |_| {})?;
        fs::rename(&partial, &tree).map_err(|source| Error::io("name", &tree, source))
    }

    fn files(&self) -> BTreeSet<&Path> {
        self.patches.iter().flat_map(Patch::files).collect()
    }

    /// Has the tree be as the patches want it; the files that this or an unfinished build before it changed.
    fn patch(&self, dir: &Path, job: &Job<'_>) -> Result<Vec<PathBuf>, Error> {
        let scratch = dir.join("scratch");
        let _ = fs::remove_dir_all(&scratch);
        patch::apply(&self.patches, &self.pristine, &format!("Linux {}", self.version), &scratch, job)?;
        let list = dir.join("changed");
        let earlier = fs::read_to_string(&list).unwrap_or_default();
        let wanted = self.files();
        let all: BTreeSet<&Path> = wanted.iter().copied().chain(earlier.lines().map(Path::new)).collect();
        // Before anything is touched: whatever happens, the next one knows what to put right.
        write_list(&list, all.iter().copied())?;
        for &file in &all {
            let from = if wanted.contains(file) { &scratch } else { &self.pristine };
            replace(&from.join(file), &dir.join("tree").join(file))?;
        }
        let _ = fs::remove_dir_all(&scratch);
        Ok(all.into_iter().map(Path::to_path_buf).collect())
    }
}

/// Where the workbench of kernels on top of one with this key is.
pub(super) fn dir(cache: &Cache, base: &Key) -> PathBuf {
    cache.root().join("workbench").join(base.short())
}

fn write_list<'a>(list: &Path, files: impl IntoIterator<Item = &'a Path>) -> Result<(), Error> {
    let text: String = files.into_iter().map(|file| format!("{}\n", file.display())).collect();
    Ok(write_atomically(list, text.as_bytes())?)
}

/// Has `to` hold what `from` does, as a file of its own that is new to make, if it does not already.
fn replace(from: &Path, to: &Path) -> Result<(), Error> {
    let read = |path: &Path| match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::io("read", path, source)),
    };
    let (wanted, present) = (read(from)?, read(to)?);
    if wanted == present {
        return Ok(());
    }
    match wanted {
        None => fs::remove_file(to).map_err(|source| Error::io("remove", to, source))?,
        Some(bytes) => {
            write_atomically(to, &bytes)?;
            // A script stays one that can be run.
            if let Ok(meta) = fs::metadata(from) {
                fs::set_permissions(to, meta.permissions()).map_err(|source| Error::io("change", to, source))?;
            }
        }
    }
    Ok(())
}
