// SPDX-License-Identifier: GPL-2.0

//! The one machine-wide orchestrator: state, registrations, what goes out and what came in.

use crate::{
    errno,
    incoming::Incoming,
    kho,
    memfile::MemFile,
    outgoing::Outgoing,
    state::{decide, Event, Refusal, State, Verdict},
    sys,
};
use kernel::{bindings, prelude::*};

kernel::sync::global_lock! {
    // SAFETY: `Running::start` initialises it before the device or the notifier exist.
    unsafe(uninit) static MACHINE: Mutex<Machine> = Machine::new();
}

/// A file that PREPARE is to preserve.
pub(crate) struct Registration {
    /// What user space knows it by.
    pub(crate) token: u64,
    /// The file.
    pub(crate) file: MemFile,
    /// The open device it belongs to; none if that was closed while the update was under way.
    session: Option<u64>,
}

struct Machine {
    state: State,
    /// The generation that this kernel writes.
    generation: u64,
    last_session: u64,
    /// By ascending token: the order in which everything is done.
    registered: KVVec<Registration>,
    outgoing: Option<Outgoing>,
    incoming: Option<Incoming>,
}

fn refusal_errno(refusal: Refusal) -> Error {
    match refusal {
        Refusal::Busy => EBUSY,
        Refusal::Exists => EEXIST,
        Refusal::Invalid => EINVAL,
        Refusal::NotFound => ENOENT,
    }
}

impl Machine {
    const fn new() -> Self {
        Self {
            state: State::Normal,
            generation: 1,
            last_session: 0,
            registered: KVVec::new(),
            outgoing: None,
            incoming: None,
        }
    }

    /// The state after this event, which the caller enters when the event's work is done.
    fn verdict(&self, event: Event) -> Result<State> {
        match decide(self.state, event) {
            Verdict::Move(next) => Ok(next),
            Verdict::Stay | Verdict::Forget => Ok(self.state),
            Verdict::Refuse(refusal) => Err(refusal_errno(refusal)),
        }
    }

    /// Enters a state, having the module stay loaded as long as it must.
    fn enter(&mut self, next: State) {
        match (self.state.pins_module(), next.pins_module()) {
            // SAFETY: The caller is in the module, at its start or in an open file of it, so it
            // is not going away, and a further reference cannot be refused.
            (false, true) => _ = unsafe { sys::lu_module_get() },
            // SAFETY: The reference taken on the way here is given up.
            (true, false) => unsafe { sys::lu_module_put() },
            _ => {}
        }
        if self.state != next {
            pr_info!("{} -> {}\n", self.state.name(), next.name());
        }
        self.state = next;
    }

    /// Drops registrations; how many. (`KVVec::retain` has a bounds check that can panic.)
    fn forget(&mut self, which: impl Fn(&Registration) -> bool) -> usize {
        let (mut at, mut gone) = (0usize, 0usize);
        while let Some(known) = self.registered.get(at) {
            if which(known) && self.registered.remove(at).is_ok() {
                gone = gone.saturating_add(1);
            } else {
                at = at.saturating_add(1);
            }
        }
        gone
    }

    fn new_token(&self) -> u64 {
        loop {
            // SAFETY: No requirements.
            let token = unsafe { bindings::get_random_u64() };
            // Also none of the previous kernel's: a token names one thing.
            let taken = self.registered.iter().any(|known| known.token == token)
                || self
                    .incoming
                    .as_ref()
                    .is_some_and(|incoming| incoming.knows(token));
            if token != 0 && !taken {
                return token;
            }
        }
    }
}

/// The machine at work: what it holds is given up when this is dropped.
pub(crate) struct Running(());

impl Running {
    /// Finds out what the previous kernel left.
    pub(crate) fn start() -> Result<Self> {
        // SAFETY: A module is initialised once, and its statics are new each time it is loaded.
        unsafe { MACHINE.init() };
        if !kho::is_enabled() {
            pr_warn!("Kexec HandOver is off (kho=on is missing): nothing outlives a kexec\n");
            return Ok(Self(()));
        }
        let Some(incoming) = Incoming::find()? else {
            return Ok(Self(()));
        };
        let mut guard = MACHINE.lock();
        let machine = &mut *guard;
        let next = machine.verdict(Event::Handover)?;
        machine.generation = incoming.generation.saturating_add(1);
        pr_info!(
            "generation {}: {} objects from the previous kernel\n",
            machine.generation,
            incoming.count().0
        );
        machine.incoming = Some(incoming);
        machine.enter(next);
        drop(guard);
        Ok(Self(()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // An unload is refused outside of NORMAL. In UPDATED this is a failed load, and what came
        // in stays reserved for the next one.
        let mut machine = MACHINE.lock();
        machine.registered.clear();
        machine.outgoing = None;
        machine.incoming = None;
        machine.enter(State::Normal);
    }
}

/// A new session; its number.
pub(crate) fn open() -> u64 {
    let mut machine = MACHINE.lock();
    machine.last_session = machine.last_session.wrapping_add(1);
    machine.last_session
}

/// Ends a session. What it registered is forgotten, unless an update is under way: then it is
/// carried over, as nobody could tell the other services apart from a half update.
pub(crate) fn close(session: u64) {
    let mut machine = MACHINE.lock();
    if decide(machine.state, Event::Close) == Verdict::Forget {
        machine.forget(|known| known.session == Some(session));
        return;
    }
    for known in machine.registered.iter_mut() {
        if known.session == Some(session) {
            known.session = None;
        }
    }
}

/// FD_PRESERVE. `file` is an error for a file that no handler takes.
pub(crate) fn preserve(session: u64, file: Result<MemFile>) -> Result<u64> {
    let mut machine = MACHINE.lock();
    machine.verdict(Event::Preserve)?;
    let file = file?;
    if machine
        .registered
        .iter()
        .any(|known| known.file.is_same(&file))
    {
        return Err(EEXIST);
    }
    let token = machine.new_token();
    let new = Registration {
        token,
        file,
        session: Some(session),
    };
    let registered = &mut machine.registered;
    registered.reserve(1, GFP_KERNEL)?;
    let at = registered.partition_point(|known| known.token < token);
    // There is room, and the place is no further than the end.
    registered
        .insert_within_capacity(at, new)
        .map_err(|_| ENOMEM)?;
    Ok(token)
}

/// FD_UNPRESERVE.
pub(crate) fn unpreserve(session: u64, token: u64) -> Result {
    let mut machine = MACHINE.lock();
    machine.verdict(Event::Unpreserve)?;
    if machine.forget(|known| known.token == token && known.session == Some(session)) == 0 {
        return Err(ENOENT);
    }
    Ok(())
}

/// FD_RESTORE.
pub(crate) fn restore(token: u64) -> Result<MemFile> {
    let mut machine = MACHINE.lock();
    machine.verdict(Event::Restore)?;
    machine.incoming.as_mut().ok_or(ENOENT)?.restore(token)
}

/// Undoes a [`restore`] whose file could not be delivered.
pub(crate) fn put_back(token: u64, file: MemFile) {
    let mut machine = MACHINE.lock();
    // After a FINISH in between there is nowhere to keep it, and it is freed like all the rest.
    if let Some(incoming) = &mut machine.incoming {
        incoming.put_back(token, file);
    }
}

/// GET_STATE.
pub(crate) fn state() -> State {
    MACHINE.lock().state
}

/// PREPARE.
pub(crate) fn prepare() -> Result {
    if !kho::is_enabled() {
        return Err(errno::not_supported());
    }
    let mut guard = MACHINE.lock();
    let machine = &mut *guard;
    let next = machine.verdict(Event::Prepare)?;
    let outgoing = Outgoing::prepare(&machine.registered, machine.generation)?;
    pr_info!(
        "generation {}: {} objects preserved, described in {} bytes\n",
        machine.generation,
        machine.registered.len(),
        outgoing.len()
    );
    machine.outgoing = Some(outgoing);
    machine.enter(next);
    Ok(())
}

/// FREEZE.
pub(crate) fn freeze() -> Result {
    let mut machine = MACHINE.lock();
    let next = machine.verdict(Event::Freeze)?;
    machine.outgoing.as_mut().ok_or(EINVAL)?.freeze()?;
    machine.enter(next);
    Ok(())
}

/// CANCEL.
pub(crate) fn cancel() -> Result {
    if !kho::is_enabled() {
        return Err(errno::not_supported());
    }
    let mut machine = MACHINE.lock();
    let next = machine.verdict(Event::Cancel)?;
    machine.outgoing = None;
    // Sessions that ended meanwhile would have been forgotten, had there been no update.
    machine.forget(|known| known.session.is_none());
    machine.enter(next);
    Ok(())
}

/// FINISH.
pub(crate) fn finish() -> Result {
    let mut machine = MACHINE.lock();
    let next = machine.verdict(Event::Finish)?;
    if let Some(incoming) = machine.incoming.take() {
        let (objects, pages) = incoming.finish();
        pr_info!(
            "{} objects of {} pages were not restored: freed\n",
            objects,
            pages
        );
    }
    machine.enter(next);
    Ok(())
}

/// The machine goes down. Nothing can stop it any more, so all that is left is to seal what is
/// prepared, and to say what will be lost.
pub(crate) fn restart() {
    let mut machine = MACHINE.lock();
    let Ok(next) = machine.verdict(Event::Restart) else {
        return;
    };
    if next != machine.state {
        if let Some(Err(err)) = machine.outgoing.as_mut().map(Outgoing::freeze) {
            pr_err!(
                "freeze at restart failed ({:?}): the next kernel drops it all\n",
                err
            );
            return;
        }
        machine.enter(next);
    }
    if let Some((_, open @ 1..)) = machine.incoming.as_ref().map(Incoming::count) {
        pr_warn!("{} objects were never restored, and are lost now\n", open);
    }
}
