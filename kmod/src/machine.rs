// SPDX-License-Identifier: GPL-2.0

//! The one machine-wide orchestrator: the core's books, what goes out and what came in, under
//! one lock. Every face comes here.

mod events;
mod faces;
mod instances;
mod subsystems;

use crate::{
    containers::Kernel,
    incoming::{Freed, Incoming},
    kho,
    orchestrator::{Orchestrator, SessionId},
    outgoing::Outgoing,
    participant::{errno_of, Participant},
    state::{Refusal, State},
    sys,
};
use core::sync::atomic::{AtomicU32, Ordering};
use kernel::{bindings, prelude::*};

pub(crate) use events::{before_kexec, cancel, finish, freeze, kexec_aborted, prepare, restart};
pub(crate) use faces::*;
pub(crate) use instances::{claim_instance, end_instance, fill_instance};
pub(crate) use subsystems::{register_subsystem, subsystem_data, unregister_subsystem};

/// The core with the kernel's containers and participants.
pub(crate) type Core = Orchestrator<Kernel, Participant>;

kernel::sync::global_lock! {
    // SAFETY: `Running::start` initialises it before any face exists.
    unsafe(uninit) static MACHINE: Mutex<Option<Machine>> = None;
}

/// The state, for those that cannot wait for the lock.
static STATE: AtomicU32 = AtomicU32::new(State::Normal as u32);

pub(crate) struct Machine {
    core: Core,
    /// The generation that this kernel writes.
    generation: u64,
    /// Nothing where Kexec HandOver is off.
    outgoing: Option<Outgoing>,
    incoming: Option<Incoming>,
    freed: Freed,
}

// Nothing in it has to stay where it is. Before 7.1 the references to files do not say so of
// themselves.
impl Unpin for Machine {}

impl Machine {
    /// Does what one session asks for; if it is refused, that session can ask why.
    fn on_behalf<T>(
        &mut self,
        session: SessionId,
        work: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T> {
        self.core.reason().set(format_args!(""));
        let result = work(self);
        let reason = match &result {
            Ok(_) => Default::default(),
            Err(_) => *self.core.reason(),
        };
        if let Some(session) = self.core.session_mut(session) {
            session.reason = reason;
        }
        result
    }

    fn new_token(&self) -> u64 {
        loop {
            // SAFETY: No requirements.
            let token = unsafe { bindings::get_random_u64() };
            // Also none of the previous kernel's: a token names one thing.
            let taken = self.core.knows_token(token)
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
        let mut machine = Machine {
            core: Core::new(),
            generation: 1,
            outgoing: None,
            incoming: None,
            freed: Freed::default(),
        };
        // SAFETY: A module is initialised once, and its statics are new each time it is loaded.
        unsafe { MACHINE.init() };
        if kho::is_enabled() {
            machine.receive()?;
            machine.outgoing = Some(Outgoing::new(machine.generation)?);
        } else {
            pr_warn!("Kexec HandOver is off (no kho=on, or no memory for it at boot): nothing outlives a kexec\n");
        }
        let state = machine.core.state();
        *MACHINE.lock() = Some(machine);
        announce(State::Normal, state);
        Ok(Self(()))
    }
}

impl Machine {
    fn receive(&mut self) -> Result {
        let Some(incoming) = Incoming::find()? else {
            return Ok(());
        };
        self.generation = incoming.generation.saturating_add(1);
        for (id, key) in incoming.sessions() {
            match self.core.inherit(key, id) {
                Err(Refusal::Exists) => {
                    pr_warn!(
                        "two sessions named {}: one can only be freed\n",
                        key.name.as_str()
                    )
                }
                other => other.map_err(errno_of)?,
            }
        }
        self.core.hand_over().map_err(errno_of)?;
        pr_info!(
            "generation {}: {} files from the previous kernel\n",
            self.generation,
            incoming.count().0
        );
        self.incoming = Some(incoming);
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // An unload is refused outside of NORMAL. In UPDATED this is a failed load, and what came
        // in stays reserved for the next one.
        let machine = MACHINE.lock().take();
        if let Some(machine) = machine {
            announce(machine.core.state(), State::Normal);
        }
    }
}

/// After a change of state: who waits for one is woken, and the module stays loaded as long as
/// it must.
fn announce(old: State, new: State) {
    if old == new {
        return;
    }
    match (old.pins_module(), new.pins_module()) {
        // SAFETY: The caller is in the module, at its start or in an open file of it, so it is
        // not going away, and a further reference cannot be refused.
        (false, true) => _ = unsafe { sys::lu_module_get() },
        // SAFETY: The reference taken on the way here is given up.
        (true, false) => unsafe { sys::lu_module_put() },
        _ => {}
    }
    STATE.store(new as u32, Ordering::Relaxed);
    // SAFETY: No requirements, but that it may sleep.
    unsafe { sys::lu_observe_notify() };
}

/// Runs with the machine. A change of state that comes of it is announced, still under the lock:
/// changes are told in their order.
fn with<T>(work: impl FnOnce(&mut Machine) -> Result<T>) -> Result<T> {
    let mut guard = MACHINE.lock();
    let machine = guard.as_mut().ok_or(ENODEV)?;
    let old = machine.core.state();
    let result = work(machine);
    if machine.core.sessions().next().is_none() {
        // SAFETY: Who makes a memory file has a session.
        unsafe { sys::lu_mem_release() };
    }
    announce(old, machine.core.state());
    result
}

/// GET_STATE, in any context.
pub(crate) fn state() -> u32 {
    STATE.load(Ordering::Relaxed)
}
