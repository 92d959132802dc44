// SPDX-License-Identifier: GPL-2.0

//! The root: what is published, and where the body is.

use super::read::length_by_header;
use super::{ensure, folio_pages, get, get_u32, get_u64, put, Crc, WireError};
use super::{FRAMING, HEADER_LEN, MAX_ORDER, MAX_PFN, PIECE_LEN, VERSION};

const MAGIC: [u8; 8] = *b"LULABKHO";
pub(super) const AT_VERSION: usize = 8;
const AT_LEN: usize = 16;
const AT_PHASE: usize = 24;
pub(super) const AT_FRAMING: usize = 44;
const AT_BODY_LEN: usize = 48;
const AT_CRC: usize = 60;
/// No object begins in a piece.
const NONE: u32 = u32::MAX;

/// How far the writer had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Phase {
    /// Complete, not sealed.
    Prepared = 1,
    /// Sealed.
    Frozen = 2,
}

/// A block of the body's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The first page frame.
    pub pfn: u64,
    /// It has `1 << order` pages.
    pub order: u32,
}

/// A root that was found whole.
#[derive(Clone, Copy, Debug)]
pub struct Root<'a> {
    /// What the meaning of the body is; one that this code does not know, perhaps.
    pub version: u32,
    /// How far the writer had come.
    pub phase: Phase,
    /// The generation that wrote it.
    pub generation: u64,
    /// The unit of frame numbers.
    pub page_shift: u32,
    /// The length of the body.
    pub body_len: usize,
    pieces: &'a [u8],
}

impl<'a> Root<'a> {
    /// Reads and checks everything once. `bytes` may be longer than the root.
    pub fn parse(bytes: &'a [u8], page_shift: u32, crc: Crc) -> Result<Self, WireError> {
        if get::<8>(bytes, 0)? != MAGIC {
            return Err(WireError::NotOurs);
        }
        let framing = get_u32(bytes, AT_FRAMING)?;
        if framing != FRAMING {
            return Err(WireError::Framing(framing));
        }
        let whole = bytes.get(..length(bytes)?).ok_or(WireError::Truncated)?;
        if root_checksum(whole, crc)? != get_u32(whole, AT_CRC)? {
            return Err(WireError::Checksum);
        }
        let phase = match get_u32(whole, AT_PHASE)? {
            1 => Phase::Prepared,
            2 => Phase::Frozen,
            _ => return Err(WireError::Malformed),
        };
        ensure(get_u32(whole, 12)? as usize == HEADER_LEN && get_u32(whole, 56)? == 0)?;
        ensure(get_u32(whole, 40)? == page_shift && page_shift <= 30)?;
        let root = Root {
            version: get_u32(whole, AT_VERSION)?,
            phase,
            generation: get_u64(whole, 32)?,
            page_shift,
            body_len: body_length(whole)?,
            pieces: whole.get(HEADER_LEN..).ok_or(WireError::Truncated)?,
        };
        let pieces = usize::try_from(get_u32(whole, 28)?).ok();
        ensure(pieces.and_then(root_len) == Some(whole.len()))?;
        root.check()?;
        Ok(root)
    }

    /// Whether there was nothing to hand over: there is no body, and no seal that says that
    /// this is all.
    pub fn is_empty(&self) -> bool {
        self.phase == Phase::Prepared && self.body_len == 0
    }

    /// The body's memory, in the body's order.
    pub fn pieces(self) -> impl Iterator<Item = Piece> + 'a {
        let mut rest = self.pieces;
        core::iter::from_fn(move || {
            let (bytes, after) = rest.split_first_chunk::<PIECE_LEN>()?;
            rest = after;
            Some(Piece {
                pfn: get_u64(bytes, 0).ok()?,
                order: get_u32(bytes, 8).ok()?,
            })
        })
    }

    /// Where in the body an object begins, the first one of each piece, in ascending order unless
    /// the root lies.
    pub(super) fn beginnings(self) -> impl Iterator<Item = usize> + 'a {
        let (mut rest, mut begins) = (self.pieces, 0usize);
        core::iter::from_fn(move || loop {
            let (bytes, after) = rest.split_first_chunk::<PIECE_LEN>()?;
            rest = after;
            let pages = folio_pages(get_u32(bytes, 8).ok()?);
            let length = pages.checked_mul(folio_pages(self.page_shift))?;
            let first = get_u32(bytes, 12).ok()?;
            let piece = begins;
            begins = begins.checked_add(usize::try_from(length).ok()?)?;
            if first != NONE {
                return piece.checked_add(usize::try_from(first).ok()?);
            }
        })
    }

    fn check(self) -> Result<(), WireError> {
        let mut cover = Cover::new(self.body_len, self.page_shift)?;
        self.pieces().try_for_each(|piece| cover.add(&piece))?;
        cover.end()
    }
}

/// How much of the body the pieces so far have.
struct Cover {
    body: u64,
    page_shift: u32,
    covered: u64,
}

impl Cover {
    fn new(body_len: usize, page_shift: u32) -> Result<Self, WireError> {
        ensure(body_len & 7 == 0)?;
        let body = u64::try_from(body_len).map_err(|_| WireError::Malformed)?;
        Ok(Cover {
            body,
            page_shift,
            covered: 0,
        })
    }

    fn add(&mut self, piece: &Piece) -> Result<(), WireError> {
        ensure(self.covered < self.body && piece.order <= MAX_ORDER)?;
        let pages = folio_pages(piece.order);
        let end = piece.pfn.checked_add(pages).ok_or(WireError::Malformed)?;
        ensure(end <= MAX_PFN && piece.pfn & pages.wrapping_sub(1) == 0)?;
        let bytes = pages.checked_mul(folio_pages(self.page_shift));
        self.covered = bytes
            .and_then(|bytes| self.covered.checked_add(bytes))
            .ok_or(WireError::Malformed)?;
        Ok(())
    }

    fn end(self) -> Result<(), WireError> {
        ensure(self.covered >= self.body)
    }
}

/// The length of a root of so many pieces.
pub fn root_len(pieces: usize) -> Option<usize> {
    pieces.checked_mul(PIECE_LEN)?.checked_add(HEADER_LEN)
}

/// Writes a root in phase prepared; its length. The body may have more room than it needs.
pub fn write_root(
    buf: &mut [u8],
    generation: u64,
    page_shift: u32,
    pieces: impl Iterator<Item = Piece>,
    body: &[u8],
    crc: Crc,
) -> Result<usize, WireError> {
    ensure(page_shift <= 30)?;
    let mut cover = Cover::new(body.len(), page_shift)?;
    let mut objects = Objects { body, at: 0 };
    let (mut at, mut count) = (HEADER_LEN, 0u32);
    for piece in pieces {
        let begins = cover.covered;
        cover.add(&piece)?;
        let first = objects.first_within(begins, cover.covered);
        put(buf, at, &piece.pfn.to_le_bytes())?;
        put(buf, at.saturating_add(8), &piece.order.to_le_bytes())?;
        put(buf, at.saturating_add(12), &first.to_le_bytes())?;
        at = at.saturating_add(PIECE_LEN);
        count = count.checked_add(1).ok_or(WireError::Full)?;
    }
    put(buf, 0, &MAGIC)?;
    put(buf, AT_VERSION, &VERSION.to_le_bytes())?;
    put(buf, 12, &(HEADER_LEN as u32).to_le_bytes())?;
    put(buf, AT_LEN, &(at as u64).to_le_bytes())?;
    put(buf, 28, &count.to_le_bytes())?;
    put(buf, 32, &generation.to_le_bytes())?;
    put(buf, 40, &page_shift.to_le_bytes())?;
    put(buf, AT_FRAMING, &FRAMING.to_le_bytes())?;
    put(buf, AT_BODY_LEN, &cover.body.to_le_bytes())?;
    put(buf, 56, &[0; 8])?;
    cover.end()?;
    stamp(buf, Phase::Prepared, crc)?;
    Ok(at)
}

/// The beginnings of a body's objects, one after another, as far as it is one.
struct Objects<'a> {
    body: &'a [u8],
    at: usize,
}

impl Objects<'_> {
    /// The first one between these offsets, which do not go back from one call to the next;
    /// counted from where they begin.
    fn first_within(&mut self, from: u64, to: u64) -> u32 {
        while let Some(rest) = self.body.get(self.at..).filter(|rest| !rest.is_empty()) {
            let at = u64::try_from(self.at).unwrap_or(u64::MAX);
            if at >= to {
                break;
            }
            if at >= from {
                return u32::try_from(at.saturating_sub(from)).unwrap_or(NONE);
            }
            let length = length_by_header(rest).unwrap_or(rest.len());
            self.at = self.at.saturating_add(length);
        }
        NONE
    }
}

/// Makes a description frozen. It reads the root alone, and can be called anywhere.
pub fn seal_root(root: &mut [u8], crc: Crc) -> Result<(), WireError> {
    stamp(root, Phase::Frozen, crc)
}

/// Copies a root into the second half of its block, and does nothing if it does not fit there.
pub fn double(block: &mut [u8]) {
    let (first, second) = block.split_at_mut(block.len() / 2);
    // Nothing to be done if it has no room: whoever makes the block sees to that.
    _ = cut(first).and_then(|root| put(second, 0, root));
}

fn stamp(root: &mut [u8], phase: Phase, crc: Crc) -> Result<(), WireError> {
    let whole = cut(root)?;
    put(whole, AT_PHASE, &(phase as u32).to_le_bytes())?;
    fit(whole, crc)
}

/// The root at the beginning of these bytes, its length believed.
pub(super) fn cut(bytes: &mut [u8]) -> Result<&mut [u8], WireError> {
    let len = length(bytes)?;
    bytes.get_mut(..len).ok_or(WireError::Truncated)
}

/// Makes the checksum that of the bytes.
pub(super) fn fit(root: &mut [u8], crc: Crc) -> Result<(), WireError> {
    let whole = cut(root)?;
    let sum = root_checksum(whole, crc)?;
    put(whole, AT_CRC, &sum.to_le_bytes())
}

/// The length of the root, which has a header at least.
fn length(root: &[u8]) -> Result<usize, WireError> {
    match usize::try_from(get_u64(root, AT_LEN)?) {
        Ok(len) if len >= HEADER_LEN => Ok(len),
        _ => Err(WireError::Truncated),
    }
}

fn body_length(root: &[u8]) -> Result<usize, WireError> {
    usize::try_from(get_u64(root, AT_BODY_LEN)?).map_err(|_| WireError::Malformed)
}

/// The checksum of exactly these bytes, its own field taken as zero.
fn root_checksum(whole: &[u8], crc: Crc) -> Result<u32, WireError> {
    let before = whole.get(..AT_CRC).ok_or(WireError::Truncated)?;
    let after = whole.get(HEADER_LEN..).ok_or(WireError::Truncated)?;
    Ok(!crc(crc(crc(!0, before), &[0; HEADER_LEN - AT_CRC]), after))
}
