//! Hands out built kernels: from the cache if there is one, else by building it.

use std::fs;
use std::path::{Path, PathBuf};

use super::build::{Build, CONFIG, IMAGE, VERIFIED};
use super::built::{Kernel, facts, strip};
use super::fragment::Fragment;
use super::resolve::{Resolved, ResolvedSource, resolve};
use super::source::expand_home;
use super::steps::{self, Extent};
use super::tools::Tools;
use super::workbench::Workbench;
use super::{Error, Job, KernelSource, KernelSpec, Profile, Series, abi, module, packaged, patch, tree, tree_state};
use crate::cache::{Built, Cache, Key, Layout, Lock, Ready, digest, write_atomically};
use crate::host::{Cancel, Progress};

/// Hands out kernels.
#[derive(Debug, Clone)]
pub struct Provider<'a> {
    cache: &'a Cache,
    profile: Profile,
    /// In place of the profile's.
    fragment: Option<String>,
    options: String,
    /// The sources of modules that patched kernels get at once.
    modules: Option<PathBuf>,
    refresh: bool,
}

/// What a build is made with, and a function of.
pub(super) struct Recipe {
    pub(super) profile: Profile,
    pub(super) fragment: Fragment,
    pub(super) tools: Tools,
}

impl<'a> Provider<'a> {
    /// Kernels with the lab's configuration, kept in this cache.
    #[must_use]
    pub fn new(cache: &'a Cache) -> Self {
        Self {
            cache,
            profile: Profile::default(),
            fragment: None,
            options: String::new(),
            modules: None,
            refresh: false,
        }
    }

    /// Kernels built for this, unless they say otherwise themselves.
    #[must_use]
    pub fn with_profile(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self
    }

    /// Adds options; a later line wins over an earlier one.
    #[must_use]
    pub fn with_options(mut self, lines: &str) -> Self {
        self.options.push_str(lines);
        self
    }

    /// Uses this configuration fragment instead of the lab's.
    #[must_use]
    pub fn with_fragment(mut self, fragment: &str) -> Self {
        self.fragment = Some(fragment.to_owned());
        self
    }

    /// Builds these modules for a patched kernel while it is on its workbench: later it would have to come back there.
    #[must_use]
    pub fn with_modules(mut self, sources: &Path) -> Self {
        self.modules = Some(sources.to_path_buf());
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
    /// It cannot be had, patched, configured or built; or the work was cancelled.
    pub fn obtain(
        &self,
        wanted: impl Into<KernelSpec>,
        progress: &dyn Progress,
        cancel: &Cancel,
    ) -> Result<Kernel, Error> {
        let wanted = wanted.into();
        let job = Job { cache: self.cache, progress, cancel };
        let recipe = self.recipe(&wanted)?;
        if let KernelSource::Path(path) = &wanted.source {
            return self.in_place(path, &wanted, &recipe, &job);
        }
        if let KernelSource::Package(name) = &wanted.source {
            return packaged::obtain(name, self.refresh, &job);
        }
        let resolved = resolve(&wanted.source, self.refresh, &job)?;
        if wanted.patches.is_empty() {
            self.whole(resolved, &recipe, &job)
        } else {
            self.patched(resolved, &wanted, recipe, &job)
        }
    }

    /// Fetches and unpacks the source, and builds nothing.
    ///
    /// # Errors
    /// It cannot be had, or the work was cancelled.
    pub fn fetch(
        &self,
        wanted: &KernelSpec,
        progress: &dyn Progress,
        cancel: &Cancel,
    ) -> Result<ResolvedSource, Error> {
        let job = Job { cache: self.cache, progress, cancel };
        if let KernelSource::Path(path) = &wanted.source {
            return directory(path, wanted).map(|(source, _)| source);
        }
        if let KernelSource::Package(name) = &wanted.source {
            return packaged::obtain(name, self.refresh, &job).map(|kernel| kernel.source);
        }
        Ok(resolve(&wanted.source, self.refresh, &job)?.source)
    }

    pub(super) fn cache(&self) -> &'a Cache {
        self.cache
    }

    pub(super) fn recipe(&self, wanted: &KernelSpec) -> Result<Recipe, Error> {
        let profile = wanted.profile.unwrap_or(self.profile);
        let mut fragment = self.fragment.clone().unwrap_or_else(|| profile.fragment());
        fragment.push_str(&self.options);
        if !wanted.options.is_empty() {
            fragment = format!("{fragment}\n{}", wanted.options);
        }
        let tools = Tools::find(self.cache, profile.compiler());
        Ok(Recipe { profile, fragment: Fragment::parse(&fragment)?, tools })
    }

    /// A tree of known content is built once.
    fn whole(&self, resolved: Resolved, recipe: &Recipe, job: &Job<'_>) -> Result<Kernel, Error> {
        let Resolved { source, tree } = resolved;
        let series = tree::series(&tree)?;
        let key = recipe.key(&source.sha256, series);
        let entry = self.cache.entry("kernel", &key);
        let purpose = format!("builds Linux {}", source.version);
        let ready = entry.obtain(Layout::InPlace, &purpose, (job.progress, job.cancel), |dir| {
            recipe.build(&tree, dir, &key, recipe.all(series, job)).run(job)?;
            strip(dir)?;
            let built = Built::of(&VERIFIED);
            let provenance = facts(dir, &tree, &recipe.fragment)?;
            Ok::<_, Error>(Built { provenance, ..built }.with("origin", &source.origin))
        })?;
        let places = Places { build: ready.dir.clone(), source: tree, image: ready.dir.join(IMAGE), workbench: None };
        Ok(kernel(&ready, places, source, recipe, &key))
    }

    /// Of a patched tree the image is kept. Tree and build directory go on to the next patch.
    fn patched(&self, resolved: Resolved, wanted: &KernelSpec, recipe: Recipe, job: &Job<'_>) -> Result<Kernel, Error> {
        let Resolved { source, tree } = resolved;
        let base = recipe.key(&source.sha256, tree::series(&tree)?);
        let key = patched_key(&base, wanted);
        let workbench = Workbench {
            pristine: tree.clone(),
            base,
            key: key.clone(),
            patches: wanted.patches.clone(),
            fragment: recipe.fragment.clone(),
            profile: recipe.profile,
            version: source.version.clone(),
        };
        let entry = self.cache.entry("image", &key);
        let purpose = format!("builds {}", wanted.name);
        let ready = entry.obtain(Layout::Moved, &purpose, (job.progress, job.cancel), |dir| {
            let held = workbench.take(job)?;
            let built = keep_image(&held.build, dir, &held.tree, &recipe)?;
            let release = built.provenance.get("release").map_or("", String::as_str);
            if let Some(sources) = self.modules.as_deref().filter(|_| recipe.enables_rust(&tree)) {
                module::build_ahead(&held, (&key, release), recipe.profile, sources, job)?;
            }
            Ok::<_, Error>(built)
        })?;
        let bench = workbench.dir(job);
        let image = ready.dir.join("bzImage");
        let (build, source_dir) = (bench.join("build"), bench.join("tree"));
        let places = Places { build, source: source_dir, image, workbench: Some(workbench) };
        Ok(kernel(&ready, places, source, &recipe, &key))
    }

    /// A directory that someone works in keeps its build directory, where make sees what changed.
    /// The image is copied out: the next build must not change a kernel that is in use.
    fn in_place(&self, path: &Path, wanted: &KernelSpec, recipe: &Recipe, job: &Job<'_>) -> Result<Kernel, Error> {
        if !wanted.patches.is_empty() {
            let reason = "a directory is built as it stands: patch it there".to_owned();
            return Err(Error::NotATree { path: path.to_path_buf(), reason });
        }
        let (source, tree) = directory(path, wanted)?;
        let series = tree::series(&tree)?;
        let key = recipe.key(&source.sha256, series);
        let place = recipe.key(&tree.display().to_string(), series);
        let build_dir = self.cache.root().join("path").join(place.short());
        let purpose = format!("builds {}", tree.display());
        let _lock = Lock::take(&self.cache.lock_path("path", &place), &purpose, job.progress, job.cancel)?;

        let (stamp, once) = (build_dir.join("liveupdate-lab.state"), build_dir.join("liveupdate-lab.built"));
        let in_step = fs::read_to_string(&stamp).is_ok_and(|built| built == key.as_str());
        if !in_step {
            let _ = fs::remove_file(&stamp);
            fs::create_dir_all(&build_dir).map_err(|source| Error::io("create", &build_dir, source))?;
            let extent = if once.exists() { Extent::Unknown } else { recipe.all(series, job) };
            recipe.build(&tree, &build_dir, &key, extent).run(job)?;
            write_atomically(&once, b"")?;
            write_atomically(&stamp, key.as_str().as_bytes())?;
        }
        let entry = self.cache.entry("image", &key);
        let ready = entry.obtain(Layout::Moved, &purpose, (job.progress, job.cancel), |dir| {
            keep_image(&build_dir, dir, &tree, recipe)
        })?;
        let places = Places { build: build_dir, source: tree, image: ready.dir.join("bzImage"), workbench: None };
        Ok(kernel(&ready, places, source, recipe, &key))
    }
}

impl Recipe {
    /// Of the fragment only what counts for the series: a word of explanation, or a line for another kernel, builds
    /// nothing anew.
    pub(super) fn key(&self, source: &str, series: Series) -> Key {
        let options = digest::bytes(self.fragment.for_series(series));
        Key::of([("source", source), ("options", &options)].into_iter().chain(self.tools.key_parts()))
    }

    fn build<'b>(&'b self, tree: &'b Path, dir: &'b Path, key: &'b Key, extent: Extent) -> Build<'b> {
        let identity = &key.short()[..16];
        Build { tree, dir, fragment: &self.fragment, tools: &self.tools, identity, extent }
    }

    fn enables_rust(&self, tree: &Path) -> bool {
        tree::series(tree).is_ok_and(|series| self.fragment.enables("RUST", series))
    }

    fn all(&self, series: Series, job: &Job<'_>) -> Extent {
        let memory = steps::memory(job.cache.root(), &series.to_string(), &self.fragment.for_series(series));
        Extent::Whole { memory, usual: self.profile.usual_steps() }
    }
}

/// The key of a kernel with patches on top of one with this key.
pub(super) fn patched_key(base: &Key, wanted: &KernelSpec) -> Key {
    Key::of([("base", base.as_str()), ("patches", &patch::content(&wanted.patches))])
}

/// A directory that someone works in, as it is now.
pub(super) fn directory(path: &Path, wanted: &KernelSpec) -> Result<(ResolvedSource, PathBuf), Error> {
    let path = expand_home(path);
    let tree = path.canonicalize().map_err(|source| Error::io("open", &path, source))?;
    let source = ResolvedSource {
        requested: wanted.source.to_string(),
        version: tree::series(&tree)?.to_string(),
        origin: format!("directory {}", tree.display()),
        sha256: tree_state::of(&tree)?,
    };
    Ok((source, tree))
}

/// Keeps image and configuration of a build directory that will be another build's.
fn keep_image(build: &Path, dir: &Path, tree: &Path, recipe: &Recipe) -> Result<Built, Error> {
    for (from, to) in [(IMAGE, "bzImage"), (CONFIG, CONFIG)] {
        let from = build.join(from);
        fs::copy(&from, dir.join(to)).map_err(|source| Error::io("copy", &from, source))?;
    }
    Ok(Built { provenance: facts(build, tree, &recipe.fragment)?, ..Built::of(&["bzImage", CONFIG]) })
}

/// Where a kernel's parts are.
struct Places {
    build: PathBuf,
    source: PathBuf,
    image: PathBuf,
    workbench: Option<Workbench>,
}

fn kernel(ready: &Ready, places: Places, source: ResolvedSource, recipe: &Recipe, key: &Key) -> Kernel {
    let Places { build: build_dir, source: source_dir, image, workbench } = places;
    let rust = ready.provenance("rust") == "yes";
    let image_name = image.strip_prefix(&ready.dir).unwrap_or(&image).to_string_lossy().into_owned();
    // Entries of earlier versions of the lab do not say.
    let said = serde_json::from_str(ready.provenance("abi"));
    Kernel {
        release: ready.provenance("release").to_owned(),
        version_string: ready.provenance("version_string").to_owned(),
        image_sha256: ready.sha256(&image_name).to_owned(),
        image,
        abi: said.unwrap_or_else(|_| abi::of_tree(&source_dir)),
        source_dir,
        build_dir,
        drivers: Vec::new(),
        source,
        patches: workbench.as_ref().map(|bench| bench.patches.clone()).unwrap_or_default(),
        workbench,
        profile: recipe.profile,
        rust,
        config_sha256: ready.sha256(CONFIG).to_owned(),
        compiler: recipe.tools.compiler.clone(),
        rustc: recipe.tools.rustc.clone().filter(|_| rust),
        key: key.as_str().to_owned(),
    }
}
