// SPDX-License-Identifier: GPL-2.0

//! A description in memory that KHO preserves, as far as one kernel alone can take it.

use super::fail_after;
use crate::{
    folio::{Preserved, PAGE_SHIFT},
    kho::{Mapped, OutBlob, Piece},
    outgoing::crc32c,
    pages::write_pages,
    participant::memory,
    wire::{self, Body, BodyWriter, Kind, Measure, Root, Sink, Slice, WireError},
};
use kernel::prelude::*;

/// Objects in it: some pages full.
const OBJECTS: u64 = 200;
const GENERATION: u64 = 7;
/// Bytes of the file.
const SIZE: u64 = 9 << PAGE_SHIFT;

/// Describes the file as often, under a token each time.
fn write(sink: &mut dyn Sink, pages: &Preserved) -> Result<(), WireError> {
    let mut writer = BodyWriter::new(sink, PAGE_SHIFT, crc32c);
    for token in 1..=OBJECTS {
        writer.file(&wire::File {
            token,
            session: 0,
            compatible: memory::COMPATIBLE,
        })?;
        write_pages(pages, SIZE, &mut writer)?;
    }
    writer.finish()
}

/// Whether a description of this file, in pieces of memory that lie anywhere, is read as it was
/// written, seal included, and is refused when a bit of the last piece is another one.
pub(super) fn round_trip(pages: &Preserved) -> Result<bool> {
    let misfit = |_: WireError| EIO;
    let mut measure = Measure::default();
    write(&mut measure, pages).map_err(misfit)?;
    let len = measure.length();

    let (mut pieces, mut places) = (KVec::new(), KVec::new());
    for _ in 0..len.div_ceil(1 << PAGE_SHIFT) {
        let piece = Piece::new(0)?;
        places.push(piece.place(), GFP_KERNEL)?;
        pieces.push(piece, GFP_KERNEL)?;
    }
    // Pieces that come one after the other need not lie so.
    places.reverse();
    // SAFETY: The pieces live longer than the mapping, and nobody else uses them.
    let mut body = unsafe { Mapped::new(&places) }?;
    write(&mut Slice::new(body.bytes_mut(), 0), pages).map_err(misfit)?;
    let mut root = OutBlob::new(wire::root_len(places.len()).ok_or(EFBIG)?)?;
    let all = places.iter().copied();
    let written = body.bytes().get(..len).ok_or(EIO)?;
    wire::write_root(root.bytes(), GENERATION, PAGE_SHIFT, all, written, crc32c).map_err(misfit)?;
    wire::seal_root(root.bytes(), crc32c).map_err(misfit)?;

    let parsed = Root::parse(root.bytes(), PAGE_SHIFT, crc32c).map_err(misfit)?;
    let same = parsed.generation == GENERATION && parsed.pieces().eq(places.iter().copied());
    // SAFETY: The pieces live longer, and nobody writes to them while this mapping is there.
    let again = unsafe { Mapped::new(&places) }?;
    let read = Body::parse(again.bytes(), &parsed, crc32c).map_err(misfit)?;
    let mut tokens = 0;
    let whole = read.objects().all(|object| {
        tokens += 1;
        let named = matches!(object.kind, Kind::File(file) if file.token == tokens);
        let found = object.pages().into_iter().flat_map(|found| found.extents());
        named && Iterator::eq(found, pages.extents().iter().copied())
    });
    drop(again);
    if let Some(last) = body.bytes_mut().get_mut(len - 1) {
        *last ^= 1;
    }
    let damaged = matches!(
        Body::parse(body.bytes(), &parsed, crc32c),
        Err(WireError::Checksum)
    );
    Ok(same && whole && tokens == OBJECTS && damaged)
}

/// The same, with each step failing in its turn: how many there are.
pub(super) fn failing_round_trips(pages: &Preserved, failed: fn() -> bool) -> Result<u32> {
    let mut step = 0;
    loop {
        step += 1;
        fail_after(step);
        let result = round_trip(pages);
        match (failed(), result) {
            (true, Err(err)) if err == ENOMEM => {}
            (false, Ok(true)) => return Ok(step),
            _ => return Err(EINVAL),
        }
    }
}
