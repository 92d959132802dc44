// SPDX-License-Identifier: GPL-2.0

//! What the faces ask of the machine, the events aside.

use super::{with, Machine};
use crate::{
    incoming::{self, Inherited},
    name::Name,
    orchestrator::{Domain, Face, Key, Label, SessionId},
    participant::{
        self, errno_of,
        instance::{Handle, Instance},
        subsystem::Subsystem,
        Participant,
    },
    state::{Event, Refusal},
    sys,
};
use kernel::{fs::File, prelude::*, sync::aref::ARef};

/// An open device.
pub(crate) fn open() -> Result<SessionId> {
    with(|machine| machine.core.open().map_err(errno_of))
}

/// A device or session file is closed, or an instance gone before it was mounted.
pub(crate) fn close(session: SessionId) {
    _ = with(|machine| {
        machine.core.close(session, drop);
        Ok(())
    });
}

/// SESSION_CREATE.
pub(crate) fn create_session(by: SessionId, name: Option<Name>) -> Result<SessionId> {
    with(|machine| {
        machine.on_behalf(by, |machine| {
            let key = session_key(machine, name)?;
            machine.core.create(key).map_err(errno_of)
        })
    })
}

/// SESSION_RETRIEVE.
pub(crate) fn retrieve_session(by: SessionId, name: Option<Name>) -> Result<SessionId> {
    with(|machine| {
        machine.on_behalf(by, |machine| {
            let key = session_key(machine, name)?;
            machine.core.retrieve(key).map_err(errno_of)
        })
    })
}

fn session_key(machine: &mut Machine, name: Option<Name>) -> Result<Key> {
    let Some(name) = name else {
        machine.core.reason().set(format_args!(
            "a name has 1 to 63 visible ASCII characters, no slash"
        ));
        return Err(EINVAL);
    };
    Ok(Key {
        face: Face::Session,
        owner: 0,
        name,
    })
}

/// FD_PRESERVE.
pub(crate) fn preserve(session: SessionId, fd: i32, flags: u32) -> Result<u64> {
    // Before the lock: it looks at this process alone.
    let found = participant::from_fd(fd, flags)?;
    with(|machine| {
        machine.on_behalf(session, |machine| {
            machine.core.verdict(Event::Register).map_err(errno_of)?;
            let (identity, participant) = found.map_err(|unfit| {
                machine
                    .core
                    .reason()
                    .set(format_args!("{}", unfit.words()));
                unfit.errno()
            })?;
            let token = machine.new_token();
            let label = Label::File(token);
            let core = &mut machine.core;
            core.register(session, label, identity, participant)
                .map_err(errno_of)?;
            Ok(token)
        })
    })
}

/// FD_UNPRESERVE.
pub(crate) fn unpreserve(session: SessionId, token: u64) -> Result {
    with(|machine| {
        machine.on_behalf(session, |machine| {
            let gone = machine.core.unregister(session, token);
            gone.map(drop).map_err(errno_of)
        })
    })
}

/// DEPEND on a file, or on a subsystem by its name.
pub(crate) fn depend(session: SessionId, token: u64, on: u64, name: Option<Name>) -> Result {
    let token = Some(token).filter(|token| *token != 0);
    with(|machine| {
        machine.on_behalf(session, |machine| {
            let core = &mut machine.core;
            match (on, name) {
                (0, Some(name)) => core.depend_on_subsystem(session, token, name),
                (0, None) => return Err(EINVAL),
                (on, _) => core.depend(session, token, on),
            }
            .map_err(errno_of)
        })
    })
}

/// Works on a file of the previous kernel's, if it is one that this session may have.
pub(crate) fn with_inherited<T>(
    session: SessionId,
    token: u64,
    work: impl FnOnce(&mut Inherited) -> Result<T>,
) -> Result<T> {
    with(|machine| {
        machine.on_behalf(session, |machine| {
            machine.core.verdict(Event::Restore).map_err(errno_of)?;
            let open = machine.core.session(session);
            let domain = open.and_then(|open| open.domain).ok_or(ENOENT)?;
            let incoming = machine.incoming.as_mut().ok_or(ENOENT)?;
            work(incoming.file(domain, token)?)
        })
    })
}

/// A restored file, or an eventfd's state, could not be delivered.
pub(crate) fn put_back(session: SessionId, token: u64, file: Option<ARef<File>>) {
    // After a FINISH in between there is nowhere to keep it, and it is freed like all the rest.
    _ = with_inherited(session, token, |inherited| {
        inherited.put_back(file);
        Ok(())
    });
}

/// STATUS.
pub(crate) fn status() -> Result<sys::liveupdate_lab_status> {
    with(|machine| {
        let (inherited, unclaimed) = match &machine.incoming {
            Some(incoming) => incoming.count(),
            None => (0, 0),
        };
        Ok(sys::liveupdate_lab_status {
            state: machine.core.state() as u32,
            generation: machine.generation,
            participants: machine.core.participants(),
            inherited,
            unclaimed,
            freed_pages: machine.freed.pages,
            ..Default::default()
        })
    })
}

/// REASON: why the session's last call was refused.
pub(crate) fn reason<T>(session: SessionId, tell: impl FnOnce(&[u8]) -> T) -> Result<T> {
    with(|machine| {
        let found = machine.core.session(session).ok_or(ENOENT)?;
        Ok(tell(found.reason.as_bytes()))
    })
}

/// What a mount finds.
pub(crate) struct Claim {
    pub(crate) session: SessionId,
    /// The instance that an earlier attempt left half restored.
    pub(crate) half: Option<Handle>,
}

/// A mount begins.
pub(crate) fn claim_instance(key: Key, params: &sys::lu_params) -> Result<Claim> {
    with(|machine| {
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
        match machine.inherited_instance(session) {
            Some(instance) => instance.fill(handle),
            None => Ok(()),
        }
    })
}

/// An instance is gone, its mount or its last holder, or its mount failed.
pub(crate) fn end_instance(session: SessionId) {
    _ = with(|machine| {
        machine.core.end_session(session, drop);
        Ok(())
    });
}

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
            pr_warn!("subsystem {} is refused: {}\n", name.as_str(), reason.as_str());
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

/// Tells about every participant: for debugfs.
pub(crate) fn each_line(mut line: impl FnMut(core::fmt::Arguments<'_>)) {
    _ = with(|machine| {
        let core = &machine.core;
        line(format_args!(
            "state {} generation {} participants {}",
            core.state().name(),
            machine.generation,
            core.participants()
        ));
        for (id, node) in core.in_order() {
            line(format_args!(
                "{} session {}",
                node.label,
                node.session.unwrap_or(0)
            ));
            for need in core.needs(id) {
                line(format_args!("  needs {need}"));
            }
        }
        for (id, session) in core.sessions() {
            match session.key {
                Some(key) => line(format_args!(
                    "session {id} {:?} owner {} name {}",
                    key.face, key.owner, key.name
                )),
                None => line(format_args!("session {id} device")),
            }
        }
        if let Some(incoming) = &machine.incoming {
            let (all, open) = incoming.count();
            line(format_args!("inherited {all} unclaimed {open}"));
        }
        Ok(())
    });
}
