//! The serial console: kept in full with host time stamps, watched line by line, and open to
//! expectations.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rexpect::reader::Options;
use rexpect::session::StreamSession;

use super::lines::Lines;
use super::{Error, Signal, alarm};

/// Most bytes that a console may print in one run.
const MAX_BYTES: u64 = 4 << 20;
/// Lines that are kept at hand as evidence.
const RECENT: usize = 400;

type Recent = Arc<Mutex<VecDeque<String>>>;

/// A guest's console.
pub struct Console {
    session: StreamSession<UnixStream>,
    recent: Recent,
    cut: Arc<AtomicBool>,
}

impl std::fmt::Debug for Console {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Console").finish_non_exhaustive()
    }
}

impl Console {
    /// `before` is what a console.log already has of a guest that was restored.
    pub(super) fn attach(
        stream: UnixStream,
        started: Instant,
        log: &Path,
        before: &str,
        signals: SyncSender<Signal>,
    ) -> Result<Self, Error> {
        let mut log = BufWriter::new(File::create(log).map_err(Error::io("create console.log"))?);
        log.write_all(before.as_bytes()).map_err(Error::io("write console.log"))?;
        let writer = stream.try_clone().map_err(Error::io("share the console"))?;
        let cut = Arc::new(AtomicBool::new(false));
        let recent = before.lines().filter_map(|line| line.get(STAMP + 1..)).map(str::to_owned);
        let recent: Recent = Arc::new(Mutex::new(recent.collect()));
        let recorder = Recorder {
            stream,
            started,
            log,
            signals,
            recent: Arc::clone(&recent),
            lines: Lines::default(),
            bytes: 0,
            alarmed: false,
            cut: Arc::clone(&cut),
        };
        let patience = Options::new().timeout_ms(Some(10_000)).strip_ansi_escape_codes(true);
        Ok(Self { session: StreamSession::new(recorder, writer, patience), recent, cut })
    }

    /// Waits until the console has printed something that matches, and returns that.
    ///
    /// # Errors
    /// Nothing did within ten seconds, or the console ended.
    pub fn expect(&mut self, pattern: &str) -> Result<String, String> {
        self.session.exp_regex(pattern).map(|(_, matched)| matched).map_err(|error| match error {
            rexpect::error::Error::Timeout { .. } => format!("nothing on the console matches /{pattern}/"),
            rexpect::error::Error::EOF { .. } => format!("the console ended before anything matched /{pattern}/"),
            other => other.to_string(),
        })
    }

    /// Whether it ended within a line.
    pub(super) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Acquire)
    }

    /// The last `count` lines.
    #[must_use]
    pub fn tail(&self, count: usize) -> Vec<String> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.iter().skip(recent.len().saturating_sub(count)).cloned().collect()
    }
}

/// Sees every byte on its way to whoever has expectations.
struct Recorder {
    stream: UnixStream,
    started: Instant,
    log: BufWriter<File>,
    signals: SyncSender<Signal>,
    recent: Recent,
    lines: Lines,
    bytes: u64,
    alarmed: bool,
    cut: Arc<AtomicBool>,
}

impl Read for Recorder {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = loop {
            match self.stream.read(buffer) {
                Ok(count) => break count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The reader above would ask again for ever; a console that fails has ended.
                Err(_) => break 0,
            }
        };
        self.bytes += count as u64;
        if self.bytes > MAX_BYTES {
            let _ = self.signals.send(Signal::ConsoleFlood);
            return Ok(0);
        }
        let mut lines = std::mem::take(&mut self.lines);
        lines.feed(&buffer[..count], |line| self.keep(line));
        self.lines = lines;
        if count == 0 {
            self.end();
        }
        Ok(count)
    }
}

impl Recorder {
    fn keep(&mut self, line: String) {
        let _ = writeln!(self.log, "{} {line}", Stamp(self.started.elapsed()));
        let _ = self.log.flush();
        let alarm = alarm::scan(&line).filter(|_| !self.alarmed);
        {
            let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
            if recent.len() >= RECENT {
                recent.pop_front();
            }
            recent.push_back(line);
        }
        let _ = self.signals.send(Signal::ConsoleLine);
        if let Some(alarm) = alarm {
            // What follows belongs to it.
            self.alarmed = true;
            let _ = self.signals.send(Signal::Alarm(alarm));
        }
    }

    fn end(&mut self) {
        if let Some(line) = std::mem::take(&mut self.lines).end() {
            self.cut.store(true, Ordering::Release);
            self.keep(line);
        }
        let _ = self.log.flush();
        let _ = self.signals.send(Signal::Gone);
    }
}

/// How wide it is, up to a day.
const STAMP: usize = 11;

/// Host time since the start, as it stands in the logs.
pub(super) struct Stamp(pub(super) Duration);

impl std::fmt::Display for Stamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:>STAMP$.6}", self.0.as_secs_f64())
    }
}
