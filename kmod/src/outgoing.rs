// SPDX-License-Identifier: GPL-2.0

//! The description that goes to the next kernel: its memory, its writing, its seal.

use crate::{
    containers::Kernel,
    folio::PAGE_SHIFT,
    incoming::Incoming,
    kho::{fallible_step, Mapped, OutBlob, Piece},
    machine::Core,
    orchestrator::{Face, Session},
    participant::Participant,
    sys,
    wire::{self, BodyWriter, Damage, Measure, Sink, Slice, WireError},
};
use kernel::prelude::*;

/// The largest pieces of the body: as large as memory that is not fresh still has them.
const PIECE_ORDER: u32 = 4;

/// The checksum, by the kernel's own means.
pub(crate) fn crc32c(seed: u32, bytes: &[u8]) -> u32 {
    // SAFETY: So many bytes are readable.
    unsafe { sys::lu_crc32c(seed, bytes.as_ptr().cast(), bytes.len()) }
}

/// A published description. Dropping it withdraws and frees it.
pub(crate) struct Outgoing {
    root: OutBlob,
    root_len: usize,
    body: Mapped,
    body_len: usize,
    /// Where in the body that begins which changes with FREEZE.
    late_at: usize,
    /// The checksum of what is before that.
    steady_sum: u32,
    // After `body`, which shows them.
    _pieces: KVVec<Piece>,
}

impl Outgoing {
    /// Describes what the machine has prepared.
    pub(crate) fn describe(core: &Core, generation: u64) -> Result<Self> {
        Self::publish(
            generation,
            |writer| write_steady(core, writer),
            |writer| write_late(core, writer),
        )
    }

    /// Describes what the previous kernel left and nobody here has asked for.
    pub(crate) fn pass_on(incoming: &Incoming, generation: u64) -> Result<Self> {
        let unclaimed = incoming.unclaimed()?;
        let steady = |writer: &mut BodyWriter<'_>| unclaimed.write(writer);
        Self::publish(generation, steady, |_| Ok(()))
    }

    /// Writes twice: to measure, and into memory of that size.
    fn publish(
        generation: u64,
        steady: impl Fn(&mut BodyWriter<'_>) -> Result<(), WireError>,
        late: impl Fn(&mut BodyWriter<'_>) -> Result<(), WireError>,
    ) -> Result<Self> {
        let mut measure = Measure::default();
        write(&mut measure, &steady)?;
        let late_at = measure.length();
        write(&mut measure, &late)?;
        let body_len = measure.length();

        let pieces = allocate(body_len)?;
        let mut places = KVVec::with_capacity(pieces.len(), GFP_KERNEL)?;
        for piece in &pieces {
            places.push(piece.place(), GFP_KERNEL)?;
        }
        // SAFETY: The pieces live longer than the mapping, and nobody else uses them.
        let mut body = unsafe { Mapped::new(&places) }?;
        let mut slice = Slice::new(body.bytes_mut(), 0);
        write(&mut slice, &steady)?;
        write(&mut slice, &late)?;

        let root_len = wire::root_len(pieces.len()).ok_or(EFBIG)?;
        let mut root = OutBlob::new(root_len)?;
        let places = places.iter().copied();
        wire::write_root(
            root.bytes(),
            generation,
            PAGE_SHIFT,
            places,
            body_len,
            crc32c,
        )
        .map_err(misfit)?;
        root.publish()?;
        let steady = body.bytes().get(..late_at).ok_or(EIO)?;
        let steady_sum = wire::crc::checksum(crc32c, steady);
        Ok(Self {
            root,
            root_len,
            body,
            body_len,
            late_at,
            steady_sum,
            _pieces: pieces,
        })
    }

    /// Brings up to date what changes with FREEZE.
    pub(crate) fn freeze(&mut self, core: &Core) -> Result {
        fallible_step()?;
        let mut slice = Slice::new(self.body.bytes_mut(), self.late_at);
        write(&mut slice, &|writer: &mut BodyWriter<'_>| {
            write_late(core, writer)
        })?;
        self.close()
    }

    /// Checksums what is new in the body. What is left for the last moment is the root's seal, which is small.
    pub(crate) fn close(&mut self) -> Result {
        let root = self.root.bytes().get_mut(..self.root_len).ok_or(EIO)?;
        let body = self.body.bytes_mut();
        let body = body.get_mut(..self.body_len).ok_or(EIO)?;
        wire::seal_rest(root, body, self.late_at, self.steady_sum, crc32c).map_err(misfit)?;
        if let Some((damage, seed)) = damage_asked() {
            pr_warn!(
                "the description is damaged on purpose: {:?} {}\n",
                damage,
                seed
            );
            damage.in_body(seed, root, body, crc32c).map_err(misfit)?;
        }
        // SAFETY: The root lives until it is disarmed, in `drop`.
        unsafe { sys::lu_reboot_seal(self.root.as_ptr(), self.root_len) };
        Ok(())
    }

    /// The length of the description in bytes.
    pub(crate) fn len(&self) -> usize {
        self.root_len.saturating_add(self.body_len)
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        // SAFETY: Disarms, before the root goes.
        unsafe { sys::lu_reboot_seal(core::ptr::null_mut(), 0) };
    }
}

/// The last moment, as C calls it: one CPU, no interrupts, no lock.
pub(crate) fn seal(root: &mut [u8]) {
    // A root that cannot be sealed stays `prepared`, and the next kernel drops it with a message.
    _ = wire::seal_root(root, crc32c);
    if let Some((damage, seed)) = damage_asked() {
        _ = damage.in_root(seed, root, crc32c);
    }
}

/// What a test wants to be wrong: the parameter `damage`.
fn damage_asked() -> Option<(Damage, u64)> {
    // SAFETY: No requirements.
    Damage::of(unsafe { sys::lu_damage() })
}

/// Memory for so many bytes, in pieces.
fn allocate(len: usize) -> Result<KVVec<Piece>> {
    let mut pages = len.div_ceil(1 << PAGE_SHIFT);
    let mut pieces = KVVec::new();
    let mut order = PIECE_ORDER;
    while pages > 0 {
        while order > 0 && pages < 1 << order {
            order = order.saturating_sub(1);
        }
        match Piece::new(order) {
            Ok(piece) => pieces.push(piece, GFP_KERNEL)?,
            Err(err) if order == 0 => return Err(err),
            Err(_) => {
                order = 0;
                continue;
            }
        }
        pages = pages.saturating_sub(1 << order);
    }
    Ok(pieces)
}

fn write(
    sink: &mut dyn Sink,
    what: &impl Fn(&mut BodyWriter<'_>) -> Result<(), WireError>,
) -> Result {
    let mut writer = BodyWriter::new(sink, PAGE_SHIFT);
    what(&mut writer)
        .and_then(|()| writer.finish())
        .map_err(misfit)
}

/// Sessions, and what stays as it is from PREPARE on.
fn write_steady(core: &Core, writer: &mut BodyWriter<'_>) -> Result<(), WireError> {
    for (id, session) in core.sessions() {
        write_session(core, id, session, writer)?;
    }
    write_some(core, writer, |participant| !participant.changes_at_freeze())
}

/// What is written again with FREEZE, in the same length.
fn write_late(core: &Core, writer: &mut BodyWriter<'_>) -> Result<(), WireError> {
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

/// The room was measured, and what is fixed does not change: this is a defect, but not a panic.
fn misfit(err: WireError) -> Error {
    pr_err!("the description cannot be written: {}\n", err.name());
    EIO
}
