//! A guest for a person: the same kernel, module and machine, and a shell on the console.
//!
//! QEMU has the terminal to itself until it ends. It sets it raw, so that Ctrl-C goes to the guest, and sets it back; should it
//! be killed, that is done here.

use std::io;
use std::process::{Command, ExitStatus};

use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::cache::{Cache, digest};
use crate::host::process::die_with_us;
use crate::host::{Cancel, Progress, Versions, busybox};
use crate::image::{self, Artefact, Content};
use crate::kernel::{self, Provider, module};
use crate::machine::command::{self, QEMU, Shape, Wiring};
use crate::result::{AcceleratorKind, KernelFacts};
use crate::run::stage::{self, Setup};
use crate::scenario::size::Size;

/// Where the guest's kernel is for `kexec`.
const BOOT: &str = "boot";
/// What the kernels are told besides: that the initramfs be kept for the next kexec, and who is PID 1.
const WORDS: &str = "retain_initrd quiet";
const INIT: &str = "-- shell";

/// Why there is no shell.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A kernel, its module, or the accelerator.
    #[error(transparent)]
    Stage(#[from] stage::Error),
    /// A kernel, or its module.
    #[error(transparent)]
    Kernel(#[from] kernel::Error),
    /// The agent or the initramfs.
    #[error(transparent)]
    Image(#[from] image::Error),
    /// There is no shell to put into the guest.
    #[error("there is no busybox without libraries on this machine; `apt-get install busybox-static` brings one")]
    NoBusybox,
    /// QEMU, or a file, failed.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        source: io::Error,
    },
}

impl Error {
    fn io(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { what, source }
    }
}

/// A guest that can be sat at.
#[derive(Clone, Debug)]
pub struct Seat {
    shape: Shape,
    /// The kernel that boots.
    pub kernel: KernelFacts,
}

/// Builds what is not built yet.
///
/// # Errors
/// Something cannot be had or built.
pub fn set(
    setup: &Setup<'_>,
    cpus: u32,
    memory: Size,
    cache: &Cache,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Seat, Error> {
    let agent = image::build_agent(setup.workspace, cache, &Versions::recall(cache), progress, cancel)?;
    let kernel = Provider::new(cache).with_profile(setup.profile).obtain(&setup.kernel, progress, cancel)?;
    let mut contents = Vec::new();
    if kernel.rust {
        let modules = module::build(cache, &kernel, &setup.workspace.join(stage::MODULE_SOURCES), progress, cancel)?;
        let files = modules.into_iter().map(|module| Artefact { path: module.path, sha256: module.sha256 });
        contents.extend(files.map(Content::module));
    }
    let path = busybox().ok_or(Error::NoBusybox)?;
    let sha256 = digest::file(&path).map_err(Error::io("read busybox"))?;
    contents.push(Content::program(Artefact { path, sha256 }));
    let image = Artefact { path: kernel.image.clone(), sha256: kernel.image_sha256.clone() };
    contents.push(Content { folder: BOOT, mode: 0o644, file: image });
    let initramfs = image::pack_all(&agent, &contents, cache, progress, cancel)?;

    // A person waits: what is known of this machine has to do, and the agent of another initramfs proves as much.
    let bare = image::pack_all(&agent, &[], cache, progress, cancel)?;
    let key = format!("{:.16}-{:.16}", kernel.image_sha256, agent.sha256);
    let probed = stage::with(kernel, &setup.kernel, setup, [None, None], bare);
    let stage = stage::light(setup, probed, Default::default(), &key, cache, cancel)?;
    let kind: AcceleratorKind = stage.accelerator.kind;
    let told = command::for_machine(&stage.kernel.told(&stage.command_line), kind, cpus);
    let term = std::env::var("TERM").unwrap_or_default();
    let plain = !term.is_empty() && term.chars().all(|c| c.is_ascii_alphanumeric() || "-_+.".contains(c));
    let term = if plain { format!(" TERM={term}") } else { String::new() };
    let shape = Shape {
        accelerator: kind,
        cpus,
        memory,
        kernel: stage.kernel.image,
        initramfs: initramfs.path,
        command_line: format!("{told} {WORDS}{term} {INIT}"),
    };
    Ok(Seat { shape, kernel: stage.kernel.facts })
}

/// Gives the terminal to the guest until that ends.
///
/// # Errors
/// QEMU cannot be started.
pub fn sit(seat: &Seat, cancel: &Cancel) -> Result<ExitStatus, Error> {
    let _terminal = Restored(tcgetattr(io::stdin()).ok());
    let mut command = Command::new(QEMU);
    // In our process group: it has to be the terminal's foreground.
    command.args(seat.shape.arguments(&Wiring::Terminal));
    die_with_us(&mut command);
    let mut child = command.spawn().map_err(Error::io("start QEMU"))?;
    let pid = Pid::from_child(&child);
    // SIGTERM has it quit, and set the terminal back.
    let _subscription = cancel.on_cancel(move || {
        let _ = kill_process(pid, Signal::TERM);
    });
    child.wait().map_err(Error::io("wait for QEMU"))
}

/// A terminal that is set back to how it was.
struct Restored(Option<Termios>);

impl Drop for Restored {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(io::stdin(), OptionalActions::Drain, before);
        }
    }
}
