// SPDX-License-Identifier: GPL-2.0

//! The events of the state machine.

use super::{with, Machine};
use crate::{
    errno,
    incoming::is_kept,
    kho,
    orchestrator::SessionId,
    participant::{errno_of, Failure, Participant},
    state::{Event, State},
    sys,
};
use kernel::prelude::*;

/// An event, and after it, without the lock, the end of instances that it alone kept alive.
fn event<T>(work: impl FnOnce(&mut Machine) -> Result<T>) -> Result<T> {
    let result = with(work);
    // SAFETY: The lock is not held.
    unsafe { sys::lu_instances_end() };
    result
}

/// PREPARE.
pub(crate) fn prepare(session: SessionId) -> Result {
    event(|machine| {
        machine.on_behalf(session, |machine| {
            machine.needs_handover()?;
            machine.prepare()
        })
    })
}

/// FREEZE.
pub(crate) fn freeze(session: SessionId) -> Result {
    event(|machine| machine.on_behalf(session, |machine| machine.freeze(Event::Freeze)))
}

/// CANCEL.
pub(crate) fn cancel(session: SessionId) -> Result {
    event(|machine| {
        machine.on_behalf(session, |machine| {
            machine.needs_handover()?;
            // The description first: it must not name what is no longer preserved.
            machine.core.verdict(Event::Cancel).map_err(errno_of)?;
            machine.withdraw();
            machine.core.cancel(drop).map_err(errno_of)
        })
    })
}

/// FINISH.
pub(crate) fn finish(session: SessionId) -> Result {
    event(|machine| machine.on_behalf(session, Machine::finish))
}

impl Machine {
    /// Without Kexec HandOver there is no update to begin, and none to take back.
    fn needs_handover(&mut self) -> Result {
        if kho::is_enabled() {
            return Ok(());
        }
        let reason = format_args!("Kexec HandOver is off: no kho=on, or no memory for it at boot");
        self.core.reason().set(reason);
        Err(errno::not_supported())
    }

    fn prepare(&mut self) -> Result {
        self.core.verdict(Event::Prepare).map_err(errno_of)?;
        self.hold_instances();
        let described = self.prepare_all();
        // Those that it came to have let go themselves.
        described.inspect_err(|_| self.release_instances())
    }

    fn prepare_all(&mut self) -> Result {
        let Self {
            core,
            generation,
            outgoing,
            ..
        } = self;
        // SAFETY: No requirements, but that nobody else is here, which the lock sees to.
        unsafe { sys::lu_reboot_want_veto() };
        let outgoing = outgoing.as_mut().ok_or(EIO)?;
        let length = core.prepare(|core| Ok(outgoing.describe(core)?));
        let length = length.map_err(|Failure(err)| err);
        let length = length.inspect_err(|_| core.forget_closed(drop))?;
        // SAFETY: No requirements.
        unsafe { sys::lu_observe_prepared(*generation, core.participants(), length) };
        Ok(())
    }

    fn freeze(&mut self, event: Event) -> Result {
        let Self { core, outgoing, .. } = self;
        let before = core.state();
        let result = core.freeze(event, |core| {
            let outgoing = outgoing.as_mut().ok_or(EIO)?;
            Ok(outgoing.freeze(core)?)
        });
        if core.state() == State::Normal && before != State::Normal {
            // It failed, and all of it was undone: nothing may stay described.
            self.withdraw();
            self.core.forget_closed(drop);
        }
        result.map_err(|Failure(err)| err)
    }

    fn withdraw(&mut self) {
        if let Some(outgoing) = &mut self.outgoing {
            outgoing.withdraw();
        }
    }

    fn finish(&mut self) -> Result {
        self.core.verdict(Event::Finish).map_err(errno_of)?;
        if let Some(incoming) = self.incoming.take() {
            for (name, participant) in self.core.subsystems() {
                let data = incoming.subsystem(name);
                if let (Participant::Subsystem(subsystem), Some(data)) = (participant, data) {
                    subsystem.finish(data);
                }
            }
            self.freed = incoming.finish();
            pr_info!(
                "{} files of {} pages were not restored: freed\n",
                self.freed.files,
                self.freed.pages
            );
        }
        self.core.finish().map_err(errno_of)
    }

    /// What nobody has asked for goes on to the next kernel, if that is the policy.
    fn pass_on(&mut self) -> Result {
        let (Some(incoming), Some(outgoing)) = (&self.incoming, &mut self.outgoing) else {
            return Ok(());
        };
        let open = incoming.count().1;
        if open == 0 {
            return Ok(());
        }
        // SAFETY: No requirements.
        let late = unsafe { sys::lu_kho_preserves_late() };
        if !late || !is_kept() {
            let why = if late {
                ""
            } else {
                ", as this kernel cannot pass them on"
            };
            pr_warn!(
                "{} files were never restored, and are lost now{}\n",
                open,
                why
            );
            return Ok(());
        }
        incoming.preserve_unclaimed()?;
        // Half a description would be dropped with a message: leave none.
        if let Err(err) = outgoing.pass_on(incoming) {
            outgoing.withdraw();
            return Err(err);
        }
        pr_info!("{} files were never restored: passed on\n", open);
        Ok(())
    }
}

/// The machine goes down. Nothing can stop it any more, so all that is left is to freeze what is
/// prepared, to pass on what nobody claimed, and to say what will be lost.
pub(crate) fn restart() {
    _ = with(|machine| {
        if let Err(err) = machine.freeze(Event::Restart) {
            pr_err!(
                "freeze at restart failed ({:?}): nothing is handed over\n",
                err
            );
        }
        if machine.core.state() == State::Updated {
            if let Err(err) = machine.pass_on() {
                pr_err!(
                    "what nobody claimed cannot be passed on ({:?}): lost\n",
                    err
                );
            }
        }
        Ok(())
    });
}

/// A kexec is about to begin, and can still be called off: that is what an error does. True if
/// this froze the machine.
pub(crate) fn before_kexec() -> Result<bool> {
    event(|machine| {
        if machine.core.state() != State::Prepared {
            return Ok(false);
        }
        machine.freeze(Event::Restart).inspect_err(|err| {
            pr_err!(
                "freeze failed ({:?}): the kexec is called off, and the update cancelled\n",
                err
            );
        })?;
        Ok(true)
    })
}

/// Somebody else called the kexec off after [`before_kexec`] froze the machine.
pub(crate) fn kexec_aborted() {
    _ = event(|machine| {
        pr_warn!("the kexec was called off: the update is cancelled\n");
        machine.withdraw();
        machine.core.cancel(drop).map_err(errno_of)
    });
}
