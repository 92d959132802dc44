//! Walks through a plan.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Instant;

use protocol::message::{
    BootFacts, Claim, Event, Fault, MAX_LOCATE, MemoryCounters, NextKernel, ObjectId, ObjectSpec, Reply, Request,
    Resumption, Retrieval, Span, Token, Tsc, Verification,
};
use protocol::pattern;

use super::artefacts::Artefacts;
use super::conversation::Conversation;
use super::{Bootable, Observer, Stage, Stop, proof};
use crate::host::Cancel;
use crate::machine::Machine;
use crate::machine::command::Shape;
use crate::measure::clock::{Clock, Reading};
use crate::measure::fidelity::{self, Frames};
use crate::measure::timeline::{Timeline, widen};
use crate::report::result::{Failure, FailureKind, Fidelity, Hop, HopTime, Proof, Run, StepRecord};
use crate::scenario::Document;
use crate::scenario::plan::{Action, HEARTBEAT, Plan, Update};
use crate::scenario::size::Size;

/// Boots, walks through the steps and fills in `run`, as far as it gets.
pub(super) fn drive(
    stage: &Stage,
    document: &Document,
    plan: &Plan,
    artefacts: &Artefacts,
    run: &mut Run,
    observer: &mut dyn Observer,
    cancel: &Cancel,
) -> Result<(), Stop> {
    let shape = Shape {
        accelerator: stage.accelerator.kind,
        cpus: plan.cpus,
        memory: plan.memory,
        kernel: stage.kernel.image.clone(),
        initramfs: stage.kernel.initramfs.clone(),
        command_line: stage.command_line.clone(),
    };
    observer.step("boot", 0);
    let machine = Machine::start(&shape, artefacts.folder(), cancel)?;
    let talk = Conversation::new(machine, stage.limits, artefacts, observer)?;
    let mut driver = Driver::new(stage, plan, talk);
    let ended = driver.walk(document, run);
    // Whatever happened, what was measured until then is kept.
    if answers_still(&ended) {
        driver.late = driver.talk.read_clock().unwrap_or_default();
        if let Ok(Reply::KernelLog { text }) = driver.talk.ask(&Request::KernelLog) {
            artefacts.keep("kernel.log", &text);
        }
    }
    let clock = Clock::between(&driver.early, &driver.late);
    run.clock = clock.map(|clock| clock.facts());
    run.hops = driver
        .hops
        .drain(..)
        .map(|hop| Hop {
            proof: hop.proof,
            fidelity: hop.fidelity,
            time: clock.map_or_else(HopTime::default, |clock| hop.timeline.durations(&clock)),
        })
        .collect();
    ended
}

/// Whether a guest that ended like this can still be talked to.
fn answers_still(ended: &Result<(), Stop>) -> bool {
    use FailureKind::{
        Leak, NotFound, PageCorrupted, PagesSwapped, Refused, UnexpectedlyFound, UpdateNotProven, WrongSize,
    };
    match ended {
        Ok(()) => true,
        Err(Stop::Failed(failure)) => matches!(
            failure.kind,
            Leak | NotFound | PageCorrupted | PagesSwapped | Refused | UnexpectedlyFound | UpdateNotProven | WrongSize
        ),
        Err(_) => false,
    }
}

/// One update, as it is being found out.
struct HopUnderWay {
    proof: Proof,
    fidelity: Fidelity,
    timeline: Timeline,
}

struct Driver<'a> {
    stage: &'a Stage,
    plan: &'a Plan,
    talk: Conversation<'a>,
    /// Which kernel runs.
    kernel: &'a Bootable,
    facts: Option<BootFacts>,
    tokens: BTreeMap<ObjectId, Token>,
    /// Where objects lay when they were preserved.
    frames: BTreeMap<ObjectId, Frames>,
    hops: Vec<HopUnderWay>,
    /// Of the update that is being prepared.
    timeline: Timeline,
    early: Vec<Reading>,
    late: Vec<Reading>,
    memory: Option<MemoryCounters>,
}

impl<'a> Driver<'a> {
    fn new(stage: &'a Stage, plan: &'a Plan, talk: Conversation<'a>) -> Self {
        Self {
            stage,
            plan,
            talk,
            kernel: &stage.kernel,
            facts: None,
            tokens: BTreeMap::new(),
            frames: BTreeMap::new(),
            hops: Vec::new(),
            timeline: Timeline::default(),
            early: Vec::new(),
            late: Vec::new(),
            memory: None,
        }
    }

    fn walk(&mut self, document: &Document, run: &mut Run) -> Result<(), Stop> {
        self.boot()?;
        for step in &self.plan.steps {
            let text = self.plan.describe(&step.action);
            let generation = self.hops.len() as u32;
            let began = Instant::now();
            self.talk.observer().step(&text, generation);
            let mut ended = self.step(&step.action);
            let wall_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            run.steps.push(StepRecord { text: text.clone(), generation, wall_ms, ok: ended.is_ok() });
            if let Err(Stop::Failed(failure)) = &mut ended {
                failure.step = Some(text);
                failure.place = step.origin.and_then(|index| document.place_of_step(index));
            }
            ended?;
        }
        Ok(())
    }

    /// The cold boot.
    fn boot(&mut self) -> Result<(), Stop> {
        let facts = self.talk.meet()?;
        if facts.release != self.kernel.facts.release {
            return Err(Stop::Infrastructure(format!(
                "kernel {} was booted, {} runs",
                self.kernel.facts.release, facts.release
            )));
        }
        if facts.cpus != self.plan.cpus {
            let message = format!("the guest has {} processors, it was given {}", facts.cpus, self.plan.cpus);
            return Err(Stop::Infrastructure(message));
        }
        self.facts = Some(facts);
        self.early = self.talk.read_clock()?;
        self.open()?;
        if self.plan.steps.iter().any(|step| matches!(step.action, Action::NoLeak { .. })) {
            self.memory = Some(self.read_memory()?);
        }
        Ok(())
    }

    fn open(&mut self) -> Result<(), Stop> {
        self.talk.ask_done(&Request::Open { interface: self.plan.interface }).map(drop)
    }

    fn step(&mut self, action: &Action) -> Result<(), Stop> {
        match action {
            Action::Create(ids) => self.talk.ask_done(&Request::Create { objects: self.specs(ids) }).map(drop),
            Action::StartWorkload => self.talk.ask_done(&Request::StartWorkload { id: HEARTBEAT }).map(drop),
            Action::Preserve(ids) => self.preserve(ids),
            Action::Signal(event) => self.signal(*event),
            Action::Update(update) => self.update(update),
            Action::ResumeWorkload => self.resume(),
            Action::Retrieve(ids) => self.retrieve(ids),
            Action::ExpectAbsent(ids) => self.expect_absent(ids),
            Action::Verify(ids) => ids.iter().try_for_each(|&id| self.verify(id)),
            Action::Inject(fault) => self.inject(*fault),
            Action::NoLeak { within } => self.no_leak(*within),
        }
    }

    fn specs(&self, ids: &[ObjectId]) -> Vec<ObjectSpec> {
        ids.iter().filter_map(|&id| self.plan.object(id)).map(|object| object.spec).collect()
    }

    fn preserve(&mut self, ids: &[ObjectId]) -> Result<(), Stop> {
        let request = Request::Preserve { objects: ids.to_vec() };
        match self.talk.ask(&request)? {
            Reply::Preserved { claims, span } if claims.iter().map(|claim| claim.id).eq(ids.iter().copied()) => {
                widen(&mut self.timeline.preserve, span);
                self.tokens.extend(claims.iter().map(|claim| (claim.id, claim.token)));
            }
            other => return Err(self.talk.unexpected(&request, &other)),
        }
        // Only now do the pages stay where they are.
        for &id in ids {
            let frames = self.locate(id)?;
            self.frames.insert(id, frames);
        }
        Ok(())
    }

    fn locate(&mut self, id: ObjectId) -> Result<Frames, Stop> {
        let pages = self.plan.object(id).map_or(1, |object| pattern::pages(object.spec.bytes));
        let mut frames = Frames::default();
        let mut first_page = 0;
        while first_page < pages {
            let request = Request::Locate { object: id, first_page, pages: (pages - first_page).min(MAX_LOCATE) };
            match self.talk.ask(&request)? {
                Reply::Located { runs } => frames.extend(runs),
                other => return Err(self.talk.unexpected(&request, &other)),
            }
            first_page += MAX_LOCATE;
        }
        if frames.pages() != pages {
            let what = format!("tells where {} pages of {} lie, it has {pages}", frames.pages(), self.plan.name_of(id));
            return Err(self.talk.misbehaved(&what));
        }
        Ok(frames)
    }

    fn signal(&mut self, event: Event) -> Result<(), Stop> {
        let span = self.talk.ask_done(&Request::Signal { event })?;
        match event {
            Event::Prepare => self.timeline.prepare = Some(span),
            Event::Freeze => self.timeline.freeze = Some(span),
            Event::Cancel => {
                self.timeline = Timeline::default();
                self.tokens.clear();
            }
            Event::Finish => {}
        }
        Ok(())
    }

    fn update(&mut self, update: &Update) -> Result<(), Stop> {
        let next = match &update.kernel {
            Some(name) => self
                .stage
                .named
                .get(name)
                .ok_or_else(|| Stop::Infrastructure(format!("kernel `{name}` was not built before the run")))?,
            None => self.kernel,
        };
        self.load(next)?;
        let reboot = if update.skip_kexec { Request::PretendReboot } else { Request::Reboot };
        let Span { from, .. } = self.talk.ask_done(&reboot)?;
        self.timeline.reboot = Some(from);

        let after = self.talk.meet()?;
        self.kernel = next;
        let hop = self.hops.len() as u32 + 1;
        let before = self.facts.replace(after.clone());
        let proof = before.map(|before| proof::gather(&before, &after));
        let proof = proof.ok_or_else(|| Stop::Infrastructure("an update before the boot".to_owned()))?;
        let mut timeline = std::mem::take(&mut self.timeline);
        timeline.agent_started = Some(after.started);
        timeline.agent_ready = Some(after.ready);
        self.hops.push(HopUnderWay { proof: proof.clone(), fidelity: Fidelity::default(), timeline });
        proof::check(&proof, hop, &next.facts).map_err(Stop::Failed)?;
        self.open()
    }

    fn load(&mut self, next: &Bootable) -> Result<(), Stop> {
        let read = |path: &Path| {
            fs::read(path).map_err(|error| Stop::Infrastructure(format!("cannot read {}: {error}", path.display())))
        };
        let (kernel, initramfs) = (read(&next.image)?, read(&next.initramfs)?);
        let request = Request::LoadKernel(NextKernel {
            kernel_bytes: kernel.len() as u64,
            initramfs_bytes: initramfs.len() as u64,
            command_line: self.stage.command_line.clone(),
        });
        match self.talk.ask(&request)? {
            Reply::SendBulk => {}
            other => return Err(self.talk.unexpected(&request, &other)),
        }
        self.talk.send_bulk(&[&kernel, &initramfs])?;
        match self.talk.answer()? {
            Reply::Done { span } => self.timeline.load = Some(span),
            other => return Err(self.talk.unexpected(&request, &other)),
        }
        Ok(())
    }

    fn hop(&mut self) -> Result<&mut HopUnderWay, Stop> {
        self.hops.last_mut().ok_or_else(|| Stop::Infrastructure("no update was made yet".to_owned()))
    }

    fn claim(&self, id: ObjectId) -> Claim {
        // What was never preserved has no token. Its number is the best guess that a thief could make.
        Claim { id, token: self.tokens.get(&id).copied().unwrap_or(Token(u64::from(id.0))) }
    }

    fn resume(&mut self) -> Result<(), Stop> {
        let request = Request::ResumeWorkload { claim: self.claim(HEARTBEAT) };
        let told = match self.talk.ask(&request)? {
            Reply::Resumed(told) => told,
            other => return Err(self.talk.unexpected(&request, &other)),
        };
        let Resumption { count, last_tick, period, first_tick, retrieve } = told;
        let timeline = &mut self.hop()?.timeline;
        let rebooted = timeline.reboot.unwrap_or(Tsc(0));
        timeline.last_tick = Some(last_tick);
        timeline.tick_period = period;
        timeline.first_tick = Some(first_tick);
        timeline.resume_asked = Some(retrieve.from);
        // The workload runs on while the kernel shuts down, and its memory must show it.
        if count == 0 || last_tick >= first_tick || timeline.agent_started.is_some_and(|started| last_tick >= started) {
            let message = format!(
                "the workload's page says {count} ticks, the last at {}; reboot was called at {}, the first tick after it was at {}",
                last_tick.0, rebooted.0, first_tick.0
            );
            return Err(self.talk.failed(FailureKind::WorkloadBroken, message));
        }
        Ok(())
    }

    fn retrieve(&mut self, ids: &[ObjectId]) -> Result<(), Stop> {
        let (results, span) = self.claim_all(ids)?;
        widen(&mut self.hop()?.timeline.retrieve, span);
        for (&id, result) in ids.iter().zip(&results) {
            let name = self.plan.name_of(id);
            let expected = self.plan.object(id).map_or(0, |object| object.spec.bytes);
            let (kind, message) = match result {
                Retrieval::Found { bytes } if *bytes == expected => continue,
                Retrieval::Found { bytes } => {
                    (FailureKind::WrongSize, format!("{name} came back with {bytes} bytes, it had {expected}"))
                }
                Retrieval::Absent => {
                    (FailureKind::NotFound, format!("{name} is not there: the kernel knows nothing of it"))
                }
                Retrieval::Failed(failure) => {
                    (FailureKind::Refused, format!("{name}: {} {}", failure.operation, failure.detail))
                }
            };
            return Err(self.talk.failed(kind, message));
        }
        Ok(())
    }

    fn expect_absent(&mut self, ids: &[ObjectId]) -> Result<(), Stop> {
        let (results, _) = self.claim_all(ids)?;
        for (&id, result) in ids.iter().zip(&results) {
            let name = self.plan.name_of(id);
            match result {
                Retrieval::Absent => {}
                Retrieval::Found { bytes } => {
                    let message = format!("{name} is there ({bytes} bytes) and must not be");
                    return Err(self.talk.failed(FailureKind::UnexpectedlyFound, message));
                }
                Retrieval::Failed(failure) => {
                    let message = format!("{name}: {} {}", failure.operation, failure.detail);
                    return Err(self.talk.failed(FailureKind::Refused, message));
                }
            }
        }
        Ok(())
    }

    fn claim_all(&mut self, ids: &[ObjectId]) -> Result<(Vec<Retrieval>, Span), Stop> {
        let request = Request::Retrieve { claims: ids.iter().map(|&id| self.claim(id)).collect() };
        match self.talk.ask(&request)? {
            Reply::Retrieved { results, span } if results.len() == ids.len() => Ok((results, span)),
            other => Err(self.talk.unexpected(&request, &other)),
        }
    }

    fn verify(&mut self, id: ObjectId) -> Result<(), Stop> {
        let Some(object) = self.plan.object(id) else { return Ok(()) };
        let request = Request::Verify { object: object.spec };
        let told: Verification = match self.talk.ask(&request)? {
            Reply::Verified(told) => told,
            other => return Err(self.talk.unexpected(&request, &other)),
        };
        let mut in_place = 0;
        if !self.hops.is_empty()
            && let Some(before) = self.frames.remove(&id)
        {
            in_place = self.locate(id)?.in_common(&before);
        }
        let judged = match self.hops.last_mut() {
            Some(hop) => {
                widen(&mut hop.timeline.verify, told.span);
                fidelity::judge(object, &told, in_place, &mut hop.fidelity)
            }
            // Before the first update there is nothing to be faithful to, and still all has to be right.
            None => fidelity::judge(object, &told, 0, &mut Fidelity::default()),
        };
        judged.map_err(Stop::Failed)
    }

    fn inject(&mut self, fault: Fault) -> Result<(), Stop> {
        self.talk.ask_done(&Request::Inject(fault)).map(drop)
    }

    fn read_memory(&mut self) -> Result<MemoryCounters, Stop> {
        match self.talk.ask(&Request::Memory)? {
            Reply::Memory(counters) => Ok(counters),
            other => Err(self.talk.unexpected(&Request::Memory, &other)),
        }
    }

    fn no_leak(&mut self, within: Size) -> Result<(), Stop> {
        self.talk.ask_done(&Request::Drop)?;
        let now = self.read_memory()?;
        let first = self.memory.ok_or_else(|| Stop::Infrastructure("memory was not counted at the boot".to_owned()))?;
        let missing = first.free.saturating_sub(now.free);
        if missing <= within.0 {
            return Ok(());
        }
        let mib = |bytes: u64| bytes >> 20;
        let message = format!(
            "{} MiB less are free than at the first boot ({} then, {} now), of {} MiB in all then and {} now",
            mib(missing),
            mib(first.free),
            mib(now.free),
            mib(first.total),
            mib(now.total)
        );
        Err(Stop::Failed(Failure { kind: FailureKind::Leak, message, step: None, place: None, evidence: Vec::new() }))
    }
}
