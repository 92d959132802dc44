//! One run of either side, timed from outside.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use lab::host::Cancel;
use lab::host::process::Watched;
use lab::machine::command::QEMU;
use lab::result::{AcceleratorKind, Run};
use lab::run::{Observer, Stage};
use lab::scenario::Document;
use lab::scenario::plan::Plan;
use nix::sys::resource::{Usage, UsageWho, getrusage};

use crate::Failure;

/// What one run cost.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Seconds on the wall.
    pub wall: f64,
    /// Seconds of processor time, of QEMU and of whoever watches it. Other people's load hardly moves it.
    pub processor: f64,
}

/// What `work` costs, children that it waits for included.
///
/// # Errors
/// Those of the work; or the processor time cannot be told.
pub fn cost<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<(T, Cost), Failure> {
    let before = processor()?;
    let began = Instant::now();
    let result = work()?;
    let wall = began.elapsed().as_secs_f64();
    Ok((result, Cost { wall, processor: processor()? - before }))
}

fn processor() -> Result<f64, Failure> {
    let seconds = |usage: Usage| {
        [usage.user_time(), usage.system_time()]
            .iter()
            .map(|time| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6)
            .sum::<f64>()
    };
    Ok(seconds(getrusage(UsageWho::RUSAGE_SELF)?) + seconds(getrusage(UsageWho::RUSAGE_CHILDREN)?))
}

/// Nobody looks on.
pub(crate) struct Unobserved;

impl Observer for Unobserved {
    fn step(&mut self, _text: &str, _generation: u32) {}
    fn progress(&mut self, _done: u64, _total: u64) {}
}

/// One run of the lab: from before QEMU starts until it is reaped.
///
/// # Errors
/// It did not pass: what it took is no figure then.
pub fn lab(stage: &Stage, document: &Document, plan: &Plan, cancel: &Cancel) -> Result<(Run, Cost), Failure> {
    let (run, cost) = cost(|| Ok(lab::run::run(stage, document, plan, &mut Unobserved, cancel)?))?;
    if !run.is_green() {
        return Err(format!("the lab's run did not pass: {:?}; see {}", run.outcome, run.artefacts).into());
    }
    fs::remove_dir_all(&run.artefacts)?;
    Ok((run, cost))
}

/// `vmtest.sh` gives QEMU as long.
const PATIENCE: Duration = Duration::from_secs(30);

/// What one run of upstream's test costs.
///
/// # Errors
/// It did not pass: what it took is no figure then.
pub fn upstream(stage: &Stage, initramfs: &Path, folder: &Path, cancel: &Cancel) -> Result<Cost, Failure> {
    cost(|| run_upstream(stage, initramfs, folder, cancel)).map(|((), cost)| cost)
}

/// One run of upstream's test: the command line of `vmtest.sh`, but for the accelerator, of which it
/// takes the first that opens, and that is TCG on Linux. Its console goes to `folder`.
pub(crate) fn run_upstream(stage: &Stage, initramfs: &Path, folder: &Path, cancel: &Cancel) -> Result<(), Failure> {
    let serial = folder.join("qemu.serial");
    let accelerator = match stage.accelerator.kind {
        // This side is timed by the host's clock, which no guest's counting changes.
        AcceleratorKind::Tcg | AcceleratorKind::Icount => "tcg",
        AcceleratorKind::Kvm => "kvm",
    };
    let mut qemu = Command::new(QEMU);
    qemu.args(["-m", "1G", "-smp", "2", "-no-reboot", "-nographic", "-nodefaults", "-accel", accelerator]);
    qemu.arg("-serial").arg(format!("file:{}", serial.display()));
    qemu.args(["-append", "console=ttyS0 liveupdate=on panic=-1"]);
    qemu.arg("-kernel").arg(&stage.kernel.image).arg("-initrd").arg(initramfs);
    watch(qemu, cancel)?;
    let said = fs::read(&serial)?;
    let said = String::from_utf8_lossy(&said);
    if !said.contains("TEST PASSED") {
        let lines: Vec<&str> = said.lines().collect();
        let tail = lines[lines.len().saturating_sub(20)..].join("\n");
        return Err(format!("upstream's test did not pass; its console ended:\n{tail}").into());
    }
    Ok(())
}

/// One whole command, from its start to its end.
///
/// # Errors
/// It failed.
pub fn command(command: Command, cancel: &Cancel) -> Result<Cost, Failure> {
    let ((), cost) = cost(|| watch(command, cancel))?;
    Ok(cost)
}

/// Runs a command that may take [`PATIENCE`].
fn watch(command: Command, cancel: &Cancel) -> Result<(), Failure> {
    let end = Cancel::new();
    let raise = end.clone();
    let _forward = cancel.on_cancel(move || raise.cancel());
    let late = end.clone();
    let (_over, alarm) = mpsc::channel::<()>();
    std::thread::spawn(move || {
        if alarm.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            late.cancel();
        }
    });
    Ok(Watched::new(command, &end).run(|_| {})?.success()?)
}
