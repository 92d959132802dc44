//! The holder process: owns the interface, the objects and the workload.

use std::{
    collections::VecDeque,
    io::{stdin, stdout},
};

use protocol::{
    frame::{Decoder, Frame},
    message::{Claim, Failure, Fault, ObjectId, ObjectSpec, Reply, Request, Resumption, Retrieval, Span},
    pattern::{PAGE, pages},
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::{
    failure::{Outcome, refuse},
    frames,
    interface::{self, Interface},
    locate::locate,
    memory, now,
    objects::{Object, Objects, Pace},
    verify::verify,
    workload::Workload,
};

/// Memory that objects leave to the rest of the guest.
const RESERVE: u64 = 16 << 20;

/// Serves requests from standard input until it ends.
pub(crate) fn run() -> ! {
    // An object is an open file, and a scenario may have thousands.
    let most = getrlimit(Resource::Nofile).maximum.unwrap_or(1 << 20).max(1 << 20);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum: Some(most) });
    let (mut decoder, mut found) = (Decoder::default(), VecDeque::<Frame<Request>>::new());
    let (mut holder, mut sequence) = (Holder::default(), 0u32);
    let mut say = |reply: Reply| {
        sequence = sequence.wrapping_add(1);
        // If nobody listens any more, the end of the input says so too.
        let _ = frames::write_all(stdout(), &frames::encode_reply(0, sequence, &reply));
    };
    while let Ok(1..) = frames::read_some(stdin(), &mut decoder, &mut found) {
        while let Some(frame) = found.pop_front() {
            let reply = holder.serve(frame.message, &mut say).unwrap_or_else(Reply::Failed);
            say(reply);
        }
    }
    std::process::exit(0)
}

#[derive(Default)]
struct Holder {
    // Dropped in this order: the workload's mapping goes before its file.
    workload: Option<Workload>,
    objects: Objects,
    interface: Option<Box<dyn Interface>>,
}

impl Holder {
    fn serve(&mut self, request: Request, say: &mut dyn FnMut(Reply)) -> Outcome<Reply> {
        let from = now();
        let done = || Reply::Done { span: Span { from, to: now() } };
        match request {
            Request::Open { interface } => {
                if self.interface.is_some() {
                    return Err(refuse("open the interface", "one is open"));
                }
                self.interface = Some(interface::open(interface)?);
            }
            Request::Create { objects } => self.create(&objects, say)?,
            Request::StartWorkload { id } => self.start_workload(id)?,
            Request::AwaitTick => match &self.workload {
                Some(workload) => workload.await_tick()?,
                None => return Err(refuse("await a tick", "no workload is running")),
            },
            Request::Preserve { objects } => {
                let claims = self.preserve(&objects)?;
                return Ok(Reply::Preserved { claims, span: Span { from, to: now() } });
            }
            Request::Signal { event } => self.interface()?.signal(event)?,
            Request::Retrieve { claims } => {
                self.interface()?;
                let results = claims.into_iter().map(|claim| self.retrieve(claim)).collect();
                return Ok(Reply::Retrieved { results, span: Span { from, to: now() } });
            }
            Request::ResumeWorkload { claim } => return self.resume_workload(claim),
            Request::Verify { object: spec } => {
                let object = self.objects.get(spec.id)?;
                let mut pace = Pace::new(pages(object.size()?), say);
                return Ok(Reply::Verified(verify(object, &spec, &mut pace)?));
            }
            Request::Locate { object, first_page, pages } => {
                return Ok(Reply::Located { runs: locate(self.objects.get(object)?, first_page, pages)? });
            }
            Request::Inject(Fault::Corrupt { object, page }) => self.objects.get(object)?.corrupt(page)?,
            Request::Inject(Fault::Swap { object, pages }) => self.objects.get(object)?.swap(pages)?,
            Request::Drop => {
                self.workload = None;
                let closed = self.objects.clear();
                if let Some(interface) = &mut self.interface {
                    closed.into_iter().try_for_each(|id| interface.closed(id))?;
                }
            }
            other => return Err(refuse("ask the holder", format!("not its business: {other:?}"))),
        }
        Ok(done())
    }

    fn interface(&mut self) -> Outcome<&mut dyn Interface> {
        match &mut self.interface {
            Some(interface) => Ok(interface.as_mut()),
            None => Err(refuse("use the interface", "none is open")),
        }
    }

    fn create(&mut self, specs: &[ObjectSpec], say: &mut dyn FnMut(Reply)) -> Outcome<()> {
        let wanted = specs.iter().fold(0u64, |sum, spec| sum.saturating_add(pages(spec.bytes)));
        let wanted = wanted.saturating_mul(PAGE as u64);
        // A memory file can be made larger than the memory; the first to notice would be the OOM killer.
        let available = memory::counters()?.available;
        if wanted.saturating_add(RESERVE) > available {
            let detail = format!("{wanted} bytes wanted, {available} available, {RESERVE} of them reserved");
            return Err(Failure { errno: Some(libc::ENOMEM), ..refuse("create objects", detail) });
        }
        // Disjoint fields, so that the objects can ask the interface for their files.
        let Self { interface, objects, .. } = self;
        let Some(interface) = interface else { return Err(refuse("use the interface", "none is open")) };
        let created = objects.create(specs, |spec| interface.create(spec.id, spec.bytes), say);
        if created.is_err() {
            for spec in specs.iter().filter(|spec| objects.get(spec.id).is_err()) {
                // What failed first is what is told.
                let _ = interface.closed(spec.id);
            }
        }
        created
    }

    fn start_workload(&mut self, id: ObjectId) -> Outcome<()> {
        self.idle()?;
        self.objects.vacant(id)?;
        let file = self.interface()?.create(id, protocol::heartbeat::BYTES)?;
        let started = Workload::start(self.objects.insert(id, file));
        if started.is_err() {
            self.objects.remove(id);
            let _ = self.interface()?.closed(id);
        }
        self.workload = Some(started?);
        Ok(())
    }

    fn idle(&self) -> Outcome<()> {
        match self.workload {
            Some(_) => Err(refuse("start the workload", "it is running")),
            None => Ok(()),
        }
    }

    fn preserve(&mut self, ids: &[ObjectId]) -> Outcome<Vec<Claim>> {
        let Self { interface, objects, .. } = self;
        let Some(interface) = interface else { return Err(refuse("use the interface", "none is open")) };
        ids.iter()
            .map(|&id| {
                let file = rustix::fd::AsFd::as_fd(objects.get(id)?.file());
                Ok(Claim { id, token: interface.preserve(id, file)? })
            })
            .collect()
    }

    fn retrieve(&mut self, claim: Claim) -> Retrieval {
        let found = self.open_preserved(claim).and_then(|object| object.map(Object::size).transpose());
        match found {
            Ok(Some(bytes)) => Retrieval::Found { bytes },
            Ok(None) => Retrieval::Absent,
            Err(failure) => Retrieval::Failed(failure),
        }
    }

    fn open_preserved(&mut self, claim: Claim) -> Outcome<Option<&Object>> {
        self.objects.vacant(claim.id)?;
        let file = self.interface()?.retrieve(claim)?;
        Ok(file.map(|file| self.objects.insert(claim.id, file)))
    }

    fn resume_workload(&mut self, claim: Claim) -> Outcome<Reply> {
        self.idle()?;
        let from = now();
        // It may have been retrieved with the others.
        if self.objects.get(claim.id).is_err() && self.open_preserved(claim)?.is_none() {
            let absent = refuse("retrieve the heartbeat", "the kernel has no such object");
            return Err(Failure { errno: Some(libc::ENOENT), ..absent });
        }
        let retrieve = Span { from, to: now() };
        let (workload, found) = Workload::resume(self.objects.get(claim.id)?)?;
        self.workload = Some(workload);
        let crate::workload::Found { count, last_tick, period, first_tick } = found;
        Ok(Reply::Resumed(Resumption { count, last_tick, period, first_tick, retrieve }))
    }
}
