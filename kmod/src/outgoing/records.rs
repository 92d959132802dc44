// SPDX-License-Identifier: GPL-2.0

//! The records of what the machine has prepared.

use crate::{
    containers::Kernel,
    machine::Core,
    orchestrator::{Face, Session},
    participant::Participant,
    wire::{self, BodyWriter, WireError},
};

/// Sessions, and what stays as it is from PREPARE on.
pub(super) fn write_steady(core: &Core, writer: &mut BodyWriter<'_>) -> Result<(), WireError> {
    for (id, session) in core.sessions() {
        write_session(core, id, session, writer)?;
    }
    write_some(core, writer, |participant| !participant.changes_at_freeze())
}

/// What is written again with FREEZE, in the same length.
pub(super) fn write_late(core: &Core, writer: &mut BodyWriter<'_>) -> Result<(), WireError> {
    write_some(core, writer, Participant::changes_at_freeze)
}

fn write_some(
    core: &Core,
    writer: &mut BodyWriter<'_>,
    which: impl Fn(&Participant) -> bool,
) -> Result<(), WireError> {
    for (_, node) in core.in_order() {
        if node.participant().is_some_and(&which) {
            Participant::describe(node, session_number(core, node.session), writer)?;
        }
    }
    Ok(())
}

fn write_session(
    core: &Core,
    id: u64,
    session: &Session<Kernel>,
    writer: &mut BodyWriter<'_>,
) -> Result<(), WireError> {
    let Some(key) = session.key else {
        return Ok(());
    };
    writer.session(&wire::Session {
        id,
        face: match key.face {
            Face::Session => wire::Face::SessionFile,
            Face::Instance => wire::Face::Instance,
        },
        owner: key.owner,
        name: key.name.as_bytes(),
    })?;
    match core.instance_of(session) {
        Some(Participant::Instance(instance)) => instance.describe_root(writer),
        _ => Ok(()),
    }
}

/// A session's number in the description: open devices, which have no name, are all 0.
fn session_number(core: &Core, session: Option<u64>) -> u64 {
    session
        .filter(|id| core.session(*id).is_some_and(|found| found.key.is_some()))
        .unwrap_or(0)
}
