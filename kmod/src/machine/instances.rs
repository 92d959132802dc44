// SPDX-License-Identifier: GPL-2.0

//! What kexecfs asks of the machine: mounts that begin, and instances that end.

use super::{with, Core, Machine};
use crate::{
    incoming,
    orchestrator::{Domain, Key, SessionId},
    participant::{
        errno_of,
        instance::{Handle, Instance},
        Participant,
    },
    state::Refusal,
    sys,
};
use kernel::prelude::*;

/// What a mount finds.
pub(crate) struct Claim {
    pub(crate) session: SessionId,
    /// The instance that an earlier attempt left half restored.
    pub(crate) half: Option<Handle>,
}

/// A mount begins.
pub(crate) fn claim_instance(key: Key, params: &sys::lu_params) -> Result<Claim> {
    with(|machine| {
        if machine.core.is_in_use(key) {
            return Err(EBUSY);
        }
        match machine.waiting_instance(key) {
            Some(_) if params.must_be_fresh => Err(EEXIST),
            None if params.must_retrieve => Err(ENOENT),
            Some((secret, half)) => {
                if secret.is_some() && secret != params.has_key.then_some(params.key) {
                    return Err(EACCES);
                }
                let session = machine.core.retrieve(key).map_err(errno_of)?;
                Ok(Claim { session, half })
            }
            None => {
                let core = &mut machine.core;
                let made = match core.inherited(key) {
                    // It was restored here, and is gone since.
                    Some(_) => core.retrieve(key),
                    None => core.create(key),
                };
                let session = made.map_err(|refusal| match refusal {
                    // That name is mounted: busy, as mount(2) would say.
                    Refusal::Exists => EBUSY,
                    other => errno_of(other),
                })?;
                Ok(Claim {
                    session,
                    half: None,
                })
            }
        }
    })
}

impl Machine {
    /// The key of an instance that waits to be restored, and what there is of it already.
    fn waiting_instance(&mut self, key: Key) -> Option<(Option<[u8; 16]>, Option<Handle>)> {
        let id = self.core.inherited(key)?;
        let instance = self.incoming.as_mut()?.instance(id)?;
        instance
            .is_waiting()
            .then(|| (instance.params.key, instance.half()))
    }

    fn inherited_instance(&mut self, session: SessionId) -> Option<&mut incoming::Instance> {
        match self.core.session(session)?.domain? {
            Domain::Named(id) => self.incoming.as_mut()?.instance(id),
            Domain::Device => None,
        }
    }
}

/// The root of a mount exists: registers it, and restores what the previous kernel left in it.
pub(crate) fn fill_instance(session: SessionId, handle: Handle) -> Result {
    with(|machine| {
        let key = machine.core.session(session).and_then(|open| open.key);
        let name = key.ok_or(ENOENT)?.name;
        let participant = Participant::Instance(Instance::new(handle));
        let identity = handle.address();
        let core = &mut machine.core;
        core.register_instance(session, name, identity, participant)
            .map_err(errno_of)?;
        let filled = match machine.inherited_instance(session) {
            Some(instance) => instance.fill(handle),
            None => Ok(()),
        };
        // At once: it must not take part in an update while its mount is being undone.
        filled.inspect_err(|_| machine.core.end_session(session, drop))
    })
}

impl Machine {
    /// Before an update: keeps every instance. One whose end has begun has only not come to tell
    /// so yet, as it waits for the machine's lock: it ends here.
    pub(super) fn hold_instances(&mut self) {
        let ending = |core: &Core| {
            core.sessions()
                .find(|(_, session)| match core.instance_of(session) {
                    Some(Participant::Instance(instance)) => !instance.hold(),
                    _ => false,
                })
                .map(|(id, _)| id)
        };
        while let Some(session) = ending(&self.core) {
            self.core.end_session(session, drop);
        }
    }

    /// After an update that did not take place.
    pub(super) fn release_instances(&self) {
        for (_, node) in self.core.in_order() {
            if let Some(Participant::Instance(instance)) = node.participant() {
                instance.release();
            }
        }
    }
}

/// An instance is gone, its mount or its last holder, or its mount failed.
pub(crate) fn end_instance(session: SessionId) {
    _ = with(|machine| {
        machine.core.end_session(session, drop);
        Ok(())
    });
}
