//! Configures and builds a kernel in a directory that it may resume in.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::fragment::Fragment;
use super::kconfig::Kconfig;
use super::steps::{Count, Extent};
use super::tools::Tools;
use super::{Error, Job, Series, excerpt, tree};
use crate::cache::{Key, Lock, disk, write_atomically};
use crate::host::process::Watched;

/// What a build takes on the disk.
const BUILD_BYTES: u64 = 500_000_000;

/// The kernel image within the build directory.
pub(super) const IMAGE: &str = "arch/x86/boot/bzImage";
/// Its configuration.
pub(super) const CONFIG: &str = ".config";
/// What has to be intact for the image to boot and for modules to be built against it.
pub(super) const VERIFIED: [&str; 4] = [IMAGE, CONFIG, "Module.symvers", "include/config/kernel.release"];

/// A kernel to be built.
pub(super) struct Build<'a> {
    pub(super) tree: &'a Path,
    pub(super) dir: &'a Path,
    pub(super) fragment: &'a Fragment,
    pub(super) tools: &'a Tools,
    /// Appears in the kernel's banner: `/proc/version` proves which build is running.
    pub(super) identity: &'a str,
    /// How much is to be built.
    pub(super) extent: Extent,
}

impl Build<'_> {
    /// Configures if the fragment changed, and makes what is not up to date.
    pub(super) fn run(&self, job: &Job<'_>) -> Result<(), Error> {
        disk::require(self.dir, BUILD_BYTES).map_err(crate::cache::Error::NoSpace)?;
        let series = tree::series(self.tree)?;
        let _alone = self.alone(series, job)?;
        self.configure(series, job)?;
        let count = Count::begin(&self.extent, self.tree, self.dir);
        job.progress.stage(&format!("build Linux {series}"), count.total);
        let mut steps = 0;
        let made = self.make(&["bzImage", "modules"], "the kernel's build", job, &mut |step| {
            steps = step;
            job.progress.advance(count.before + step);
        });
        count.end(steps, made.is_ok());
        made
    }

    /// Configures, and makes what comes before the kernel itself: headers, tools, and the kernel's Rust.
    pub(super) fn prepare(&self, job: &Job<'_>) -> Result<(), Error> {
        disk::require(self.dir, BUILD_BYTES).map_err(crate::cache::Error::NoSpace)?;
        let series = tree::series(self.tree)?;
        let _alone = self.alone(series, job)?;
        self.configure(series, job)?;
        job.progress.stage(&format!("try the Rust of Linux {series}"), None);
        self.make(&["prepare"], "the build of the kernel's Rust", job, &mut |step| job.progress.advance(step))
    }

    /// One at a time, with all processors: two would take twice as long each.
    fn alone(&self, series: Series, job: &Job<'_>) -> Result<Lock, Error> {
        let path = job.cache.lock_path("build", &Key::of([("what", "any kernel")]));
        Ok(Lock::take(&path, &format!("builds Linux {series}"), job.progress, job.cancel)?)
    }

    fn configure(&self, series: Series, job: &Job<'_>) -> Result<(), Error> {
        job.progress.stage(&format!("configure Linux {series}"), None);
        let wanted = self.fragment.for_series(series);
        let config = self.dir.join(CONFIG);
        let asked = self.dir.join("liveupdate-lab.config");
        // The configuration of an interrupted or earlier build is kept: rewriting it would rebuild everything.
        if fs::read_to_string(&asked).ok().as_deref() != Some(&wanted) || !config.is_file() {
            self.make(&["tinyconfig"], "the kernel's configuration", job, &mut |_| {})?;
            let tiny = fs::read_to_string(&config).map_err(|source| Error::io("read", &config, source))?;
            fs::write(&config, tiny + &wanted).map_err(|source| Error::io("write", &config, source))?;
        }
        self.make(&["olddefconfig"], "the kernel's configuration", job, &mut |_| {})?;
        let text = fs::read_to_string(&config).map_err(|source| Error::io("read", &config, source))?;
        let problems = self.fragment.problems(series, &text, || Kconfig::read(self.tree));
        if !problems.is_empty() {
            // Nothing to resume from.
            let _ = fs::remove_file(&asked);
            return Err(Error::Config { release: series.to_string(), problems });
        }
        Ok(write_atomically(&asked, wanted.as_bytes())?)
    }

    fn make(&self, targets: &[&str], what: &str, job: &Job<'_>, on_step: &mut dyn FnMut(u64)) -> Result<(), Error> {
        let mut command = self.tools.make(self.tree, self.dir);
        // Equal inputs give equal images: no clock, no host name, no count of builds.
        command
            .env("KBUILD_BUILD_TIMESTAMP", "1970-01-01 00:00:00 UTC")
            .env("KBUILD_BUILD_VERSION", "1")
            .env("KBUILD_BUILD_USER", "liveupdate-lab")
            .env("KBUILD_BUILD_HOST", self.identity)
            .args(targets);
        watch(command, what, &log_path(job, self.dir), self.dir, job, on_step)
    }
}

/// Where the log of work in a directory is kept, also when the directory is thrown away.
pub(super) fn log_path(job: &Job<'_>, dir: &Path) -> PathBuf {
    // A build directory has its key for a name; a workbench's lies in a folder of that name.
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let name = match dir.parent() {
        Some(bench) if dir.ends_with("build") => format!("workbench.{}", name(bench)),
        _ => name(dir),
    };
    job.cache.root().join("logs").join(format!("{name}.log"))
}

/// Runs a build step, counting what kbuild announces; its failure shows the first error.
pub(super) fn watch(
    command: Command,
    what: &str,
    log: &Path,
    output: &Path,
    job: &Job<'_>,
    on_step: &mut dyn FnMut(u64),
) -> Result<(), Error> {
    let fresh = || {
        fs::create_dir_all(log.parent().unwrap_or(log))?;
        fs::write(log, "")
    };
    fresh().map_err(|source| Error::io("write", log, source))?;
    let mut steps = 0;
    let outcome = Watched::new(command, job.cancel).log(log).run(|line| {
        if excerpt::is_progress(line) {
            steps += 1;
            on_step(steps);
        }
    })?;
    if outcome.status.success() {
        return Ok(());
    }
    let text = fs::read(log).map_err(|source| Error::io("read", log, source))?;
    let text = String::from_utf8_lossy(&text);
    if let Some(shortage) = disk::shortage_in(text.lines(), output) {
        return Err(crate::cache::Error::NoSpace(shortage).into());
    }
    Err(Error::Build { what: what.to_owned(), excerpt: excerpt::first_error(&text), log: log.to_path_buf() })
}
