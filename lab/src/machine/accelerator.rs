//! Which accelerator runs the guests.
//!
//! `/dev/kvm` may open and yet run nothing. So KVM counts as there only when a guest under it has booted
//! the very kernel that is to be tested and its agent has reported back. What was found is remembered for
//! as long as the host stays up.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

use protocol::message::Reply;

use super::command::{Shape, kernel_command_line};
use super::{Error, Machine, Signal};
use crate::host::Cancel;
use crate::result::{Accelerator, AcceleratorKind};
use crate::scenario::size::Size;

/// What the user asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wish {
    /// KVM if it is proven, else TCG, and say so.
    #[default]
    Auto,
    /// KVM or nothing.
    Kvm,
    /// TCG.
    Tcg,
    /// TCG, its clock counting instructions.
    Icount,
}

impl FromStr for Wish {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "kvm" => Ok(Self::Kvm),
            "tcg" => Ok(Self::Tcg),
            "icount" => Ok(Self::Icount),
            other => Err(format!("`{other}` is no accelerator: auto, kvm, tcg or icount")),
        }
    }
}

impl AcceleratorKind {
    /// How many times as long as emulated ones its guests may take.
    #[must_use]
    pub fn patience(self) -> u32 {
        match self {
            Self::Kvm | Self::Tcg => 1,
            Self::Icount => 4,
        }
    }
}

/// How long a guest under KVM may take to report back: under hardware it takes a second.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is booted to prove KVM.
#[derive(Clone, Debug)]
pub struct Probe<'a> {
    /// Kernel image.
    pub kernel: &'a Path,
    /// Its initramfs.
    pub initramfs: &'a Path,
    /// Names the pair: another image needs another proof.
    pub key: &'a str,
    /// Folder for what is remembered and for the guest's logs.
    pub memory: &'a Path,
}

/// Chooses.
///
/// # Errors
/// KVM was demanded and does not work, or the probe could not be run at all.
pub fn choose(wish: Wish, probe: &Probe<'_>, cancel: &Cancel) -> Result<Accelerator, Error> {
    let tcg = |reason: String| Accelerator { kind: AcceleratorKind::Tcg, reason };
    match wish {
        Wish::Tcg => return Ok(tcg("asked for".to_owned())),
        Wish::Icount => return Ok(Accelerator { kind: AcceleratorKind::Icount, reason: "asked for".to_owned() }),
        Wish::Auto | Wish::Kvm => {}
    }
    match (kvm(wish, probe, cancel)?, wish) {
        (Ok(()), _) => {
            let reason = "a guest under KVM booted this kernel and reported back".to_owned();
            Ok(Accelerator { kind: AcceleratorKind::Kvm, reason })
        }
        (Err(why), Wish::Kvm) => Err(Error::NoKvm(why)),
        (Err(why), _) => Ok(tcg(format!("KVM does not work here: {why}"))),
    }
}

/// Whether KVM runs this kernel, or why not.
fn kvm(wish: Wish, probe: &Probe<'_>, cancel: &Cancel) -> Result<Result<(), String>, Error> {
    if let Err(error) = File::options().read(true).write(true).open("/dev/kvm") {
        return Ok(Err(format!("/dev/kvm: {error}")));
    }
    let remembered = memory_file(probe);
    // Who demands KVM may have mended it meanwhile.
    if wish == Wish::Auto
        && let Ok(known) = fs::read_to_string(&remembered)
    {
        return Ok(if known.is_empty() { Ok(()) } else { Err(known) });
    }
    let found = boot(probe, cancel)?;
    let text = found.as_ref().err().cloned().unwrap_or_default();
    fs::create_dir_all(probe.memory).map_err(Error::io("remember what KVM can do"))?;
    fs::write(&remembered, text).map_err(Error::io("remember what KVM can do"))?;
    Ok(found)
}

fn memory_file(probe: &Probe<'_>) -> PathBuf {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    probe.memory.join(format!("kvm-{}-{}", probe.key, boot.trim()))
}

fn boot(probe: &Probe<'_>, cancel: &Cancel) -> Result<Result<(), String>, Error> {
    let shape = Shape {
        accelerator: AcceleratorKind::Kvm,
        cpus: 1,
        memory: Size(1 << 30),
        kernel: probe.kernel.to_owned(),
        initramfs: probe.initramfs.to_owned(),
        command_line: kernel_command_line(AcceleratorKind::Kvm),
    };
    let folder = tempfile::tempdir().map_err(Error::io("make a folder for the KVM probe"))?;
    let mut machine = match Machine::start(&shape, folder.path(), cancel) {
        Ok(machine) => machine,
        Err(Error::Refused { said }) => return Ok(Err(said)),
        Err(other) => return Err(other),
    };
    let deadline = Instant::now() + PATIENCE;
    loop {
        match machine.wait(deadline.saturating_duration_since(Instant::now())) {
            Some(Signal::Agent(Ok(frame))) if frame.message == Reply::Ready => {
                // The agent ran; the kernel's own banner has to be there too.
                return Ok(machine.console.expect(r"Linux version \S+").map(drop));
            }
            Some(Signal::Qemu(qapi::qmp::Event::STOP { .. })) => {
                return Ok(Err("QEMU stopped the guest: an instruction could not be run".to_owned()));
            }
            Some(Signal::Alarm(alarm)) => return Ok(Err(format!("the guest died: {}", alarm.line))),
            Some(Signal::Gone) => return Ok(Err(machine.obituary())),
            Some(Signal::Cancelled) => return Err(Error::Cancelled),
            Some(_) => {}
            None => return Ok(Err(format!("no guest reported back within {} s", PATIENCE.as_secs()))),
        }
    }
}
