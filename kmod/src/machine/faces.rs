// SPDX-License-Identifier: GPL-2.0

//! What the faces ask of the machine, the events aside.

use super::{with, Machine};
use crate::{
    incoming::Inherited,
    name::Name,
    orchestrator::{Face, Key, Label, SessionId},
    participant::{self, errno_of},
    state::Event,
    sys,
};
use core::fmt;
use kernel::{fs::File, prelude::*, sync::aref::ARef};

/// Whoever asks why the session's last call was refused gets these words.
pub(crate) fn explain(session: SessionId, words: fmt::Arguments<'_>) {
    _ = with(|machine| {
        if let Some(session) = machine.core.session_mut(session) {
            session.reason.set(words);
        }
        Ok(())
    });
}

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
    Ok(Key {
        face: Face::Session,
        owner: 0,
        name: name.ok_or_else(|| bad_name(machine))?,
    })
}

fn bad_name(machine: &mut Machine) -> Error {
    machine.core.reason().set(format_args!(
        "a name has 1 to 63 visible ASCII characters, no slash"
    ));
    EINVAL
}

/// FD_PRESERVE.
pub(crate) fn preserve(session: SessionId, fd: i32, flags: u32) -> Result<u64> {
    // Before the lock: it looks at this process alone.
    let found = participant::from_fd(fd, flags);
    with(|machine| {
        machine.on_behalf(session, |machine| {
            let found = found.inspect_err(|_| {
                let reason = machine.core.reason();
                reason.set(format_args!("{fd} is no open file's number"));
            })?;
            machine.core.verdict(Event::Register).map_err(errno_of)?;
            let (identity, participant) = found.map_err(|unfit| {
                machine.core.reason().set(format_args!("{}", unfit.words()));
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
                (0, None) => return Err(bad_name(machine)),
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
            let Machine { core, incoming, .. } = machine;
            core.verdict(Event::Restore).map_err(errno_of)?;
            let domain = core.session(session).and_then(|open| open.domain);
            let found = match (domain, incoming) {
                (Some(domain), Some(incoming)) => incoming.file(domain, token),
                _ => Err(ENOENT),
            };
            let reason = core.reason();
            let inherited = found.inspect_err(|_| {
                let words = "the previous kernel left this session no file";
                reason.set(format_args!("{words} {token:#018x}"));
            })?;
            let given = !inherited.is_waiting();
            let known = inherited.is_known();
            work(inherited).inspect_err(|_| {
                if given {
                    reason.set(format_args!("file {token:#018x} is restored already"));
                } else if !known {
                    let words = "was left in a way unknown here";
                    reason.set(format_args!("file {token:#018x} {words}"));
                }
            })
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
