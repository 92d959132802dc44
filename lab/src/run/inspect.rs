//! Boots a kernel once and lets it tell its ABI.

use std::path::Path;

use protocol::message::{Reply, Request};

use super::artefacts::Artefacts;
use super::conversation::Conversation;
use super::stage::Error;
use super::{Limits, Observer, Stop};
use crate::cache::{Cache, write_atomically};
use crate::host::{Cancel, Progress, Versions};
use crate::image::{self, Artefact};
use crate::kernel::{Abi, Kernel, abi};
use crate::machine::accelerator::{self, Probe, Wish};
use crate::machine::command::{Shape, kernel_command_line};
use crate::machine::{self, Machine};
use crate::scenario::size::Size;

/// The ABI as the running kernel shows it: a string that is absent is not shown. Remembered by the kernel's image.
///
/// # Errors
/// The agent cannot be built, or the guest does not come up.
pub fn inspect(
    kernel: &Kernel,
    workspace: &Path,
    wish: Wish,
    cache: &Cache,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Abi, Error> {
    let memo = cache.root().join("abi").join(format!("{}.json", kernel.image_sha256));
    if let Some(known) = std::fs::read(&memo).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
        return Ok(known);
    }
    let agent = image::build_agent(workspace, cache, &Versions::recall(cache), progress, cancel)?;
    let drivers = kernel.drivers.iter().map(|it| Artefact { path: it.path.clone(), sha256: it.sha256.clone() });
    let initramfs = image::pack(&agent, &drivers.collect::<Vec<_>>(), cache, progress, cancel)?;
    let key = format!("{:.16}-{:.16}", kernel.image_sha256, initramfs.sha256);
    let memory = cache.root().join("accelerator");
    let probe = Probe { kernel: &kernel.image, initramfs: &initramfs.path, key: &key, memory: &memory };
    let accelerator = accelerator::choose(wish, &probe, cancel)?;
    let command_line = format!("{} {}", kernel_command_line(accelerator.kind), kernel.profile.command_line());
    let shape = Shape {
        accelerator: accelerator.kind,
        cpus: 1,
        memory: Size(1 << 30),
        kernel: kernel.image.clone(),
        initramfs: initramfs.path,
        command_line: command_line.trim_end().to_owned(),
    };
    progress.stage(&format!("boot Linux {} to read its ABI", kernel.release), None);
    let limits = Limits::default().times(kernel.profile.patience()).times(accelerator.kind.patience());
    let shown = ask(&shape, limits, cancel).map_err(inspection)?;
    let found = abi::of_running(shown.iter().map(|file| file.bytes.as_slice()));
    // Whoever cannot remember it boots again.
    if let Ok(text) = serde_json::to_vec_pretty(&found) {
        let _ = write_atomically(&memo, &text);
    }
    Ok(found)
}

fn inspection(stop: Stop) -> Error {
    match stop {
        Stop::Failed(failure) => Error::Inspection(failure.message),
        Stop::Infrastructure(message) => Error::Inspection(message),
        Stop::Cancelled => Error::Inspection("cancelled".to_owned()),
    }
}

fn ask(shape: &Shape, limits: Limits, cancel: &Cancel) -> Result<Vec<protocol::message::Shown>, Stop> {
    let failed = |source| Stop::from(machine::Error::io("make a folder for a guest")(source));
    let folder = tempfile::tempdir().map_err(failed)?;
    let artefacts = Artefacts::at(folder.path());
    let machine = Machine::start(shape, folder.path(), cancel)?;
    let mut deaf = Deaf;
    let mut talk = Conversation::new(machine, limits, &artefacts, &mut deaf)?;
    talk.meet()?;
    let request = Request::ShowHandover;
    match talk.ask(&request)? {
        Reply::HandoverShown { files } => Ok(files),
        other => Err(talk.unexpected(&request, &other)),
    }
}

struct Deaf;

impl Observer for Deaf {
    fn step(&mut self, _: &str, _: u32) {}
    fn progress(&mut self, _: u64, _: u64) {}
}
