//! The guest machine: one QEMU, owned.
//!
//! [`command`] writes its command line, [`console`] records what its kernel prints, [`lines`] makes that harmless
//! and [`alarm`] knows which lines are the end, [`qmp`] talks to QEMU itself, [`port`] to the agent inside, [`snapshot`]
//! keeps a guest for others to begin where it was. All that happens arrives in one queue of [`Signal`]s, so that whoever drives a machine waits in one place and is woken
//! by whatever comes first.

pub mod accelerator;
pub mod alarm;
pub mod command;
pub mod console;
mod host_tsc;
pub mod lines;
pub mod port;
pub mod qmp;
pub mod snapshot;

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use command_fds::{CommandFdExt as _, FdMapping};
use protocol::frame::{Frame, FrameError};
use protocol::message::Reply;

use crate::host::process::{Group, die_with_us};
use crate::host::{Cancel, Subscription};
use alarm::Alarm;
use command::{Shape, Wiring};
use console::Console;
use port::ControlPort;
use qmp::Qmp;
use snapshot::Snapshot;

/// Something happened to the machine.
#[derive(Debug)]
pub enum Signal {
    /// The agent said something, or bytes came that are no frame.
    Agent(Result<Frame<Reply>, FrameError>),
    /// The kernel printed a line. A sign of life.
    ConsoleLine,
    /// The kernel printed a line that ends the run.
    Alarm(Alarm),
    /// The console printed more than any honest guest does.
    ConsoleFlood,
    /// QEMU reports an event.
    Qemu(qapi::qmp::Event),
    /// QEMU has gone.
    Gone,
    /// The user wants to stop.
    Cancelled,
}

/// Why a machine could not be started or used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// QEMU could not be started.
    #[error("cannot start {}: {source}; `cargo xtask doctor` tells what is missing", command::QEMU)]
    Start {
        /// Why.
        source: io::Error,
    },
    /// QEMU ended before it answered.
    #[error("QEMU ended at once: {said}")]
    Refused {
        /// What it printed.
        said: String,
    },
    /// A file or socket of the run failed.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// QEMU's control channel broke.
    #[error("QMP: {0}")]
    Qmp(String),
    /// A request cannot be put into a frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// KVM was demanded, and runs nothing here.
    #[error("KVM was asked for and does not work: {0}; `--accel auto` falls back to software emulation")]
    NoKvm(String),
    /// A guest could not be kept, or not be restored.
    #[error("{0}")]
    Kept(String),
    /// The user wants to stop.
    #[error("cancelled")]
    Cancelled,
}

impl Error {
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}

/// A running guest. Dropped, it is killed and reaped.
#[derive(Debug)]
pub struct Machine {
    /// Its console.
    pub console: Console,
    /// QEMU's control channel.
    pub qmp: Qmp,
    /// The agent's port.
    pub control: ControlPort,
    /// The port that takes kernel images.
    pub bulk: UnixStream,
    signals: Receiver<Signal>,
    group: Group,
    started: Instant,
    restored: bool,
    log: PathBuf,
    cancel: Cancel,
    _subscription: Subscription,
}

/// Signals that may wait: a guest that talks faster than it is listened to has to wait itself.
const QUEUE: usize = 1024;
/// How long a QEMU whose console has ended may take to end too.
const LAST_BREATH: Duration = Duration::from_secs(2);

/// Descriptors that QEMU finds its sockets under.
const CHILD_FDS: [i32; 4] = [10, 11, 12, 13];
/// The one that it finds a snapshot under.
const SNAPSHOT_FD: i32 = 14;
/// How long QEMU may take to read one.
const RESTORING: Duration = Duration::from_secs(60);

impl Machine {
    /// Starts a guest; its logs go to `folder`.
    ///
    /// # Errors
    /// QEMU is missing, refuses its command line, or the folder cannot be written.
    pub fn start(shape: &Shape, folder: &Path, cancel: &Cancel) -> Result<Self, Error> {
        Self::launch(shape, None, folder, cancel)
    }

    /// Starts a guest of the same shape where the snapshot was taken.
    ///
    /// # Errors
    /// As [`Machine::start`]; or QEMU cannot read the snapshot.
    pub fn restore(shape: &Shape, snapshot: &Snapshot, folder: &Path, cancel: &Cancel) -> Result<Self, Error> {
        let mut machine = Self::launch(shape, Some(snapshot), folder, cancel)?;
        let uri = Some(format!("fd:{SNAPSHOT_FD}"));
        machine.qmp.execute(&qapi::qmp::migrate_incoming { channels: None, exit_on_error: None, uri })?;
        machine.expect(RESTORING, "it ran again", |signal| {
            matches!(signal, Signal::Qemu(qapi::qmp::Event::RESUME { .. }))
        })?;
        Ok(machine)
    }

    fn launch(shape: &Shape, snapshot: Option<&Snapshot>, folder: &Path, cancel: &Cancel) -> Result<Self, Error> {
        let by_hand = shape.render(&Wiring::ByHand);
        std::fs::write(folder.join("qemu.sh"), by_hand).map_err(Error::io("write qemu.sh"))?;

        let mut ours = Vec::new();
        let mut mappings = Vec::new();
        for child_fd in CHILD_FDS {
            let (mine, qemus) = UnixStream::pair().map_err(Error::io("make a socket pair"))?;
            ours.push(mine);
            mappings.push(FdMapping { parent_fd: OwnedFd::from(qemus), child_fd });
        }
        let Ok([console, qmp, control, bulk]) = <[UnixStream; 4]>::try_from(ours) else {
            unreachable!("a socket for each of four descriptors");
        };

        if let Some(snapshot) = snapshot {
            let state = snapshot.open().map_err(Error::io("open the snapshot"))?;
            mappings.push(FdMapping { parent_fd: OwnedFd::from(state), child_fd: SNAPSHOT_FD });
        }

        let log = folder.join("qemu.log");
        let stderr = File::create(&log).map_err(Error::io("create qemu.log"))?;
        let stdout = stderr.try_clone().map_err(Error::io("create qemu.log"))?;
        let mut command = Command::new(command::QEMU);
        command.args(shape.arguments(&Wiring::Inherited(CHILD_FDS)));
        if snapshot.is_some() {
            command.args(["-incoming", "defer"]);
        }
        command.stdin(Stdio::null()).stdout(stdout).stderr(stderr).process_group(0);
        die_with_us(&mut command);
        let collision = |error| Error::Start { source: io::Error::other(error) };
        command.fd_mappings(mappings).map_err(collision)?;

        let (sender, signals) = mpsc::sync_channel(QUEUE);
        let woken = sender.clone();
        // A full queue has a reader who is awake, and who looks at the flag itself.
        let subscription = cancel.on_cancel(move || drop(woken.try_send(Signal::Cancelled)));

        let now = Instant::now();
        // Its age counts on, so that its logs do.
        let started = snapshot.and_then(|snapshot| now.checked_sub(snapshot.age)).unwrap_or(now);
        let before = snapshot.map_or("", |snapshot| &snapshot.console);
        let child = command.spawn().map_err(|source| Error::Start { source })?;
        let group = Group(child);
        // It holds QEMU's ends of the sockets: as long as it lives, nobody sees QEMU go.
        drop(command);

        let console = Console::attach(console, started, &folder.join("console.log"), before, sender.clone())?;
        let control = ControlPort::attach(control, sender.clone())?;
        let qmp = Qmp::attach(qmp, &folder.join("qmp.log"), sender);
        let qmp = match qmp {
            Ok(qmp) => qmp,
            Err(Error::Qmp(_)) => return Err(Error::Refused { said: said(&log) }),
            Err(other) => return Err(other),
        };
        Ok(Self {
            console,
            qmp,
            control,
            bulk,
            signals,
            group,
            started,
            restored: snapshot.is_some(),
            log,
            cancel: cancel.clone(),
            _subscription: subscription,
        })
    }

    /// The next signal; `None` if none comes within `patience`.
    pub fn wait(&mut self, patience: Duration) -> Option<Signal> {
        if self.cancel.is_cancelled() {
            return Some(Signal::Cancelled);
        }
        match self.signals.recv_timeout(patience) {
            Ok(signal) => Some(signal),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Signal::Gone),
        }
    }

    /// Whether it was restored from a snapshot.
    #[must_use]
    pub fn is_restored(&self) -> bool {
        self.restored
    }

    fn kill(&mut self) {
        // If it has ended already, that is as good.
        let _ = self.group.0.kill();
    }

    /// Host time since QEMU was started; of a restored guest, since the one that it was taken from was.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// How QEMU ended, and what it printed; call it after [`Signal::Gone`].
    pub fn obituary(&mut self) -> String {
        let until = Instant::now() + LAST_BREATH;
        while Instant::now() < until && matches!(self.group.0.try_wait(), Ok(None)) {
            // The kernel tells only a parent's SIGCHLD handler, and that is the caller's to have.
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.group.0.kill();
        let status = self.group.0.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
        match said(&self.log).trim() {
            "" => format!("QEMU ended ({status})"),
            words => format!("QEMU ended ({status}): {words}"),
        }
    }
}

/// The end of QEMU's own output; bounded, since the guest can make QEMU talk.
fn said(log: &Path) -> String {
    const TAIL: u64 = 2048;
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
        let mut bytes = Vec::new();
        file.take(TAIL).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    String::from_utf8_lossy(&read().unwrap_or_default()).trim().to_owned()
}
