//! The talk with the agent: one question, one answer, and whatever may befall the guest in between.

use std::fmt::Debug;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use protocol::frame::FrameError;
use protocol::message::{BootFacts, NextKernel, Reply, Request, Revival, Span, Tsc};
use protocol::program::{End, Program};

use super::artefacts::Artefacts;
use super::{Bootable, Limits, Observer, Stop};
use crate::machine::alarm::{self, Alarm};
use crate::machine::{Machine, Signal};
use crate::measure::clock::Reading;
use crate::result::{Failure, FailureKind};

/// Console lines that a failure repeats.
const EVIDENCE: usize = 12;
/// Damaged frames that a run may see: a kexec cuts one, seldom two.
const MAX_DAMAGED: u32 = 32;
/// Bytes of a kernel image between two looks at the clock.
const BULK_PIECE: usize = 256 << 10;
/// How long to listen after an alarm for the lines that explain it.
const AFTERMATH: Duration = Duration::from_millis(500);
/// The same, while such lines still come.
const LONGEST_AFTERMATH: Duration = Duration::from_secs(5);

/// A machine with an agent that answers.
pub(crate) struct Conversation<'a> {
    machine: Machine,
    limits: Limits,
    log: File,
    artefacts: &'a Artefacts,
    observer: &'a mut dyn Observer,
    /// The agent's last sequence number in this epoch.
    heard: Option<u32>,
    damaged: u32,
    sign_of_life: Instant,
    shutdown_reason: Option<String>,
    /// The agent was told to restart: its last word may be lost, and the next one's first takes its place.
    restarting: bool,
}

impl<'a> Conversation<'a> {
    pub(crate) fn new(
        machine: Machine,
        limits: Limits,
        artefacts: &'a Artefacts,
        observer: &'a mut dyn Observer,
    ) -> Result<Self, Stop> {
        let log = artefacts.agent_log().map_err(|error| Stop::Infrastructure(error.to_string()))?;
        Ok(Self {
            machine,
            limits,
            log,
            artefacts,
            observer,
            heard: None,
            damaged: 0,
            sign_of_life: Instant::now(),
            shutdown_reason: None,
            restarting: false,
        })
    }

    /// How long a check may take: no longer than the whole run.
    pub(crate) fn bound(&self, limit: Duration) -> Duration {
        (limit * self.limits.patience).min(self.limits.total)
    }

    pub(crate) fn observer(&mut self) -> &mut dyn Observer {
        self.observer
    }

    /// Waits for an agent to come up and opens the next epoch with it.
    pub(crate) fn meet(&mut self) -> Result<BootFacts, Stop> {
        self.sign_of_life = Instant::now();
        let revival = match self.machine.is_restored() && self.machine.control.epoch() == 0 {
            // That it is ready was said to whoever took the snapshot.
            true => Some(revival()?),
            false => {
                while self.next_reply(true)? != Reply::Ready {}
                None
            }
        };
        self.machine.control.next_epoch();
        self.heard = None;
        let nonce = u64::from(self.machine.control.epoch()) << 32 | u64::from(std::process::id());
        match self.ask(&Request::Hello { nonce, revival })? {
            Reply::Welcome { nonce: echoed, facts } if echoed == nonce => Ok(*facts),
            other => Err(self.misbehaved(&format!("answered a greeting with {}", brief(&other)))),
        }
    }

    /// Asks, and waits for the answer.
    pub(crate) fn ask(&mut self, request: &Request) -> Result<Reply, Stop> {
        self.say(request)?;
        self.answer()
    }

    pub(super) fn say(&mut self, request: &Request) -> Result<(), Stop> {
        self.note("→", request);
        self.restarting = matches!(request, Request::Reboot | Request::PretendReboot);
        if let Err(error) = self.machine.control.send(request) {
            // The guest's end says more than the pipe's.
            self.drain()?;
            return Err(error.into());
        }
        self.sign_of_life = Instant::now();
        Ok(())
    }

    pub(super) fn answer(&mut self) -> Result<Reply, Stop> {
        loop {
            match self.next_reply(false)? {
                Reply::Progress { done, total } => self.observer.progress(done, total),
                // Programs are heard in `execute`; what one says late is nobody's answer.
                Reply::Busy | Reply::Output { .. } => {}
                Reply::Failed(failure) => return Err(self.refused(&failure)),
                reply => return Ok(reply),
            }
        }
    }

    fn refused(&mut self, failure: &protocol::message::Failure) -> Stop {
        let errno =
            failure.errno.map_or(String::new(), |errno| format!(": {}", std::io::Error::from_raw_os_error(errno)));
        let message = format!("{}{errno} {}", failure.operation, failure.detail);
        let died = failure.operation.starts_with(protocol::message::HOLDER_DIED);
        let kind = if died { FailureKind::HolderDied } else { FailureKind::Refused };
        match self.failed(kind, message.trim_end().to_owned()) {
            Stop::Failed(told) => Stop::Failed(Failure { errno: failure.errno, ..told }),
            other => other,
        }
    }

    /// Asks for something that is simply done.
    pub(crate) fn ask_done(&mut self, request: &Request) -> Result<Span, Stop> {
        match self.ask(request)? {
            Reply::Done { span } => Ok(span),
            other => Err(self.unexpected(request, &other)),
        }
    }

    /// Runs a program in the guest; `hear` gets what it says as it says it.
    pub(crate) fn execute(&mut self, program: Program, hear: &mut dyn FnMut(&[u8])) -> Result<End, Stop> {
        let request = Request::Execute(program);
        self.say(&request)?;
        loop {
            match self.next_reply(false)? {
                Reply::Output { bytes } => hear(&bytes),
                Reply::Busy => {}
                Reply::Executed { end, .. } => return Ok(end),
                Reply::Failed(failure) => return Err(self.refused(&failure)),
                other => return Err(self.unexpected(&request, &other)),
            }
        }
    }

    /// Has the guest load the next kernel.
    pub(crate) fn load(&mut self, next: &Bootable, command_line: &str) -> Result<Span, Stop> {
        let read = |path: &Path| {
            fs::read(path).map_err(|error| Stop::Infrastructure(format!("cannot read {}: {error}", path.display())))
        };
        let (kernel, initramfs) = (read(&next.image)?, read(&next.initramfs)?);
        let request = Request::LoadKernel(NextKernel {
            kernel_bytes: kernel.len() as u64,
            initramfs_bytes: initramfs.len() as u64,
            command_line: command_line.to_owned(),
        });
        match self.ask(&request)? {
            Reply::SendBulk => {}
            other => return Err(self.unexpected(&request, &other)),
        }
        self.send_bulk(&[&kernel, &initramfs])?;
        match self.answer()? {
            Reply::Done { span } => Ok(span),
            other => Err(self.unexpected(&request, &other)),
        }
    }

    /// Has the guest restart, and tells when that was asked, if its last word came through.
    pub(crate) fn restart(&mut self, how: &Request) -> Result<Option<Tsc>, Stop> {
        match self.ask(how)? {
            Reply::Done { span } => Ok(Some(span.from)),
            Reply::Ready => Ok(None),
            other => Err(self.unexpected(how, &other)),
        }
    }

    /// What the kernel's own log holds, and the first line of it that is an alarm: the serial console is slower than
    /// the agent's port.
    pub(crate) fn kernel_log(&mut self) -> Result<(String, Option<Alarm>), Stop> {
        let text = match self.ask(&Request::KernelLog)? {
            Reply::KernelLog { text } => text,
            other => return Err(self.unexpected(&Request::KernelLog, &other)),
        };
        self.artefacts.keep("kernel.log", &text);
        let alarm = text.lines().find_map(|line| alarm::scan(alarm::without_level(line)));
        Ok((text, alarm))
    }

    /// Sends a kernel and its initramfs through the bulk port.
    fn send_bulk(&mut self, parts: &[&[u8]]) -> Result<(), Stop> {
        let _ = self.machine.bulk.set_write_timeout(Some(self.limits.silence));
        for piece in parts.iter().flat_map(|part| part.chunks(BULK_PIECE)) {
            if self.machine.age() >= self.limits.total {
                return Err(self.out_of_patience(true));
            }
            if let Err(error) = self.machine.bulk.write_all(piece) {
                self.drain()?;
                let message = format!("the guest takes no more of the kernel image: {error}");
                return Err(self.failed(FailureKind::Hung, message));
            }
        }
        Ok(())
    }

    /// Reads the guest's time stamp counter, several times over: the quickest answer is the best.
    pub(super) fn read_clock(&mut self) -> Result<Vec<Reading>, Stop> {
        let mut readings = Vec::new();
        for _ in 0..5 {
            let asked = self.machine.age();
            match self.ask(&Request::ReadTsc)? {
                Reply::Tsc(tsc @ Tsc(_)) => readings.push(Reading { tsc, asked, answered: self.machine.age() }),
                other => return Err(self.unexpected(&Request::ReadTsc, &other)),
            }
        }
        Ok(readings)
    }

    pub(crate) fn unexpected(&mut self, request: &Request, reply: &Reply) -> Stop {
        self.misbehaved(&format!("answered {} with {}", brief(request), brief(reply)))
    }

    pub(super) fn misbehaved(&mut self, what: &str) -> Stop {
        self.failed(FailureKind::AgentMisbehaved, format!("the agent {what}"))
    }

    pub(crate) fn failed(&mut self, kind: FailureKind, message: String) -> Stop {
        let evidence = self.machine.console.tail(EVIDENCE);
        Stop::Failed(Failure { evidence, ..Failure::new(kind, message) })
    }

    /// The next thing that the agent says in this epoch; with `awaiting_ready`, the next sign of a new agent.
    fn next_reply(&mut self, awaiting_ready: bool) -> Result<Reply, Stop> {
        loop {
            let quiet_until = self.sign_of_life + self.limits.silence;
            let left_in_all = self.limits.total.saturating_sub(self.machine.age());
            let patience = quiet_until.saturating_duration_since(Instant::now()).min(left_in_all);
            // A guest that never stops talking gets no more time than a silent one.
            let signal = if patience.is_zero() { None } else { self.machine.wait(patience) };
            let Some(signal) = signal else {
                return Err(self.out_of_patience(patience == left_in_all));
            };
            let frame = match signal {
                Signal::Agent(Ok(frame)) => frame,
                Signal::Agent(Err(error)) => {
                    self.damaged_frame(&error)?;
                    continue;
                }
                other => {
                    self.befall(other)?;
                    continue;
                }
            };
            if frame.message == Reply::Ready {
                // Repeated until the greeting arrives; of no interest afterwards.
                if (awaiting_ready || self.restarting) && frame.epoch == 0 {
                    self.note("←", &frame.message);
                    return Ok(frame.message);
                }
                continue;
            }
            if frame.epoch != self.machine.control.epoch() || self.heard.is_some_and(|heard| frame.sequence <= heard) {
                self.note("✗ stale", &frame.message);
                self.strike("frames of another time")?;
                continue;
            }
            self.heard = Some(frame.sequence);
            self.sign_of_life = Instant::now();
            if !frame.message.is_interim() {
                self.note("←", &frame.message);
            }
            match frame.message {
                reply if !awaiting_ready => return Ok(reply),
                // The old agent speaks once more: the kernel would not restart.
                Reply::Failed(failure) => return Err(self.refused(&failure)),
                // Of the restart itself, delivered late.
                Reply::Done { .. } => {}
                other => return Err(self.misbehaved(&format!("said {} where it had to restart", brief(&other)))),
            }
        }
    }

    /// Everything but the agent's words.
    fn befall(&mut self, signal: Signal) -> Result<(), Stop> {
        match signal {
            Signal::Agent(_) => {}
            Signal::ConsoleLine => self.sign_of_life = Instant::now(),
            Signal::Alarm(alarm) => return Err(self.alarmed(&alarm)),
            Signal::ConsoleFlood => {
                let message = "the console printed more than 4 MiB".to_owned();
                return Err(self.failed(FailureKind::KernelComplaint, message));
            }
            Signal::Qemu(qapi::qmp::Event::SHUTDOWN { data, .. }) => {
                self.shutdown_reason = Some(format!("{:?}", data.reason).replace('_', " "));
            }
            Signal::Qemu(qapi::qmp::Event::GUEST_PANICKED { .. }) => {
                return Err(self.failed(FailureKind::KernelPanic, "QEMU reports a panic".to_owned()));
            }
            Signal::Qemu(qapi::qmp::Event::WATCHDOG { .. }) => {
                return Err(self.failed(FailureKind::Hung, "the guest's watchdog fired".to_owned()));
            }
            Signal::Qemu(qapi::qmp::Event::STOP { .. }) => {
                let message = "QEMU stopped the guest: it could not run an instruction".to_owned();
                return Err(self.failed(FailureKind::GuestDied, message));
            }
            Signal::Qemu(_) => {}
            Signal::Gone => return Err(self.gone()),
            Signal::Cancelled => return Err(Stop::Cancelled),
        }
        Ok(())
    }

    /// Takes in what has already happened: a dead guest explains a broken pipe.
    fn drain(&mut self) -> Result<(), Stop> {
        let until = Instant::now() + AFTERMATH;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            let Some(signal) = self.machine.wait(left) else { break };
            self.befall(signal)?;
        }
        Ok(())
    }

    fn alarmed(&mut self, alarm: &Alarm) -> Stop {
        // The lines behind it say why, and whether the kernel lived on; the machine may end before they are through.
        let (last, mut until) = (Instant::now() + LONGEST_AFTERMATH, Instant::now() + AFTERMATH);
        while let Some(left) = until.min(last).checked_duration_since(Instant::now()) {
            match self.machine.wait(left) {
                None | Some(Signal::Gone | Signal::ConsoleFlood) => break,
                Some(Signal::Cancelled) => return Stop::Cancelled,
                Some(Signal::ConsoleLine) => until = Instant::now() + AFTERMATH,
                Some(_) => {}
            }
        }
        let tail = self.machine.console.tail(400);
        let at = tail.iter().position(|line| line.contains(&alarm.line)).unwrap_or_default();
        let told = tail.into_iter().skip(at.saturating_sub(2));
        let panic = |line: &String| line.contains("Kernel panic - not syncing");
        // However much a complaint says, what it ended in is told.
        let evidence =
            told.enumerate().filter(|(at, line)| *at < EVIDENCE || panic(line)).map(|(_, line)| line).collect();
        Stop::Failed(Failure { evidence, ..Failure::new(alarm.kind, alarm.line.clone()) })
    }

    fn gone(&mut self) -> Stop {
        let obituary = self.machine.obituary();
        // The console's end and QEMU's last event come by two ways; which comes first says nothing.
        let until = Instant::now() + AFTERMATH;
        while let (None, Some(left)) = (&self.shutdown_reason, until.checked_duration_since(Instant::now())) {
            match self.machine.wait(left) {
                Some(Signal::Cancelled) => return Stop::Cancelled,
                Some(signal @ Signal::Qemu(qapi::qmp::Event::SHUTDOWN { .. })) => {
                    if let Err(stop) = self.befall(signal) {
                        return stop;
                    }
                }
                Some(_) => {}
                None => break,
            }
        }
        match &self.shutdown_reason {
            Some(reason) => {
                let message = format!("the guest ended by itself ({reason})");
                self.failed(FailureKind::GuestDied, message)
            }
            None => Stop::Infrastructure(obituary),
        }
    }

    fn out_of_patience(&mut self, total: bool) -> Stop {
        if total {
            let message = format!(
                "the run took longer than {} s; the last sign of life was {:.1} s ago (`--timeout` allows more)",
                self.limits.total.as_secs_f64(),
                self.sign_of_life.elapsed().as_secs_f64()
            );
            return self.failed(FailureKind::TimedOut, message);
        }
        // A QEMU that is frozen itself cannot tell.
        let mut message = format!("the guest hangs: no sign of life for {} s", self.limits.silence.as_secs_f64());
        if let Ok(registers) = self.machine.qmp.registers() {
            self.artefacts.keep("registers.txt", &registers);
            message.push_str(" (registers.txt shows where its processors are)");
        }
        self.failed(FailureKind::Hung, message)
    }

    fn damaged_frame(&mut self, error: &FrameError) -> Result<(), Stop> {
        self.note("✗", error);
        if matches!(error, FrameError::Version(_)) {
            return Err(self.misbehaved(&format!("cannot be understood: {error}")));
        }
        self.strike(&error.to_string())
    }

    /// Counts what no agent in its right mind sends; a kexec explains one or two.
    fn strike(&mut self, what: &str) -> Result<(), Stop> {
        self.damaged += 1;
        if self.damaged > MAX_DAMAGED {
            return Err(self.misbehaved(&format!("cannot be understood: {what}, {} times", self.damaged)));
        }
        Ok(())
    }

    fn note(&mut self, direction: &str, said: &dyn Debug) {
        let epoch = self.machine.control.epoch();
        let at = self.machine.age().as_secs_f64();
        // The log helps to understand; that it cannot be written must not end a run.
        let _ = writeln!(self.log, "{at:>11.6} {epoch} {direction} {}", brief(said));
    }
}

/// What makes a restored guest another one than those that were restored before it.
fn revival() -> Result<Revival, Stop> {
    let mut entropy = [0; 32];
    File::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(&mut entropy))
        .map_err(|error| Stop::Infrastructure(format!("cannot read /dev/urandom: {error}")))?;
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(Revival { entropy, unix_ns: u64::try_from(since.as_nanos()).unwrap_or_default() })
}

/// A message on one line, cut: some carry thousands of objects.
fn brief(said: &dyn Debug) -> String {
    const LONGEST: usize = 400;
    let text = format!("{said:?}");
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}… ({} bytes)", &text[..at], text.len()),
        None => text,
    }
}
