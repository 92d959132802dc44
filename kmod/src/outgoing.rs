// SPDX-License-Identifier: GPL-2.0

//! The description that goes to the next kernel: its memory, its writing, its seal.

mod records;
mod root;

use crate::{
    folio::PAGE_SHIFT,
    incoming::Incoming,
    kho::{fallible_step, Mapped, Piece},
    machine::Core,
    sys,
    wire::{self, BodyWriter, Damage, Measure, Sink, Slice, WireError},
};
use kernel::prelude::*;
use root::Root;

/// The largest pieces of the body: as large as memory that is not fresh still has them.
const PIECE_ORDER: u32 = 4;

/// The checksum, by the kernel's own means.
pub(crate) fn crc32c(seed: u32, bytes: &[u8]) -> u32 {
    // SAFETY: So many bytes are readable.
    unsafe { sys::lu_crc32c(seed, bytes.as_ptr().cast(), bytes.len()) }
}

/// The description and what it says. Dropping it withdraws and frees it.
pub(crate) struct Outgoing {
    root: Root,
    // After `root`, which names it.
    body: Option<Written>,
}

/// The body of a description.
struct Written {
    mem: Mapped,
    len: usize,
    /// Where that begins which changes with FREEZE.
    late_at: usize,
    // After `mem`, which shows them.
    _pieces: KVVec<Piece>,
}

impl Outgoing {
    /// Nothing to hand over yet, but the place where the next kernel will look.
    pub(crate) fn new(generation: u64) -> Result<Self> {
        Ok(Self {
            root: Root::new(generation)?,
            body: None,
        })
    }

    /// Describes what the machine has prepared; the length of the description in bytes.
    pub(crate) fn describe(&mut self, core: &Core) -> Result<usize> {
        self.write(
            |writer| records::write_steady(core, writer),
            |writer| records::write_late(core, writer),
        )
    }

    /// Describes what the previous kernel left and nobody here has asked for.
    pub(crate) fn pass_on(&mut self, incoming: &Incoming) -> Result {
        let unclaimed = incoming.unclaimed()?;
        let steady = |writer: &mut BodyWriter<'_>| unclaimed.write(writer);
        self.write(steady, |_| Ok(()))?;
        self.close()
    }

    /// Nothing is to be handed over any more.
    pub(crate) fn withdraw(&mut self) {
        self.root.clear();
        self.body = None;
    }

    /// Writes twice: to measure, and into memory of that size.
    fn write(
        &mut self,
        steady: impl Fn(&mut BodyWriter<'_>) -> Result<(), WireError>,
        late: impl Fn(&mut BodyWriter<'_>) -> Result<(), WireError>,
    ) -> Result<usize> {
        let mut measure = Measure::default();
        write(&mut measure, &steady)?;
        let late_at = measure.length();
        write(&mut measure, &late)?;
        let len = measure.length();

        let pieces = allocate(len)?;
        let mut places = KVVec::with_capacity(pieces.len(), GFP_KERNEL)?;
        for piece in &pieces {
            places.push(piece.place(), GFP_KERNEL)?;
        }
        // SAFETY: The pieces live longer than the mapping, and nobody else uses them.
        let mut mem = unsafe { Mapped::new(&places) }?;
        let mut slice = Slice::new(mem.bytes_mut(), 0);
        write(&mut slice, &steady)?;
        write(&mut slice, &late)?;
        let bytes = mem.bytes().get(..len).ok_or(EIO)?;
        let root_len = self.root.name(places.iter().copied(), bytes)?;
        self.body = Some(Written {
            mem,
            len,
            late_at,
            _pieces: pieces,
        });
        Ok(root_len.saturating_add(len))
    }

    /// Brings up to date what changes with FREEZE.
    pub(crate) fn freeze(&mut self, core: &Core) -> Result {
        fallible_step()?;
        let body = self.body.as_mut().ok_or(EIO)?;
        let mut slice = Slice::new(body.mem.bytes_mut(), body.late_at);
        write(&mut slice, &|writer: &mut BodyWriter<'_>| {
            records::write_late(core, writer)
        })?;
        self.close()
    }

    /// What is left for the last moment is the root's seal, which is small.
    fn close(&mut self) -> Result {
        let Self { root, body } = self;
        let body = body.as_mut().ok_or(EIO)?;
        if let Some((damage, seed)) = damage_asked() {
            pr_warn!(
                "the description is damaged on purpose: {:?} {}\n",
                damage,
                seed
            );
            let bytes = body.mem.bytes_mut().get_mut(..body.len).ok_or(EIO)?;
            damage.in_body(seed, bytes, crc32c).map_err(misfit)?;
        }
        root.arm()
    }
}

/// The last moment, as C calls it: one CPU, no interrupts, no lock.
pub(crate) fn seal(block: &mut [u8]) {
    // A root that cannot be sealed stays `prepared`, and the next kernel drops it with a message.
    _ = wire::seal_root(block, crc32c);
    wire::double(block);
    if let Some((damage, seed)) = damage_asked() {
        damage.in_root(seed, block, crc32c);
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
    let mut writer = BodyWriter::new(sink, PAGE_SHIFT, crc32c);
    what(&mut writer)
        .and_then(|()| writer.finish())
        .map_err(misfit)
}

/// The room was measured, and what is fixed does not change: this is a defect, but not a panic.
fn misfit(err: WireError) -> Error {
    pr_err!("the description cannot be written: {}\n", err.name());
    EIO
}
