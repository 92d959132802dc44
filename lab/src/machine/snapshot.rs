//! A guest as it was at one moment, from which others begin.
//!
//! QEMU writes its state to a file that has no name, as if the guest moved to another host, and other QEMUs read it. It is
//! some 40 MB: pages of zeros are only mentioned. (Their RAM could be a private mapping of the first one's, which
//! costs nothing to restore. Then the two would have different command lines, and each page would be copied
//! when it is first written to; it saves 30 ms of a run.)

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::Path;
use std::time::{Duration, Instant};

use protocol::message::Reply;
use qapi::qmp::{Event, MigrationStatus};

use super::command::Shape;
use super::{Error, Machine, Signal};
use crate::host::Cancel;

/// How long QEMU may take to write or read a guest's state: half a second for each of the GiB that are in use.
const PATIENCE: Duration = Duration::from_secs(60);
/// Most that a console may have printed until then.
const MAX_CONSOLE: u64 = 4 << 20;
/// Bytes a second: more than any disk takes. QEMU's own idea is that of a network.
const BANDWIDTH: u64 = 1 << 40;

/// A guest's state, and what is known of its past.
#[derive(Debug)]
pub struct Snapshot {
    state: File,
    /// What its console.log had.
    pub(super) console: String,
    /// How long it had run.
    pub(super) age: Duration,
}

impl Snapshot {
    /// Boots a guest and keeps it as it is when its agent is ready.
    ///
    /// # Errors
    /// It could not be started, did not get there within `silence`, or QEMU cannot write its state.
    pub fn take(shape: &Shape, silence: Duration, cancel: &Cancel) -> Result<Self, Error> {
        let folder = tempfile::tempdir().map_err(Error::io("make a folder for the guest to be kept"))?;
        let mut machine = Machine::start(shape, folder.path(), cancel)?;
        machine.expect(
            silence,
            "its agent was ready",
            |signal| matches!(signal, Signal::Agent(Ok(frame)) if frame.message == Reply::Ready),
        )?;
        machine.keep(folder.path())
    }

    /// Another look at the state, from its beginning: guests that are restored at the same time each need their own.
    pub(super) fn open(&self) -> io::Result<File> {
        File::open(format!("/proc/self/fd/{}", self.state.as_raw_fd()))
    }
}

impl Machine {
    /// Writes down the guest and ends it.
    fn keep(mut self, folder: &Path) -> Result<Snapshot, Error> {
        let state = tempfile::tempfile().map_err(Error::io("make a file for the guest's state"))?;
        self.qmp.execute(&qapi::qmp::migrate_set_capabilities {
            capabilities: vec![qapi::qmp::MigrationCapabilityStatus {
                capability: qapi::qmp::MigrationCapability::events,
                state: true,
            }],
        })?;
        self.qmp.execute(&qapi::qmp::migrate_set_parameters(qapi::qmp::MigrateSetParameters {
            max_bandwidth: Some(BANDWIDTH),
            ..Default::default()
        }))?;
        self.qmp.give(state.as_fd(), "state")?;
        let uri = Some("fd:state".to_owned());
        self.qmp.execute(&qapi::qmp::migrate { channels: None, detach: None, resume: None, uri })?;
        let mut ended = None;
        self.expect(PATIENCE, "its state was written", |signal| {
            if let Signal::Qemu(Event::MIGRATION { data, .. }) = signal {
                ended =
                    matches!(data.status, MigrationStatus::completed | MigrationStatus::failed).then_some(data.status);
            }
            ended.is_some()
        })?;
        if ended != Some(MigrationStatus::completed) {
            return Err(Error::Qmp("migrate: QEMU could not write the guest's state".to_owned()));
        }
        let age = self.age();
        // It stands still; what its console still holds is read to the end.
        self.kill();
        self.expect(PATIENCE, "its console ended", |signal| matches!(signal, Signal::Gone))?;
        if self.console.is_cut() {
            return Err(Error::Kept("it was in the middle of a line on its console".to_owned()));
        }
        let mut console = String::new();
        File::open(folder.join("console.log"))
            .and_then(|file| file.take(MAX_CONSOLE).read_to_string(&mut console))
            .map_err(Error::io("read console.log"))?;
        Ok(Snapshot { state, console, age })
    }

    /// Waits for a signal. What ends a run ends this too.
    pub(super) fn expect(
        &mut self,
        patience: Duration,
        what: &str,
        mut is_it: impl FnMut(&Signal) -> bool,
    ) -> Result<(), Error> {
        let deadline = Instant::now() + patience;
        loop {
            let signal = self.wait(deadline.saturating_duration_since(Instant::now()));
            if signal.as_ref().is_some_and(&mut is_it) {
                return Ok(());
            }
            let why = match signal {
                Some(Signal::Cancelled) => return Err(Error::Cancelled),
                Some(Signal::Gone) => self.obituary(),
                Some(Signal::Alarm(alarm)) => alarm.line,
                Some(Signal::ConsoleFlood) => "its console printed without end".to_owned(),
                Some(Signal::Agent(_) | Signal::ConsoleLine | Signal::Qemu(_)) => continue,
                None => format!("nothing came for {} s", patience.as_secs_f64()),
            };
            return Err(Error::Kept(format!("before {what}: {why}")));
        }
    }
}
