//! Sets the stage: from what was asked for to kernels that boot and an accelerator that runs them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Bootable, Expect, Limits, Stage};
use crate::cache::Cache;
use crate::host::{Cancel, Progress, Versions};
use crate::image::{self, Artefact};
use crate::kernel::{self, Kernel, KernelSpec, Profile, Provider, module, test_kho};
use crate::machine::accelerator::{self, Probe, Wish};
use crate::machine::{self, command};
use crate::result::{Environment, KernelFacts, PatchFacts};

/// Where the modules' sources are, from the workspace's root.
pub(crate) const MODULE_SOURCES: &str = "kmod";

/// The one that all is about; the other one is for its tests.
const MODULE: &str = "liveupdate_lab.ko";

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Setup<'a> {
    /// The root of this project's sources: agent and module are built from them.
    pub workspace: &'a Path,
    /// The kernel to boot cold.
    pub kernel: KernelSpec,
    /// What all kernels are built for that do not say otherwise themselves.
    pub profile: Profile,
    /// The kernels that steps name.
    pub named: BTreeMap<String, KernelSpec>,
    /// What is to run the guests.
    pub accelerator: Wish,
    /// When to lose patience, with the fast profile and an accelerator that does not count.
    pub limits: Limits,
    /// Where each run gets its folder.
    pub runs: PathBuf,
}

/// Why the stage could not be set.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A kernel or the module.
    #[error(transparent)]
    Kernel(#[from] kernel::Error),
    /// The agent or the initramfs.
    #[error(transparent)]
    Image(#[from] image::Error),
    /// The accelerator.
    #[error(transparent)]
    Machine(#[from] machine::Error),
    /// A kernel did not tell its ABI.
    #[error("the running kernel could not be asked: {0}")]
    Inspection(String),
}

/// Which modules guests have, where their kernel can load them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Modules {
    /// Those of this project's sources.
    #[default]
    Own,
    /// Those made from a folder of sources.
    From(PathBuf),
    /// None: for runs that need none.
    None,
}

/// Builds what is not built yet.
///
/// # Errors
/// Something cannot be had or built.
pub fn set(setup: &Setup<'_>, cache: &Cache, progress: &dyn Progress, cancel: &Cancel) -> Result<Stage, Error> {
    set_with(setup, Modules::Own, cache, progress, cancel)
}

/// The same with other modules.
///
/// # Errors
/// Something cannot be had or built.
pub fn set_with(
    setup: &Setup<'_>,
    modules: Modules,
    cache: &Cache,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Stage, Error> {
    let workshop = Workshop { modules, ..Workshop::open(setup, cache, progress, cancel)? };
    let kernel = workshop.provide(&setup.kernel)?;
    let mut named = BTreeMap::new();
    for (name, wanted) in &setup.named {
        named.insert(name.clone(), workshop.provide(wanted)?);
    }
    workshop.stage(kernel, named)
}

/// Where kernels are made ready to boot, one after the other.
pub struct Workshop<'a> {
    setup: &'a Setup<'a>,
    cache: &'a Cache,
    progress: &'a dyn Progress,
    cancel: &'a Cancel,
    agent: Artefact,
    modules: Modules,
}

impl<'a> Workshop<'a> {
    /// Builds the agent that they all carry.
    ///
    /// # Errors
    /// It cannot be built.
    pub fn open(
        setup: &'a Setup<'a>,
        cache: &'a Cache,
        progress: &'a dyn Progress,
        cancel: &'a Cancel,
    ) -> Result<Self, Error> {
        let agent = image::build_agent(setup.workspace, cache, &Versions::recall(cache), progress, cancel)?;
        Ok(Self { setup, cache, progress, cancel, agent, modules: Modules::Own })
    }

    /// Builds a kernel, its modules and its initramfs, unless they are there.
    ///
    /// # Errors
    /// One of them cannot be had or built.
    pub fn provide(&self, wanted: &KernelSpec) -> Result<Bootable, Error> {
        let Self { setup, cache, progress, cancel, .. } = *self;
        let sources = match &self.modules {
            Modules::Own => Some(setup.workspace.join(MODULE_SOURCES)),
            Modules::From(folder) => Some(folder.clone()),
            Modules::None => None,
        };
        let provider = Provider::new(cache).with_profile(setup.profile);
        let provider = sources.iter().fold(provider, |provider, sources| provider.with_modules(sources));
        let kernel = provider.obtain(wanted, progress, cancel)?;
        let ours = match &sources {
            Some(sources) if kernel.rust => module::build(cache, &kernel, sources, progress, cancel)?,
            Some(_) => {
                progress.note(&format!("Linux {} has no Rust: its guests run without the module", kernel.release));
                Vec::new()
            }
            None => Vec::new(),
        };
        let test_kho = match sources.map_or(Ok(None), |_| test_kho::build(cache, &kernel, progress, cancel)) {
            // It is for plain Kexec HandOver alone, and the kernel is of use without.
            Err(error @ kernel::Error::Build { .. }) => {
                progress.note(&format!("Linux {} takes no part by plain Kexec HandOver: {error}", kernel.release));
                None
            }
            other => other?,
        };
        let artefact = |module: &kernel::Module| Artefact { path: module.path.clone(), sha256: module.sha256.clone() };
        let carried: Vec<Artefact> = kernel.drivers.iter().chain(&ours).chain(&test_kho).map(artefact).collect();
        let initramfs = image::pack(&self.agent, &carried, cache, progress, cancel)?;
        let module = ours.into_iter().find(|module| module.path.ends_with(MODULE));
        let sums = [module, test_kho].map(|module| module.map(|module| module.sha256));
        Ok(with(kernel, wanted, setup, sums, initramfs))
    }

    /// The stage on which `kernel` is booted cold; it is also what the accelerator is proven with.
    ///
    /// # Errors
    /// The accelerator that is wished for does not work.
    pub fn stage(&self, kernel: Bootable, named: BTreeMap<String, Bootable>) -> Result<Stage, Error> {
        let key = format!("{:.16}-{:.16}", kernel.facts.image_sha256, kernel.facts.initramfs_sha256);
        light(self.setup, kernel, named, &key, self.cache, self.cancel)
    }
}

/// A kernel together with what it boots, and the sums of the modules in it: this project's, and `test_kho`'s.
pub(crate) fn with(
    kernel: Kernel,
    wanted: &KernelSpec,
    setup: &Setup<'_>,
    [module_sha256, test_kho_sha256]: [Option<String>; 2],
    initramfs: Artefact,
) -> Bootable {
    // The others are told the words of the run's own profile already.
    let own = if kernel.profile == setup.profile { "" } else { kernel.profile.command_line() };
    let patches =
        kernel.patches.iter().map(|patch| PatchFacts { name: patch.name().to_owned(), sha256: patch.sha256() });
    let facts = KernelFacts {
        requested: wanted.name.clone(),
        release: kernel.release,
        version: kernel.version_string,
        profile: kernel.profile,
        origin: kernel.source.origin,
        source_sha256: kernel.source.sha256,
        patches: patches.collect(),
        image_sha256: kernel.image_sha256,
        config_sha256: kernel.config_sha256,
        compiler: kernel.compiler,
        rustc: kernel.rustc,
        module_sha256,
        test_kho_sha256,
        initramfs_sha256: initramfs.sha256,
        abi: kernel.abi,
    };
    Bootable { facts, image: kernel.image, initramfs: initramfs.path, parameters: own.to_owned() }
}

/// Finds out what runs these kernels; `key` names what is booted for that.
pub(crate) fn light(
    setup: &Setup<'_>,
    kernel: Bootable,
    named: BTreeMap<String, Bootable>,
    key: &str,
    cache: &Cache,
    cancel: &Cancel,
) -> Result<Stage, Error> {
    let memory = cache.root().join("accelerator");
    let probe = Probe { kernel: &kernel.image, initramfs: &kernel.initramfs, key, memory: &memory };
    let accelerator = accelerator::choose(setup.accelerator, &probe, cancel)?;
    let mut command_line = command::kernel_command_line(accelerator.kind);
    if !setup.profile.command_line().is_empty() {
        command_line = format!("{command_line} {}", setup.profile.command_line());
    }
    let profiles = named.values().chain([&kernel]).map(|bootable| bootable.facts.profile.patience());
    let patience = profiles.max().unwrap_or(1);
    let limits = setup.limits.times(patience).times(accelerator.kind.patience());
    Ok(Stage {
        kernel,
        into: Vec::new(),
        expect: Expect::default(),
        named,
        accelerator,
        command_line,
        snapshots: true,
        limits,
        runs: setup.runs.clone(),
    })
}

impl Stage {
    /// Where and with what its runs run.
    #[must_use]
    pub fn environment(&self, cache: &Cache) -> Environment {
        let host_kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let mut kernels = vec![self.kernel.facts.clone()];
        for named in self.named.values().chain(&self.into) {
            // Two names may come to the same build.
            if kernels.iter().all(|known| known.image_sha256 != named.facts.image_sha256) {
                kernels.push(named.facts.clone());
            }
        }
        Environment {
            lab: env!("CARGO_PKG_VERSION").to_owned(),
            qemu: Versions::recall(cache).of(command::QEMU).unwrap_or_default(),
            accelerator: self.accelerator.clone(),
            host_kernel: host_kernel.trim().to_owned(),
            kernels,
        }
    }
}
