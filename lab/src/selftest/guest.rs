//! One test on a machine of its own, from cold boot to its last word.

use std::time::{Duration, Instant};

use protocol::message::{BootFacts, Request};
use protocol::program::{End, MAX_OUTPUT, Program};

use super::Test;
use super::ktap::Ktap;
use crate::host::Cancel;
use crate::image::{MODULES, PROGRAMS};
use crate::machine::Machine;
use crate::machine::command::{self, Shape};
use crate::machine::lines::Lines;
use crate::result::{FailureKind, Proof};
use crate::run::artefacts::Artefacts;
use crate::run::conversation::Conversation;
use crate::run::{Cancelled, Observer, Stage, Stop, proof};
use crate::scenario::size::Size;

/// As upstream's `vmtest.sh` has it: it asks for two processors, and its kernels, without ACPI, bring up one.
const PROCESSORS: u32 = 1;
const MEMORY: Size = Size(1 << 30);

/// How long a program may take: what upstream's runner gives a test.
const PATIENCE: Duration = Duration::from_secs(45);

/// The module of `test_kho`.
const KHO_MODULE: &str = "plain_kho.ko";

/// What the agent is, as a command.
const AGENT: &str = "/init";

/// What a test did until it, or its machine, came to an end.
#[derive(Debug, Default)]
pub(super) struct Session {
    /// What it said in TAP, if it does.
    pub(super) ktap: Ktap,
    /// Its stages: how each ended, and what it said.
    pub(super) stages: Vec<Stanza>,
    /// What shows that the live update happened, if there was one.
    pub(super) proof: Option<Proof>,
    /// What the second kernel's log holds.
    pub(super) kernel_log: String,
    /// Why it ended early.
    pub(super) stop: Option<Stop>,
    /// Where the evidence is.
    pub(super) artefacts: String,
}

/// One run of the test's program.
#[derive(Debug)]
pub(super) struct Stanza {
    /// How it ended; none if the machine ended before it.
    pub(super) end: Option<End>,
    /// What it said, line by line.
    pub(super) lines: Vec<String>,
}

/// Runs the test. Whatever becomes of it is in the session.
pub(super) fn run(
    stage: &Stage,
    test: Test,
    observer: &mut dyn Observer,
    cancel: &Cancel,
) -> Result<Session, Cancelled> {
    let mut session = Session::default();
    let artefacts = match Artefacts::named(&stage.runs, &format!("kselftest-{}", test.name())) {
        Ok(artefacts) => artefacts,
        Err(error) => {
            session.stop = Some(Stop::Infrastructure(error.to_string()));
            return Ok(session);
        }
    };
    session.artefacts = artefacts.folder().to_string_lossy().into_owned();
    let ended = drive(stage, test, &artefacts, &mut session, observer, cancel);
    let said: Vec<String> = session.stages.iter().flat_map(|stanza| stanza.lines.iter().cloned()).collect();
    artefacts.keep("output.log", &said.join("\n"));
    match ended {
        Err(Stop::Cancelled) => {
            // Nobody will look at half a test.
            let _ = std::fs::remove_dir_all(&session.artefacts);
            Err(Cancelled)
        }
        ended => {
            session.stop = ended.err();
            Ok(session)
        }
    }
}

fn drive(
    stage: &Stage,
    test: Test,
    artefacts: &Artefacts,
    session: &mut Session,
    observer: &mut dyn Observer,
    cancel: &Cancel,
) -> Result<(), Stop> {
    let shape = Shape {
        accelerator: stage.accelerator.kind,
        cpus: PROCESSORS,
        memory: MEMORY,
        kernel: stage.kernel.image.clone(),
        initramfs: stage.kernel.initramfs.clone(),
        command_line: command::for_machine(&stage.kernel.told(&stage.command_line), stage.accelerator.kind, PROCESSORS),
    };
    observer.step("boot", 0);
    let machine = Machine::start(&shape, artefacts.folder(), cancel)?;
    let talk = Conversation::new(machine, stage.limits, artefacts, observer)?;
    let mut driver = Driver { stage, test, session, talk, command_line: shape.command_line };
    let ended = driver.walk();
    match ended {
        Ok(()) => driver.last_words(),
        // Refused, but still answering: what its kernel says may be why.
        Err(Stop::Failed(failure)) if matches!(failure.kind, FailureKind::Refused | FailureKind::UpdateNotProven) => {
            let _ = driver.last_words();
            Err(Stop::Failed(failure))
        }
        other => other,
    }
}

struct Driver<'a, 'b> {
    stage: &'a Stage,
    test: Test,
    session: &'b mut Session,
    talk: Conversation<'a>,
    command_line: String,
}

impl Driver<'_, '_> {
    fn walk(&mut self) -> Result<(), Stop> {
        let before = self.boot()?;
        if self.test == Test::Liveupdate {
            return self.execute(&[format!("/{PROGRAMS}/{}", self.test.name())], 0);
        }
        self.execute(&self.words(1), 0)?;
        if !self.went_well() {
            return Ok(());
        }
        self.restart(&before)?;
        self.execute(&self.words(2), 1)
    }

    /// The program of a test with two stages. KHO's looks for what was handed over by itself.
    fn words(&self, stage: u32) -> Vec<String> {
        match self.test {
            Test::Kho => vec![AGENT.to_owned(), "insmod".to_owned(), format!("/{MODULES}/{KHO_MODULE}")],
            _ => vec![format!("/{PROGRAMS}/{}", self.test.name()), "-s".to_owned(), stage.to_string()],
        }
    }

    fn went_well(&self) -> bool {
        self.session.stages.last().is_some_and(|stanza| stanza.end == Some(End::Exited(0)))
    }

    fn boot(&mut self) -> Result<BootFacts, Stop> {
        let facts = self.talk.meet()?;
        if !proof::is_build(&facts, &self.stage.kernel.facts) || facts.handover.is_some() {
            let running = facts.version.trim();
            return Err(Stop::Infrastructure(format!("not the kernel that was booted cold runs, but {running}")));
        }
        Ok(facts)
    }

    fn execute(&mut self, words: &[String], generation: u32) -> Result<(), Stop> {
        self.talk.observer().step(&words.join(" "), generation);
        self.session.stages.push(Stanza { end: None, lines: Vec::new() });
        let Session { ktap, stages, .. } = &mut *self.session;
        let Some(stanza) = stages.last_mut() else { return Ok(()) };
        let limit_ms = u32::try_from(self.talk.bound(PATIENCE).as_millis()).unwrap_or(u32::MAX);
        let program = Program { words: words.to_vec(), limit_ms };
        let begun = Instant::now();
        let (mut lines, mut heard) = (Lines::default(), 0);
        let ended = self.talk.execute(program, &mut |bytes| {
            // What the agent promises to cut is cut here too.
            let bytes = &bytes[..bytes.len().min(MAX_OUTPUT.saturating_sub(heard))];
            heard += bytes.len();
            lines.feed(bytes, |line| {
                ktap.line(&line, begun.elapsed());
                stanza.lines.push(line);
            });
        });
        stanza.lines.extend(lines.end());
        stanza.end = Some(ended?);
        Ok(())
    }

    fn restart(&mut self, before: &BootFacts) -> Result<(), Stop> {
        self.talk.observer().step("kexec", 0);
        let next = &self.stage.kernel;
        let command_line = proof::marked(&self.command_line);
        self.talk.load(next, &command_line)?;
        self.talk.restart(&Request::Reboot)?;
        let after = self.talk.meet()?;
        let proof = proof::gather(before, &after, &command_line);
        self.session.proof = Some(proof.clone());
        proof::check(&proof, 1, &next.facts).map_err(Stop::Failed)
    }

    /// The log of the kernel that runs now. A complaint that came late counts.
    fn last_words(&mut self) -> Result<(), Stop> {
        let (text, alarm) = self.talk.kernel_log()?;
        self.session.kernel_log = text;
        match alarm {
            Some(alarm) => Err(self.talk.failed(alarm.kind, alarm.line)),
            None => Ok(()),
        }
    }
}
