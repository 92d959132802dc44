// SPDX-License-Identifier: GPL-2.0

//! What other modules ask of the machine.

use super::with;
use crate::{
    name::Name,
    participant::{errno_of, subsystem::Subsystem, Participant},
    state::Event,
    sys,
};
use kernel::prelude::*;

/// A subsystem registers.
pub(crate) fn register_subsystem(
    name: Name,
    needs: impl Iterator<Item = Name>,
    subsystem: Subsystem,
) -> Result {
    with(|machine| {
        let core = &mut machine.core;
        let done = core.register_subsystem(name, needs, Participant::Subsystem(subsystem));
        if done.is_err() {
            let reason = *core.reason();
            pr_warn!(
                "subsystem {} is refused: {}\n",
                name.as_str(),
                reason.as_str()
            );
        }
        done.map(drop).map_err(errno_of)
    })
}

/// A subsystem's registration ends; ENOENT unless it is this one that has the name.
pub(crate) fn unregister_subsystem(
    name: Name,
    ops: *const sys::liveupdate_lab_subsystem,
) -> Result {
    with(|machine| {
        let core = &mut machine.core;
        core.verdict(Event::Unregister).map_err(errno_of)?;
        match core.subsystem(name) {
            Some(Participant::Subsystem(subsystem)) if subsystem.is(ops) => {}
            _ => return Err(ENOENT),
        }
        core.unregister_subsystem(name).map(drop).map_err(errno_of)
    })
}

/// What the subsystem of this name left in the previous kernel.
pub(crate) fn subsystem_data(name: Name) -> Result<u64> {
    with(|machine| {
        machine.core.verdict(Event::Restore).map_err(errno_of)?;
        let incoming = machine.incoming.as_ref().ok_or(ENOENT)?;
        incoming.subsystem(name).ok_or(ENOENT)
    })
}
