// SPDX-License-Identifier: GPL-2.0

//! Damage done to a description on purpose, to test whoever reads it.

use super::read::{length_by_header, object_checksum};
use super::{get_u16, kind, put, root, Crc, Face, WireError, FRAMING, VERSION};
use super::{AT_OBJECT_CRC, AT_OBJECT_LEN, OBJECT_HEAD};

/// What a test wants to be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// Bits of the body.
    Body,
    /// The same, and the checksums of its objects made to fit.
    BodyFitting,
    /// Bits of the root and of its double.
    Root,
    /// The same, and the checksums made to fit.
    RootFitting,
    /// No file is of a sort that the reader has a handler for.
    NoHandler,
    /// All files are objects of a kind that the reader does not know.
    NoKind,
    /// All sessions are instances, also those of which nothing tells how they were mounted.
    NoInstance,
    /// The version is one that the reader does not know.
    Version,
    /// Bits of the root, not of its double.
    FirstRoot,
    /// The framing is one that the reader does not know.
    Framing,
}

/// No object has it.
const UNKNOWN: u16 = 15;
/// Where in a file its compatible string begins.
const COMPATIBLE: usize = OBJECT_HEAD + 16;
/// Where in a session its face is.
const FACE: usize = OBJECT_HEAD + 8;

impl Damage {
    /// From a number: the low four bits say what, 1 to 10, and the others are a seed.
    pub fn of(number: u64) -> Option<(Self, u64)> {
        let what = match number & 15 {
            1 => Damage::Body,
            2 => Damage::BodyFitting,
            3 => Damage::Root,
            4 => Damage::RootFitting,
            5 => Damage::NoHandler,
            6 => Damage::NoKind,
            7 => Damage::NoInstance,
            8 => Damage::Version,
            9 => Damage::FirstRoot,
            10 => Damage::Framing,
            _ => return None,
        };
        Some((what, number >> 4))
    }

    /// Once the body is written. It has no room beyond its end.
    pub fn in_body(self, seed: u64, body: &mut [u8], crc: Crc) -> Result<(), WireError> {
        let len = body.len();
        match self {
            Damage::Body => flip(body, bits(seed, len)),
            Damage::BodyFitting => each_object(body, crc, |object, at| {
                let own = bits(seed, len).filter_map(|bit| bit.checked_sub(at.saturating_mul(8)));
                // Where length and checksum are nothing fits whatever is done.
                let head = AT_OBJECT_LEN * 8..OBJECT_HEAD * 8;
                flip(object, own.filter(|bit| !head.contains(bit)));
                Ok(())
            })?,
            Damage::NoHandler => each(kind::FILE, body, crc, |file| put(file, COMPATIBLE, b"?"))?,
            Damage::NoKind => each(kind::FILE, body, crc, |file| {
                put(file, 0, &UNKNOWN.to_le_bytes())
            })?,
            Damage::NoInstance => each(kind::SESSION, body, crc, |session| {
                put(session, FACE, &(Face::Instance as u32).to_le_bytes())
            })?,
            Damage::Root
            | Damage::RootFitting
            | Damage::Version
            | Damage::FirstRoot
            | Damage::Framing => {}
        }
        Ok(())
    }

    /// Once the root is sealed and doubled, in a block of two halves.
    pub fn in_root(self, seed: u64, block: &mut [u8], crc: Crc) {
        let (first, second) = block.split_at_mut(block.len() / 2);
        let halves = if self == Damage::FirstRoot { 1 } else { 2 };
        for half in [first, second].into_iter().take(halves) {
            // One that is damaged beyond fitting is no reason to spare the other.
            _ = root::cut(half).and_then(|root| self.in_one_root(seed, root, crc));
        }
    }

    fn in_one_root(self, seed: u64, root: &mut [u8], crc: Crc) -> Result<(), WireError> {
        let bits = bits(seed, root.len());
        match self {
            Damage::Root | Damage::FirstRoot => flip(root, bits),
            Damage::RootFitting => {
                flip(root, bits);
                root::fit(root, crc)?;
            }
            Damage::Version => {
                put(root, root::AT_VERSION, &(VERSION + 1).to_le_bytes())?;
                root::fit(root, crc)?;
            }
            Damage::Framing => put(root, root::AT_FRAMING, &(FRAMING + 1).to_le_bytes())?,
            _ => {}
        }
        Ok(())
    }
}

/// One bit of so many bytes, or three: an odd number, so that never all of them are turned back.
fn bits(seed: u64, bytes: usize) -> impl Iterator<Item = usize> {
    let mut random = seed;
    (0..(seed & 2 | 1)).filter_map(move |_| {
        random = mix(random);
        let bits = u64::try_from(bytes).ok()?.checked_mul(8)?;
        usize::try_from(random.checked_rem(bits)?).ok()
    })
}

/// Turns these bits round, as far as they are there.
fn flip(bytes: &mut [u8], bits: impl Iterator<Item = usize>) {
    for bit in bits {
        if let Some(byte) = bytes.get_mut(bit >> 3) {
            *byte ^= 1 << (bit & 7);
        }
    }
}

/// SplitMix64, one step.
fn mix(state: u64) -> u64 {
    let z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Does something to each object of one kind in a body that is whole.
fn each(
    which: u16,
    body: &mut [u8],
    crc: Crc,
    change: impl Fn(&mut [u8]) -> Result<(), WireError>,
) -> Result<(), WireError> {
    each_object(body, crc, |object, _| {
        if get_u16(object, 0)? == which {
            change(object)?;
        }
        Ok(())
    })
}

/// Does something to each object, told where it is, and makes its checksum fit.
fn each_object(
    body: &mut [u8],
    crc: Crc,
    change: impl Fn(&mut [u8], usize) -> Result<(), WireError>,
) -> Result<(), WireError> {
    let mut at = 0usize;
    while let Some(rest) = body.get_mut(at..).filter(|rest| !rest.is_empty()) {
        let len = length_by_header(rest)?;
        let object = rest.get_mut(..len).ok_or(WireError::Truncated)?;
        change(object, at)?;
        let sum = object_checksum(object, crc)?;
        put(object, AT_OBJECT_CRC, &sum.to_le_bytes())?;
        at = at.saturating_add(len);
    }
    Ok(())
}
