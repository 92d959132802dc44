//! QEMU's control channel. The types are the `qapi` crate's; the reading is ours, since events must reach
//! the machine's one queue while commands wait for their answers.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, IoSlice, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::time::{Duration, Instant};

use qapi::qmp::{QapiCapabilities, QmpMessageAny, qmp_capabilities};
use qapi::{Any, Command, Execute, Never};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

use super::console::Stamp;
use super::{Error, Signal};

/// How long QEMU may take to answer: it does so between two instructions of the guest.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest line taken from QEMU.
const MAX_LINE: u64 = 4 << 20;

/// A connection to QEMU's monitor.
#[derive(Debug)]
pub struct Qmp {
    stream: UnixStream,
    answers: Receiver<Result<Any, String>>,
    version: String,
}

impl Qmp {
    pub(super) fn attach(stream: UnixStream, log: &Path, signals: SyncSender<Signal>) -> Result<Self, Error> {
        let mut log = File::create(log).map_err(Error::io("create qmp.log"))?;
        let reader = stream.try_clone().map_err(Error::io("share the QMP socket"))?;
        let mut reader = BufReader::new(reader);
        let mut line = String::new();
        stream.set_read_timeout(Some(PATIENCE)).map_err(Error::io("set a time limit"))?;
        let greeted = (&mut reader).take(MAX_LINE).read_line(&mut line);
        stream.set_read_timeout(None).map_err(Error::io("lift the time limit"))?;
        let greeting: QapiCapabilities = match greeted {
            Ok(0) | Err(_) => return Err(Error::Qmp("no greeting".to_owned())),
            Ok(_) => serde_json::from_str(&line).map_err(|error| Error::Qmp(format!("greeting: {error}")))?,
        };
        let _ = log.write_all(line.as_bytes());
        let version = &greeting.QMP.version.qemu;
        let version = format!("{}.{}.{}", version.major, version.minor, version.micro);

        let (sender, answers) = mpsc::channel();
        std::thread::spawn(move || read(reader, log, &sender, &signals));
        let mut qmp = Self { stream, answers, version };
        qmp.execute(&qmp_capabilities { enable: None })?;
        Ok(qmp)
    }

    /// QEMU's version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Carries out one command.
    ///
    /// # Errors
    /// QEMU refused it, or does not answer.
    pub fn execute<C: Command>(&mut self, command: &C) -> Result<C::Ok, Error>
    where
        for<'a> &'a C: Command,
    {
        self.execute_with(command, None)
    }

    /// Gives QEMU an open file, to be called `name` in other commands.
    ///
    /// # Errors
    /// As [`Qmp::execute`].
    pub fn give(&mut self, file: BorrowedFd<'_>, name: &str) -> Result<(), Error> {
        self.execute_with(&qapi::qmp::getfd { fdname: name.to_owned() }, Some(file)).map(drop)
    }

    fn execute_with<C: Command>(&mut self, command: &C, file: Option<BorrowedFd<'_>>) -> Result<C::Ok, Error>
    where
        for<'a> &'a C: Command,
    {
        let failed = |why: String| Error::Qmp(format!("{}: {why}", C::NAME));
        let mut line =
            serde_json::to_vec(&Execute::<&C, Never>::from(command)).map_err(|error| failed(error.to_string()))?;
        line.push(b'\n');
        let sent = match file {
            // It travels with the first byte.
            Some(file) => send_with(&self.stream, &line[..1], file).and_then(|()| self.stream.write_all(&line[1..])),
            None => self.stream.write_all(&line),
        };
        sent.map_err(|error| failed(error.to_string()))?;
        let answer =
            self.answers.recv_timeout(PATIENCE).map_err(|_| failed("no answer".to_owned()))?.map_err(failed)?;
        serde_json::from_value(answer).map_err(|error| failed(error.to_string()))
    }

    /// The processors' registers, in QEMU's own words: where a guest hangs.
    ///
    /// # Errors
    /// As [`Qmp::execute`].
    pub fn registers(&mut self) -> Result<String, Error> {
        self.execute(&qapi::qmp::human_monitor_command {
            command_line: "info registers -a".to_owned(),
            cpu_index: None,
        })
    }
}

fn send_with(stream: &UnixStream, byte: &[u8], file: BorrowedFd<'_>) -> io::Result<()> {
    let files = [file];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    beside.push(SendAncillaryMessage::ScmRights(&files));
    sendmsg(stream, &[IoSlice::new(byte)], &mut beside, SendFlags::empty())?;
    Ok(())
}

fn read(
    mut reader: BufReader<UnixStream>,
    mut log: File,
    answers: &Sender<Result<Any, String>>,
    signals: &SyncSender<Signal>,
) {
    let started = Instant::now();
    let mut line = String::new();
    loop {
        line.clear();
        match (&mut reader).take(MAX_LINE).read_line(&mut line) {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        let _ = write!(log, "{} {line}", Stamp(started.elapsed()));
        let delivered = match serde_json::from_str::<QmpMessageAny>(&line) {
            Ok(QmpMessageAny::Event(event)) => signals.send(Signal::Qemu(event)).is_ok(),
            Ok(QmpMessageAny::Response(response)) => {
                answers.send(response.result().map_err(|error| error.to_string())).is_ok()
            }
            // An event of a newer QEMU: it stands in the log.
            Err(_) => true,
        };
        if !delivered {
            break;
        }
    }
}
