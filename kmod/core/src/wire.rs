// SPDX-License-Identifier: GPL-2.0

//! The description that one kernel leaves for the next, byte by byte.
//!
//! It has a root, one block that is published, and a body of records, whose memory the root
//! names in pieces. Everything is little-endian and without padding but where it is said;
//! offsets are in bytes; a field that is said to be zero must be.
//!
//! # Root
//!
//! | at | type | what |
//! |----|------|------|
//! |  0 | 8 B  | magic `LULABKHO` |
//! |  8 | u32  | version, 3; of another version nothing may be restored |
//! | 12 | u32  | length of this header, 64 |
//! | 16 | u64  | length of the root, this header included |
//! | 24 | u32  | phase: 1 prepared, 2 frozen; only a frozen description may be restored |
//! | 28 | u32  | number of pieces |
//! | 32 | u64  | generation, from 1, one more at every handover |
//! | 40 | u32  | page shift, the unit of frame numbers |
//! | 44 | u32  | framing, 1; another one promises nothing about the rest |
//! | 48 | u64  | length of the body, a multiple of 8 |
//! | 56 | u32  | zero |
//! | 60 | u32  | CRC-32C of the root, this field taken as zero |
//!
//! The framing is the root, the headers of objects and attributes, and attribute 16: all that it
//! takes to release the pages of a description whose version is not known.
//!
//! A root that is prepared and has no body is empty: its kernel had nothing to hand over.
//! A block is published whose second half is the same once more, for when the first is damaged.
//!
//! Then the pieces, 16 bytes each: the body's memory in the body's order. Together they are at
//! least as long as the body, without the last one they are shorter.
//!
//! | at | type | what |
//! |----|------|------|
//! |  0 | u64  | first page frame, a multiple of `1 << order` |
//! |  8 | u32  | order: a piece has `1 << order` pages |
//! | 12 | u32  | where in it the first object begins that begins in it; all ones if none does |
//!
//! # Body
//!
//! Objects, each followed by its attributes. Both are records: a header, its payload, and zeros
//! up to a multiple of 8:
//!
//! | at | type | what |
//! |----|------|------|
//! |  0 | u16  | kind, not zero; up to 15 of an object, from 16 on of an attribute |
//! |  2 | u16  | flags: bit 0 required, the others zero |
//! |  4 | u32  | length of the payload |
//! |  8 | u32  | of an object alone: its length, all of its attributes included |
//! | 12 | u32  | of an object alone: CRC-32C of all that, this field taken as zero |
//!
//! So each object is sound or damaged by itself. A description with a damaged one is refused as a
//! whole, and the pages of the others are released.
//!
//! A kind that a reader does not know may be skipped unless it is required. A required attribute
//! that is not known refuses its object, a required object that is not known itself: neither
//! refuses the rest of the description. Known attributes come once in an object, in any order.
//! Which of them an object has, and that ids and tokens are unique, is up to who writes it.
//!
//! | kind | payload of an object |
//! |------|------|
//! |  1 session   | u64 id; u32 face: 1 device, 2 session file, 3 instance of kexecfs; u32 owner's uid; name, 0 to 63 bytes |
//! |  2 file      | u64 token, zero if it has a name in an instance; u64 id of its session; compatible string, 1 to 63 bytes |
//! |  3 subsystem | u64 data; name, 1 to 63 bytes |
//!
//! | kind | payload of an attribute |
//! |------|------|
//! | 16 pages    | u64 size of the file in bytes, less than `1 << 63`; extents |
//! | 17 inode    | u32 mode, u32 uid, u32 gid, u32 zero; i64 atime, i64 mtime, i64 ctime in seconds; u32 of each of these in nanoseconds, u32 zero; name, 1 to 255 bytes |
//! | 18 memfd    | u64 position, u32 seals, u32 flags of the open file, u32 mode with the file's type, u32 zero |
//! | 19 eventfd  | u64 count, u32 flags, u32 zero |
//! | 20 instance | u64 limit in bytes, u32 huge, u32 mode, u32 uid, u32 gid, u32 has a key (0, 1), u32 zero, 16 B key, zero without one |
//!
//! No string has a zero byte, and no name a slash; a name of an inode is not `.` or `..`.
//!
//! An extent is 24 bytes: folios of one order, next to one another in memory and in the file.
//! They ascend in the file and do not overlap there; between them, and after them up to the
//! file's size, are holes. The last folio may be larger than what is left of the file.
//!
//! | at | type | what |
//! |----|------|------|
//! |  0 | u64  | first page in the file, a multiple of the folio's size |
//! |  8 | u64  | first page frame, a multiple of the folio's size |
//! | 16 | u32  | number of folios, not zero |
//! | 20 | u32  | order: a folio has `1 << order` pages |

#[path = "wire/attribute.rs"]
mod attribute;
#[path = "wire/crc.rs"]
pub mod crc;
#[path = "wire/damage.rs"]
mod damage;
#[path = "wire/object.rs"]
mod object;
#[path = "wire/pages.rs"]
mod pages;
#[path = "wire/read.rs"]
mod read;
#[path = "wire/root.rs"]
mod root;
#[path = "wire/salvage.rs"]
mod salvage;
#[path = "wire/write.rs"]
mod write;

pub use attribute::{Eventfd, Inode, Instance, Memfd};
pub use crc::Crc;
pub use damage::Damage;
pub use object::{Face, File, Kind, Session, Subsystem};
pub use pages::{folio_pages, Extent, Folio, Joiner, Pages};
pub use read::{Body, Object};
pub use root::{double, root_len, seal_root, write_root, Phase, Piece, Root};
pub use salvage::salvage;
pub use write::{BodyWriter, Measure, Sink, Slice};

/// The length of the root's header.
pub const HEADER_LEN: usize = 64;
/// The length of a piece.
pub const PIECE_LEN: usize = 16;
/// The length of an extent.
pub const EXTENT_LEN: usize = 24;
/// The only version that this code knows.
pub const VERSION: u32 = 3;
/// The only framing that this code knows.
pub const FRAMING: u32 = 1;
/// No kernel has larger folios (the largest contiguous block there is).
pub const MAX_ORDER: u32 = 20;
/// The longest name of a session or subsystem, and the longest compatible string.
pub const MAX_NAME: usize = 63;
/// The longest name of a file.
pub const MAX_FILE_NAME: usize = 255;

/// The kinds of records.
pub mod kind {
    /// An object: files that are preserved together.
    pub const SESSION: u16 = 1;
    /// An object: a preserved file.
    pub const FILE: u16 = 2;
    /// An object: another module's number.
    pub const SUBSYSTEM: u16 = 3;
    /// The first kind that is an attribute.
    pub const ATTRIBUTES: u16 = 16;
    /// An attribute: where the contents are.
    pub const PAGES: u16 = 16;
    /// An attribute: a file's name and times in an instance.
    pub const INODE: u16 = 17;
    /// An attribute: what else a memfd has.
    pub const MEMFD: u16 = 18;
    /// An attribute: all that an eventfd has.
    pub const EVENTFD: u16 = 19;
    /// An attribute: how an instance of kexecfs was mounted.
    pub const INSTANCE: u16 = 20;
}

/// The only flag of a record: who does not know it must not restore its object.
const REQUIRED: u16 = 1;
/// The length of an attribute's header.
const ATTRIBUTE_HEAD: usize = 8;
/// The length of an object's header.
const OBJECT_HEAD: usize = 16;
/// Where in that its length is, and its checksum.
const AT_OBJECT_LEN: usize = 8;
const AT_OBJECT_CRC: usize = 12;
/// Physical addresses have 52 bits at most wherever this runs.
const MAX_PFN: u64 = 1 << 52;

/// Why a description cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireError {
    /// No magic: this is something else.
    NotOurs,
    /// A version that this code does not know; its pages can be released.
    Version(u32),
    /// A framing that this code does not know: nothing else can be read.
    Framing(u32),
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
            WireError::Framing(_) => "another framing",
            WireError::Truncated => "truncated",
            WireError::Checksum => "wrong checksum",
            WireError::Malformed => "malformed",
            WireError::Full => "no room",
        }
    }
}

/// What must hold or is malformed.
fn ensure(holds: bool) -> Result<(), WireError> {
    if holds {
        Ok(())
    } else {
        Err(WireError::Malformed)
    }
}

/// How many zeros follow so many bytes.
fn padding(len: usize) -> usize {
    len.wrapping_neg() & 7
}

#[inline]
fn put(buf: &mut [u8], at: usize, bytes: &[u8]) -> Result<(), WireError> {
    let end = at.checked_add(bytes.len()).ok_or(WireError::Full)?;
    let room = buf.get_mut(at..end).ok_or(WireError::Full)?;
    // Of one length, which spares `copy_from_slice` its way to panic.
    room.iter_mut()
        .zip(bytes)
        .for_each(|(to, from)| *to = *from);
    Ok(())
}

fn get<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], WireError> {
    let rest = bytes.get(at..).ok_or(WireError::Truncated)?;
    rest.first_chunk::<N>().copied().ok_or(WireError::Truncated)
}

fn get_u16(bytes: &[u8], at: usize) -> Result<u16, WireError> {
    Ok(u16::from_le_bytes(get(bytes, at)?))
}

fn get_u32(bytes: &[u8], at: usize) -> Result<u32, WireError> {
    Ok(u32::from_le_bytes(get(bytes, at)?))
}

fn get_u64(bytes: &[u8], at: usize) -> Result<u64, WireError> {
    Ok(u64::from_le_bytes(get(bytes, at)?))
}

fn get_i64(bytes: &[u8], at: usize) -> Result<i64, WireError> {
    Ok(i64::from_le_bytes(get(bytes, at)?))
}

#[cfg(test)]
#[path = "wire/tests.rs"]
mod tests;
