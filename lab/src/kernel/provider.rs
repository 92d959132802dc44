//! Hands out built kernels: from the cache if there is one, else by building it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::build::{Build, CONFIG, IMAGE, VERIFIED};
use super::fragment::Fragment;
use super::resolve::{Resolved, ResolvedSource, resolve};
use super::source::expand_home;
use super::tools::Tools;
use super::{Abi, Error, Job, KernelSource, Profile, abi, tree, tree_state};
use crate::cache::{Built, Cache, Key, Layout, Lock, Ready, digest, write_atomically};
use crate::host::{Cancel, Progress};

/// A kernel, ready to boot and to build modules against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    /// What `uname -r` says in the guest.
    pub release: String,
    /// What `/proc/version` says in the guest, but for spaces: it names this very build.
    pub version_string: String,
    /// The image to boot.
    pub image: PathBuf,
    /// Its hash.
    pub image_sha256: String,
    /// The source tree.
    pub source_dir: PathBuf,
    /// The build directory, for modules.
    pub build_dir: PathBuf,
    /// What was asked for, and what it came to.
    pub source: ResolvedSource,
    /// What it was built for.
    pub profile: Profile,
    /// Whether Rust modules can be loaded.
    pub rust: bool,
    /// The hash of the configuration.
    pub config_sha256: String,
    /// What the C compiler says of itself.
    pub compiler: String,
    /// What the Rust compiler says of itself, if the kernel has Rust in it.
    pub rustc: Option<String>,
    /// How it hands memory on and what it takes, as its source says.
    pub abi: Abi,
    /// What the build is a function of.
    pub key: String,
}

/// Hands out kernels.
#[derive(Debug, Clone)]
pub struct Provider<'a> {
    cache: &'a Cache,
    profile: Profile,
    fragment: String,
    refresh: bool,
}

impl<'a> Provider<'a> {
    /// Kernels with the lab's configuration, kept in this cache.
    #[must_use]
    pub fn new(cache: &'a Cache) -> Self {
        let profile = Profile::default();
        Self { cache, profile, fragment: profile.fragment(), refresh: false }
    }

    /// Kernels built for this.
    #[must_use]
    pub fn with_profile(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self.fragment = profile.fragment();
        self
    }

    /// Adds options; a later line wins over an earlier one.
    #[must_use]
    pub fn with_options(mut self, lines: &str) -> Self {
        self.fragment.push_str(lines);
        self
    }

    /// Uses this configuration fragment instead of the lab's.
    #[must_use]
    pub fn with_fragment(mut self, fragment: &str) -> Self {
        fragment.clone_into(&mut self.fragment);
        self
    }

    /// Looks for newer patch releases and commits now, not only when the last look is a week old.
    #[must_use]
    pub fn refresh(mut self, refresh: bool) -> Self {
        self.refresh = refresh;
        self
    }

    /// The kernel, built if need be.
    ///
    /// # Errors
    /// It cannot be had, configured or built; or the work was cancelled.
    pub fn obtain(&self, source: &KernelSource, progress: &dyn Progress, cancel: &Cancel) -> Result<Kernel, Error> {
        let job = Job { cache: self.cache, progress, cancel };
        let fragment = Fragment::parse(&self.fragment)?;
        let tools = Tools::find(self.cache, self.profile.compiler());
        match source {
            KernelSource::Path(path) => self.in_place(path, source, &fragment, &tools, &job),
            _ => self.fetched(source, &fragment, &tools, &job),
        }
    }

    /// A tree of known content is built once.
    fn fetched(
        &self,
        source: &KernelSource,
        fragment: &Fragment,
        tools: &Tools,
        job: &Job<'_>,
    ) -> Result<Kernel, Error> {
        let Resolved { source, tree } = resolve(source, self.refresh, job)?;
        let key = key_of(&source.sha256, &fragment.for_series(tree::series(&tree)?), tools);
        let entry = self.cache.entry("kernel", &key);
        let purpose = format!("builds Linux {}", source.version);
        let ready = entry.obtain(Layout::InPlace, &purpose, (job.progress, job.cancel), |dir| {
            let identity = &key.short()[..16];
            Build { tree: &tree, dir, fragment, tools, identity, steps: self.profile.usual_steps() }.run(job)?;
            prune(dir)?;
            let built = Built::of(&VERIFIED);
            Ok::<_, Error>(Built { provenance: facts(dir, &tree, fragment)?, ..built }.with("origin", &source.origin))
        })?;
        let places = Places { build: ready.dir.clone(), source: tree, image: ready.dir.join(IMAGE) };
        Ok(self.kernel(&ready, places, source, tools, &key))
    }

    /// A directory that someone works in keeps its build directory, where make sees what changed.
    /// The image is copied out: the next build must not change a kernel that is in use.
    fn in_place(
        &self,
        path: &Path,
        requested: &KernelSource,
        fragment: &Fragment,
        tools: &Tools,
        job: &Job<'_>,
    ) -> Result<Kernel, Error> {
        let path = expand_home(path);
        let tree = path.canonicalize().map_err(|source| Error::io("open", &path, source))?;
        let series = tree::series(&tree)?;
        let state = tree_state::of(&tree)?;
        let options = fragment.for_series(series);
        let key = key_of(&state, &options, tools);
        let place = key_of(&tree.display().to_string(), &options, tools);
        let build_dir = self.cache.root().join("path").join(place.short());
        let purpose = format!("builds {}", tree.display());
        let _lock = Lock::take(&self.cache.lock_path("path", &place), &purpose, job.progress, job.cancel)?;

        let stamp = build_dir.join("liveupdate-lab.state");
        let in_step = fs::read_to_string(&stamp).is_ok_and(|built| built == key.as_str());
        if !in_step {
            let _ = fs::remove_file(&stamp);
            fs::create_dir_all(&build_dir).map_err(|source| Error::io("create", &build_dir, source))?;
            let identity = &key.short()[..16];
            Build { tree: &tree, dir: &build_dir, fragment, tools, identity, steps: self.profile.usual_steps() }
                .run(job)?;
            write_atomically(&stamp, key.as_str().as_bytes())?;
        }
        let entry = self.cache.entry("image", &key);
        let ready = entry.obtain(Layout::Moved, &purpose, (job.progress, job.cancel), |dir| {
            for (from, to) in [(IMAGE, "bzImage"), (CONFIG, CONFIG)] {
                let from = build_dir.join(from);
                fs::copy(&from, dir.join(to)).map_err(|source| Error::io("copy", &from, source))?;
            }
            let built = Built::of(&["bzImage", CONFIG]);
            Ok::<_, Error>(Built { provenance: facts(&build_dir, &tree, fragment)?, ..built })
        })?;
        let source = ResolvedSource {
            requested: requested.to_string(),
            version: series.to_string(),
            origin: format!("directory {}", tree.display()),
            sha256: state,
        };
        let places = Places { build: build_dir, source: tree, image: ready.dir.join("bzImage") };
        Ok(self.kernel(&ready, places, source, tools, &key))
    }

    fn kernel(&self, ready: &Ready, places: Places, source: ResolvedSource, tools: &Tools, key: &Key) -> Kernel {
        let Places { build: build_dir, source: source_dir, image } = places;
        let rust = ready.provenance("rust") == "yes";
        let image_name = image.strip_prefix(&ready.dir).unwrap_or(&image).to_string_lossy().into_owned();
        Kernel {
            release: ready.provenance("release").to_owned(),
            version_string: ready.provenance("version_string").to_owned(),
            image_sha256: ready.sha256(&image_name).to_owned(),
            image,
            abi: abi::of_tree(&source_dir),
            source_dir,
            build_dir,
            source,
            profile: self.profile,
            rust,
            config_sha256: ready.sha256(CONFIG).to_owned(),
            compiler: tools.compiler.clone(),
            rustc: tools.rustc.clone().filter(|_| rust),
            key: key.as_str().to_owned(),
        }
    }
}

/// Where a kernel's parts are.
struct Places {
    build: PathBuf,
    source: PathBuf,
    image: PathBuf,
}

/// What a build is a function of. Of the fragment only what counts for the series: a word of explanation, or a line for
/// another kernel, builds nothing anew.
fn key_of(source: &str, options: &str, tools: &Tools) -> Key {
    let options = digest::bytes(options);
    Key::of([("source", source), ("options", &options)].into_iter().chain(tools.key_parts()))
}

/// What only the build directory knows.
fn facts(dir: &Path, tree: &Path, fragment: &Fragment) -> Result<BTreeMap<String, String>, Error> {
    let read = |name: &str| {
        let path = dir.join(name);
        fs::read_to_string(&path).map_err(|source| Error::io("read", &path, source))
    };
    let release = read("include/config/kernel.release")?.trim().to_owned();
    let compile = read("include/generated/compile.h")?;
    // The version stands in a file of its own since 6.1.
    let version = read("include/generated/utsversion.h").unwrap_or_default();
    let defined = |name: &str| {
        let value = compile.lines().chain(version.lines()).find_map(|line| {
            let (key, value) = line.strip_prefix("#define ")?.split_once(char::is_whitespace)?;
            (key == name).then(|| value.trim().trim_matches('"').to_owned())
        });
        value.unwrap_or_default()
    };
    let version_string = format!(
        "Linux version {release} ({}@{}) ({}) {}",
        defined("LINUX_COMPILE_BY"),
        defined("LINUX_COMPILE_HOST"),
        defined("LINUX_COMPILER"),
        defined("UTS_VERSION")
    );
    let rust = if fragment.enables("RUST", tree::series(tree)?) { "yes" } else { "no" };
    let facts = [("release", release), ("version_string", version_string), ("rust", rust.to_owned())];
    Ok(facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// Throws away what neither a boot nor a module's build needs.
fn prune(dir: &Path) -> Result<(), Error> {
    // The build's own tools stay whole.
    let keep = |path: &Path| ["scripts", "tools"].iter().any(|name| path == dir.join(name));
    let mut pending = vec![dir.to_path_buf()];
    while let Some(current) = pending.pop() {
        let entries = fs::read_dir(&current).map_err(|source| Error::io("list", &current, source))?;
        for entry in entries {
            let entry = entry.map_err(|source| Error::io("list", &current, source))?;
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if !keep(&path) {
                    pending.push(path);
                }
            } else if [".o", ".a", ".cmd"].iter().any(|ending| name.ends_with(ending)) || name == "vmlinux.unstripped" {
                fs::remove_file(&path).map_err(|source| Error::io("remove", &path, source))?;
            }
        }
    }
    Ok(())
}
