// SPDX-License-Identifier: GPL-2.0

//! The description that one kernel leaves for the next, byte by byte.
//!
//! Everything is little-endian and without padding; offsets are in bytes.
//!
//! Header, 64 bytes:
//!
//! | at | type | what |
//! |----|------|------|
//! |  0 | 8 B  | magic `LULABKHO` |
//! |  8 | u32  | version, 1; another version promises nothing about the rest |
//! | 12 | u32  | length of this header, 64 |
//! | 16 | u64  | length of everything, this header included |
//! | 24 | u32  | phase: 1 prepared, 2 frozen; only a frozen description may be restored |
//! | 28 | u32  | number of objects |
//! | 32 | u64  | generation, from 1, one more at every handover |
//! | 40 | u32  | page shift, the unit of frame numbers |
//! | 44 | 16 B | zero |
//! | 60 | u32  | CRC-32C of everything, this field taken as zero |
//!
//! Then the objects, by ascending token. An object is 32 bytes and its extents:
//!
//! | at | type | what |
//! |----|------|------|
//! |  0 | u64  | token, not zero |
//! |  8 | u64  | size of the file in bytes |
//! | 16 | u32  | kind: 1 memory file |
//! | 20 | u32  | number of extents |
//! | 24 | u64  | zero |
//!
//! An extent is 16 bytes: folios of one order, next to one another in memory and in
//! the file. The extents of an object cover its pages exactly, in the file's order.
//!
//! | at | type | what |
//! |----|------|------|
//! |  0 | u64  | first page frame, a multiple of the folio's size |
//! |  8 | u32  | number of folios, not zero |
//! | 12 | u32  | order: a folio has `1 << order` pages |

#[path = "wire/crc.rs"]
mod crc;
#[path = "wire/read.rs"]
mod read;
#[path = "wire/write.rs"]
mod write;

pub use read::{Blob, Object};
pub use write::{seal, Writer};

/// The length of the header.
pub const HEADER_LEN: usize = 64;
/// The length of an object without its extents.
pub const OBJECT_LEN: usize = 32;
/// The length of an extent.
pub const EXTENT_LEN: usize = 16;
/// The only version so far.
pub const VERSION: u32 = 1;
/// No kernel has larger folios (the largest contiguous block there is).
pub const MAX_ORDER: u32 = 20;

const MAGIC: [u8; 8] = *b"LULABKHO";
const KIND_MEMORY: u32 = 1;
const AT_PHASE: usize = 24;
const AT_CRC: usize = 60;
/// Physical addresses have 52 bits at most wherever this runs.
const MAX_PFN: u64 = 1 << 52;

/// Why a description cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireError {
    /// No magic: this is something else.
    NotOurs,
    /// A version that this code does not know.
    Version(u32),
    /// Shorter than it says, or too short to say.
    Truncated,
    /// The checksum is not that of the bytes.
    Checksum,
    /// A field contradicts the format or another field.
    Malformed,
    /// The writer's buffer is too small.
    Full,
}

impl WireError {
    /// A word for the log.
    pub const fn name(self) -> &'static str {
        match self {
            WireError::NotOurs => "not ours",
            WireError::Version(_) => "another version",
            WireError::Truncated => "truncated",
            WireError::Checksum => "wrong checksum",
            WireError::Malformed => "malformed",
            WireError::Full => "no room",
        }
    }
}

/// How far the writer had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Phase {
    /// Complete, not sealed.
    Prepared = 1,
    /// Sealed.
    Frozen = 2,
}

/// How many pages a folio of this order has; one for an order that cannot be.
pub fn folio_pages(order: u32) -> u64 {
    1u64.checked_shl(order).unwrap_or(1)
}

/// A run of folios of one order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The first page frame.
    pub pfn: u64,
    /// How many folios.
    pub folios: u32,
    /// Their order.
    pub order: u32,
}

impl Extent {
    /// How many pages these are, if that is a number.
    pub fn pages(&self) -> Option<u64> {
        if self.order > MAX_ORDER {
            return None;
        }
        u64::from(self.folios).checked_mul(folio_pages(self.order))
    }

    /// Whether folios of this order at this frame, from this page of a file on, can exist.
    fn check(&self, file_page: u64) -> Result<u64, WireError> {
        let pages = self.pages().ok_or(WireError::Malformed)?;
        let mask = folio_pages(self.order).wrapping_sub(1);
        let end = self.pfn.checked_add(pages).ok_or(WireError::Malformed)?;
        if self.folios == 0 || end > MAX_PFN || (self.pfn | file_page) & mask != 0 {
            return Err(WireError::Malformed);
        }
        Ok(pages)
    }
}

/// Joins neighbouring folios to extents.
#[derive(Default)]
pub struct Joiner {
    open: Option<Extent>,
}

impl Joiner {
    /// Takes the next folio of a file; gives an extent that cannot grow any more.
    pub fn push(&mut self, pfn: u64, order: u32) -> Option<Extent> {
        if let Some(open) = &mut self.open {
            let next = open.pages().and_then(|pages| open.pfn.checked_add(pages));
            if open.order == order && next == Some(pfn) && open.folios < u32::MAX {
                open.folios = open.folios.saturating_add(1);
                return None;
            }
        }
        self.open.replace(Extent {
            pfn,
            folios: 1,
            order,
        })
    }

    /// The last extent.
    pub fn finish(&mut self) -> Option<Extent> {
        self.open.take()
    }
}

/// The length of a description of so many objects with so many extents in all.
pub fn length(objects: usize, extents: usize) -> Option<usize> {
    let objects = objects.checked_mul(OBJECT_LEN)?;
    let extents = extents.checked_mul(EXTENT_LEN)?;
    HEADER_LEN.checked_add(objects)?.checked_add(extents)
}

fn put(buf: &mut [u8], at: usize, bytes: &[u8]) -> Result<(), WireError> {
    let end = at.checked_add(bytes.len()).ok_or(WireError::Full)?;
    buf.get_mut(at..end)
        .ok_or(WireError::Full)?
        .copy_from_slice(bytes);
    Ok(())
}

fn get<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], WireError> {
    let rest = bytes.get(at..).ok_or(WireError::Truncated)?;
    rest.first_chunk::<N>().copied().ok_or(WireError::Truncated)
}

fn get_u32(bytes: &[u8], at: usize) -> Result<u32, WireError> {
    Ok(u32::from_le_bytes(get(bytes, at)?))
}

fn get_u64(bytes: &[u8], at: usize) -> Result<u64, WireError> {
    Ok(u64::from_le_bytes(get(bytes, at)?))
}

#[cfg(test)]
#[path = "wire/tests.rs"]
mod tests;
