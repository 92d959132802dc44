//! PID 1 at work: answers the host, hands the holder what is the holder's.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use protocol::message::{Fault, Reply, Request, Span, Tsc};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fd::OwnedFd,
};

use crate::{
    HOLDER,
    boot::{self, Booted},
    checker::Checks,
    child::{self, Child},
    failure::{Outcome, refuse},
    handover, kernel_log, kexec, memory, now,
    program::Programs,
    reserved, revival,
    transport::Link,
};

/// Time between two `Ready` while the host says nothing.
const READY: Duration = Duration::from_millis(200);

/// PID 1.
pub(crate) struct Supervisor {
    link: Link,
    bulk: OwnedFd,
    started: Tsc,
    ready: Tsc,
    holder: Option<Child>,
    checks: Checks,
    programs: Programs,
    /// The epoch in which the holder, a check or a program was asked what it has not yet answered.
    pending: Option<u32>,
    queue: VecDeque<(u32, Request)>,
}

impl Supervisor {
    pub(crate) fn new(Booted { control, bulk, started, ready }: Booted) -> Self {
        let link = Link::new(control);
        let (checks, programs) = (Checks::default(), Programs::default());
        Self { link, bulk, started, ready, holder: None, checks, programs, pending: None, queue: VecDeque::new() }
    }

    /// Lives.
    pub(crate) fn run(mut self) -> ! {
        let mut announce = Instant::now();
        loop {
            if !self.link.is_open() && Instant::now() >= announce {
                self.link.send(&Reply::Ready);
                announce = Instant::now() + READY;
            }
            self.wait(announce);
            while let Some((epoch, request)) = self.next() {
                if epoch == self.link.epoch() {
                    self.serve(request);
                }
            }
        }
    }

    /// The next request that can be carried out now: while another process works, the others wait for their turn.
    fn next(&mut self) -> Option<(u32, Request)> {
        let at_once = |request: &Request| {
            matches!(request, Request::Hello { .. } | Request::ReadTsc | Request::Inject(Fault::KillHolder))
        };
        let (_, request) = self.queue.front()?;
        if self.pending.is_some() && !at_once(request) {
            return None;
        }
        self.queue.pop_front()
    }

    /// Waits until something comes, and takes it in.
    fn wait(&mut self, announce: Instant) {
        let rest = || announce.saturating_duration_since(Instant::now()).min(READY);
        let limits = (!self.link.is_open()).then(rest).into_iter().chain(self.checks.left());
        let limit = limits.chain(self.programs.left()).min();
        let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
        // While a request waits in the queue, more of them wait in the port.
        let heed = if self.queue.is_empty() { PollFlags::IN } else { PollFlags::empty() };
        let mut sources = vec![PollFd::new(self.link.port(), heed)];
        sources.extend(self.holder.as_ref().map(|holder| PollFd::new(holder.replies(), PollFlags::IN)));
        let holders = sources.len();
        sources.extend(self.checks.replies().map(|check| PollFd::new(check, PollFlags::IN)));
        let checks = sources.len();
        sources.extend(self.programs.signs().map(|sign| PollFd::from_borrowed_fd(sign, PollFlags::IN)));
        if rustix::io::retry_on_intr(|| poll(&mut sources, limit.as_ref())).is_err() {
            return;
        }
        let port = sources[0].revents();
        let speaks = |sources: &[PollFd<'_>]| sources.iter().any(|source| !source.revents().is_empty());
        let (holder, check) = (speaks(&sources[1..holders]), speaks(&sources[holders..checks]));
        let program = speaks(&sources[checks..]);
        if holder {
            self.listen();
        }
        child::reap(|pid, status| {
            self.checks.note_end(pid, status);
            self.programs.note_end(pid, status);
            if let Some(holder) = &mut self.holder {
                holder.note_end(pid, status);
            }
        });
        if let Some(reply) = self.checks.proceed(check) {
            self.pass_on(reply);
        }
        if let Some(reply) = self.programs.proceed() {
            self.pass_on(reply);
        }
        let heard = port.contains(PollFlags::IN) && self.link.receive(&mut self.queue).unwrap_or(false);
        if !heard && !holder && !check && !program && port.intersects(PollFlags::HUP | PollFlags::ERR) {
            // No host is connected; poll does not wait for one.
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Passes on what the holder says.
    fn listen(&mut self) {
        let mut said = VecDeque::new();
        let lives = self.holder.as_mut().is_some_and(|holder| holder.listen(&mut said));
        for reply in said {
            self.pass_on(reply);
        }
        if !lives && let Some(holder) = self.holder.take() {
            let failure = holder.mourn();
            self.pass_on(Reply::Failed(failure));
        }
    }

    /// Says what the holder or a check said, if it was asked and the host that asked still listens.
    fn pass_on(&mut self, reply: Reply) {
        let Some(epoch) = self.pending else { return };
        if !reply.is_interim() {
            self.pending = None;
        }
        if epoch == self.link.epoch() {
            self.link.send(&reply);
        }
    }

    fn serve(&mut self, request: Request) {
        match self.carry_out(request) {
            Ok(Some(reply)) => self.link.send(&reply),
            Ok(None) => {}
            Err(failure) => self.link.send(&Reply::Failed(failure)),
        }
    }

    /// Gives the reply, or nothing if another process will.
    fn carry_out(&mut self, request: Request) -> Outcome<Option<Reply>> {
        let from = now();
        let done = || Reply::Done { span: Span { from, to: now() } };
        Ok(Some(match request {
            Request::Hello { nonce, revival } => {
                // Before anything random is asked for, the boot id among it.
                if let Some(revival) = revival {
                    revival::take(&revival)?;
                }
                Reply::Welcome { nonce, facts: Box::new(boot::facts(self.started, self.ready)) }
            }
            Request::ReadTsc => Reply::Tsc(now()),
            Request::Memory => Reply::Memory(memory::settled()?),
            Request::CountReserved { runs } => Reply::Reserved { pages: reserved::count(&runs)? },
            Request::KernelLog => Reply::KernelLog { text: kernel_log::read(kernel_log::LIMIT)? },
            Request::ShowHandover => Reply::HandoverShown { files: handover::show()? },
            Request::LoadKernel(next) => {
                kexec::load(&self.bulk, &next, &mut |reply| self.link.send(&reply))?;
                done()
            }
            Request::Reboot => {
                self.link.send(&done());
                return Err(kexec::restart());
            }
            Request::PretendReboot => {
                // A restart of the kernel would end it.
                self.kill_holder()?;
                self.checks.end()?;
                self.link.send(&done());
                return Err(kexec::restart_agent());
            }
            Request::PowerOff => {
                self.link.send(&done());
                return Err(kexec::power_off());
            }
            Request::Inject(Fault::KillHolder) => {
                if !self.kill_holder()? {
                    return Err(refuse("kill the holder", "there is none"));
                }
                done()
            }
            Request::Check(order) => {
                self.checks.begin(order)?;
                self.pending = Some(self.link.epoch());
                return Ok(None);
            }
            Request::Execute(program) => {
                self.programs.begin(&program)?;
                self.pending = Some(self.link.epoch());
                return Ok(None);
            }
            request => {
                self.hand_over(&request)?;
                return Ok(None);
            }
        }))
    }

    /// Asks the holder; `Open` starts one if there is none.
    fn hand_over(&mut self, request: &Request) -> Outcome<()> {
        if self.holder.is_none() && matches!(request, Request::Open { .. }) {
            self.holder = Some(Child::start(HOLDER)?);
        }
        let Some(holder) = &mut self.holder else {
            return Err(refuse("ask the holder", "there is none: open an interface first"));
        };
        holder.ask(request)?;
        self.pending = Some(self.link.epoch());
        Ok(())
    }

    /// Kills the holder, if there is one. What it had not answered has failed.
    fn kill_holder(&mut self) -> Outcome<bool> {
        let Some(holder) = self.holder.take() else { return Ok(false) };
        holder.kill()?;
        self.pass_on(Reply::Failed(refuse("carry out the request in the holder", "it was killed on request")));
        Ok(true)
    }
}
