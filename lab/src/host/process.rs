//! Runs commands whose output is watched line by line, and which never outlive us.
//!
//! A child gets a process group of its own: Ctrl-C reaches us alone, and we end the whole group, compilers included.
//! Should we be killed ourselves, the kernel ends the child (`PR_SET_PDEATHSIG`).

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, PipeReader, Write};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group, set_parent_process_death_signal};

use super::cancel::Cancel;

/// How long a cancelled command may take to clean up after SIGTERM: make deletes half-written targets.
const GRACE: Duration = Duration::from_secs(5);
/// How many of the last lines an error repeats.
const TAIL: usize = 20;

/// Why a command did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It could not be started.
    #[error("cannot run `{program}`: {source}{}", hint(source))]
    Spawn {
        /// The program's name.
        program: String,
        /// The reason.
        source: io::Error,
    },
    /// It ended unsuccessfully.
    #[error("`{command}` failed ({status}); its last words:\n{}", indent(tail))]
    Failed {
        /// The command line.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// The last lines of its output.
        tail: Vec<String>,
    },
    /// We were told to stop.
    #[error("cancelled while `{command}` was running")]
    Cancelled {
        /// The command line.
        command: String,
    },
    /// Reading its output, or writing its log, failed.
    #[error("cannot follow `{command}`: {source}")]
    Io {
        /// The command line.
        command: String,
        /// The reason.
        source: io::Error,
    },
}

fn hint(error: &io::Error) -> &'static str {
    if error.kind() == io::ErrorKind::NotFound { " (is it installed? `doctor` tells)" } else { "" }
}

fn indent(lines: &[String]) -> String {
    lines.iter().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

/// How a command ended, and what it said last.
#[derive(Debug)]
pub struct Outcome {
    /// Its exit status.
    pub status: ExitStatus,
    /// The last lines of its output.
    pub tail: Vec<String>,
    /// The command line, for messages.
    pub command: String,
}

impl Outcome {
    /// Turns an unsuccessful end into an error.
    ///
    /// # Errors
    /// The command failed.
    pub fn success(self) -> Result<(), Error> {
        if self.status.success() {
            return Ok(());
        }
        Err(Error::Failed { command: self.command, status: self.status, tail: self.tail })
    }
}

enum Event {
    Line(io::Result<String>),
    End,
    Cancelled,
}

/// A command about to be watched.
pub struct Watched<'a> {
    command: Command,
    cancel: &'a Cancel,
    log: Option<PathBuf>,
    grace: Duration,
}

impl<'a> Watched<'a> {
    /// Watches `command`, ending it when `cancel` is raised.
    #[must_use]
    pub fn new(command: Command, cancel: &'a Cancel) -> Self {
        Self { command, cancel, log: None, grace: GRACE }
    }

    /// Also appends every line to this file.
    #[must_use]
    pub fn log(mut self, path: &Path) -> Self {
        self.log = Some(path.to_path_buf());
        self
    }

    /// Runs to the end; `on_line` sees each line of both output streams as it comes (also at a carriage return).
    ///
    /// # Errors
    /// It could not be started or followed, or was cancelled. An unsuccessful end is in the outcome.
    pub fn run(self, mut on_line: impl FnMut(&str)) -> Result<Outcome, Error> {
        let Self { mut command, cancel, log, grace } = self;
        let line = describe(&command);
        let followed = |source| Error::Io { command: line.clone(), source };
        let mut log =
            log.map(|path| File::options().create(true).append(true).open(path)).transpose().map_err(followed)?;

        let (reader, writer) = io::pipe().map_err(followed)?;
        command.stdin(Stdio::null()).stderr(writer.try_clone().map_err(followed)?).stdout(writer).process_group(0);
        die_with_us(&mut command);
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command.spawn().map_err(|source| Error::Spawn { program, source })?;
        drop(command); // It holds the pipe's writing end; the end of output could not be seen.
        let mut group = Group(child);

        let (events, inbox) = mpsc::channel();
        let wake = events.clone();
        let _subscription = cancel.on_cancel(move || drop(wake.send(Event::Cancelled)));
        std::thread::spawn(move || read_lines(reader, &events));

        let mut tail = VecDeque::with_capacity(TAIL);
        loop {
            // Our own subscription keeps the channel open.
            match inbox.recv() {
                Ok(Event::Line(text)) => {
                    let text = text.map_err(followed)?;
                    if let Some(log) = &mut log {
                        writeln!(log, "{text}").map_err(followed)?;
                    }
                    on_line(&text);
                    if tail.len() == TAIL {
                        tail.pop_front();
                    }
                    tail.push_back(text);
                }
                Ok(Event::End) | Err(_) => break,
                Ok(Event::Cancelled) => {
                    group.end(&inbox, grace);
                    return Err(Error::Cancelled { command: line });
                }
            }
        }
        let status = group.0.wait().map_err(followed)?;
        Ok(Outcome { status, tail: tail.into(), command: line })
    }
}

/// A child with its process group; dropped early, the group dies.
#[derive(Debug)]
pub(crate) struct Group(pub(crate) Child);

impl Group {
    fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw) {
            // It may have ended by itself: nothing is lost.
            let _ = kill_process_group(pid, signal);
        }
    }

    /// Asks the group to end, and insists when the output stays open past the grace period.
    fn end(&mut self, inbox: &Receiver<Event>, grace: Duration) {
        self.signal(Signal::TERM);
        let deadline = std::time::Instant::now() + grace;
        loop {
            match inbox.recv_timeout(deadline.saturating_duration_since(std::time::Instant::now())) {
                Ok(Event::End) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => {
                    self.signal(Signal::KILL);
                    break;
                }
            }
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            self.signal(Signal::KILL);
            let _ = self.0.wait();
        }
    }
}

/// Has the kernel kill the child when the thread that started it ends; that thread waits for the child here.
#[expect(unsafe_code, reason = "the only way to run something between fork and exec")]
pub(crate) fn die_with_us(command: &mut Command) {
    // SAFETY: the closure makes one system call, prctl(2), which is async-signal-safe and touches no memory.
    unsafe {
        command.pre_exec(|| set_parent_process_death_signal(Some(Signal::KILL)).map_err(io::Error::from));
    }
}

/// Sends each line; a progress meter's carriage return ends one too.
fn read_lines(reader: PipeReader, events: &Sender<Event>) {
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    loop {
        let chunk = match reader.fill_buf() {
            Ok([]) => break,
            Ok(chunk) => chunk,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                let _ = events.send(Event::Line(Err(error)));
                return;
            }
        };
        let (used, whole) = match chunk.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            Some(end) => (end + 1, true),
            None => (chunk.len(), false),
        };
        line.extend_from_slice(&chunk[..used - usize::from(whole)]);
        reader.consume(used);
        if whole && !send_line(events, &mut line) {
            return;
        }
    }
    if send_line(events, &mut line) {
        let _ = events.send(Event::End);
    }
}

fn send_line(events: &Sender<Event>, line: &mut Vec<u8>) -> bool {
    let text = String::from_utf8_lossy(line).into_owned();
    line.clear();
    text.is_empty() || events.send(Event::Line(Ok(text))).is_ok()
}

/// The command line as one could type it.
#[must_use]
pub fn describe(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn lines_of_both_streams_are_seen_and_the_end_is_told() {
        let cancel = Cancel::new();
        let mut lines = Vec::new();
        let script = "echo one; echo two >&2; printf 'three\\rfour'; exit 3";
        let outcome = Watched::new(sh(script), &cancel).run(|line| lines.push(line.to_owned())).unwrap();
        assert_eq!(lines, ["one", "two", "three", "four"]);
        assert_eq!(outcome.status.code(), Some(3));
        let said = outcome.success().unwrap_err().to_string();
        assert!(said.contains("four") && said.contains("exit status: 3"), "{said}");
    }

    #[test]
    fn what_is_not_there_is_named() {
        let said = Watched::new(Command::new("no-such-program"), &Cancel::new()).run(|_| {}).unwrap_err().to_string();
        assert!(said.contains("no-such-program") && said.contains("installed"), "{said}");
    }

    #[test]
    fn a_flag_already_up_stops_at_once_and_children_too() {
        let cancel = Cancel::new();
        cancel.cancel();
        let result = Watched::new(sh("sleep 1000 & wait"), &cancel).run(|_| {});
        assert!(matches!(result, Err(Error::Cancelled { .. })));
    }

    #[test]
    fn who_ignores_the_request_is_made_to_end() {
        let cancel = Cancel::new();
        let raise = cancel.clone();
        // The sleep inherits the deafness.
        let script = "trap '' TERM; echo ready; sleep 1000";
        let watched = Watched { grace: Duration::from_millis(20), ..Watched::new(sh(script), &cancel) };
        let result = watched.run(move |line| {
            if line == "ready" {
                raise.cancel();
            }
        });
        assert!(matches!(result, Err(Error::Cancelled { .. })));
    }
}
