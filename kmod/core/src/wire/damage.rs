// SPDX-License-Identifier: GPL-2.0

//! Damage done to a description on purpose, to test whoever reads it.

use super::{get_u16, get_u32, kind, padding, put, root, seal_body};
use super::{Crc, Face, WireError, RECORD_LEN, VERSION};

/// What a test wants to be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// Bits of the body.
    Body,
    /// The same, and the checksum made to fit.
    BodyFitting,
    /// Bits of the root.
    Root,
    /// The same, and the checksum made to fit.
    RootFitting,
    /// No file is of a sort that the reader has a handler for.
    NoHandler,
    /// All files are objects of a kind that the reader does not know.
    NoKind,
    /// All sessions are instances, also those of which nothing tells how they were mounted.
    NoInstance,
    /// The version is one that the reader does not know.
    Version,
}

/// No object has it.
const UNKNOWN: u16 = 15;
/// Where in the payload of a file its compatible string begins.
const COMPATIBLE: usize = 16;
/// Where in the payload of a session its face is.
const FACE: usize = 8;

impl Damage {
    /// From a number: the low four bits say what, 1 to 8, and the others are a seed.
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
            _ => return None,
        };
        Some((what, number >> 4))
    }

    /// Once the body is sealed. `body` has no room beyond its end.
    pub fn in_body(
        self,
        seed: u64,
        root: &mut [u8],
        body: &mut [u8],
        crc: Crc,
    ) -> Result<(), WireError> {
        match self {
            Damage::Body => {
                flip(seed, body);
                return Ok(());
            }
            Damage::BodyFitting => flip(seed, body),
            Damage::NoHandler => each(kind::FILE, body, |body, at| {
                put(body, at.saturating_add(RECORD_LEN + COMPATIBLE), b"?")
            })?,
            Damage::NoKind => each(kind::FILE, body, |body, at| {
                put(body, at, &UNKNOWN.to_le_bytes())
            })?,
            Damage::NoInstance => each(kind::SESSION, body, |body, at| {
                let face = Face::Instance as u32;
                put(
                    body,
                    at.saturating_add(RECORD_LEN + FACE),
                    &face.to_le_bytes(),
                )
            })?,
            Damage::Root | Damage::RootFitting | Damage::Version => return Ok(()),
        }
        seal_body(root, body, crc)
    }

    /// Once the root is sealed. It has no room beyond its end.
    pub fn in_root(self, seed: u64, root: &mut [u8], crc: Crc) -> Result<(), WireError> {
        match self {
            Damage::Root => flip(seed, root),
            Damage::RootFitting => {
                flip(seed, root);
                root::fit(root, crc)?;
            }
            Damage::Version => put(root, root::AT_VERSION, &(VERSION + 1).to_le_bytes())?,
            _ => {}
        }
        Ok(())
    }
}

/// Turns one bit round, or three: an odd number, so that never all of them are turned back.
fn flip(seed: u64, bytes: &mut [u8]) {
    let Ok(bits) = u64::try_from(bytes.len()).map(|len| len.saturating_mul(8)) else {
        return;
    };
    let mut random = seed;
    for _ in 0..(seed & 2 | 1) {
        random = mix(random);
        let bit = random.checked_rem(bits).unwrap_or(0);
        if let Some(byte) = usize::try_from(bit >> 3)
            .ok()
            .and_then(|at| bytes.get_mut(at))
        {
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

/// Does something to each object of one kind in a body that is whole, by the place of its record.
fn each(
    which: u16,
    body: &mut [u8],
    change: impl Fn(&mut [u8], usize) -> Result<(), WireError>,
) -> Result<(), WireError> {
    let mut at = 0usize;
    while at < body.len() {
        let kind = get_u16(body, at)?;
        let len = get_u32(body, at.saturating_add(4))? as usize;
        if kind == which {
            change(body, at)?;
        }
        at = at
            .saturating_add(RECORD_LEN)
            .saturating_add(len)
            .saturating_add(padding(len));
    }
    Ok(())
}
