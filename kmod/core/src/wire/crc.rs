// SPDX-License-Identifier: GPL-2.0

//! The checksum.

use super::{AT_CRC, HEADER_LEN};

/// CRC-32C (Castagnoli), with the header's checksum field taken as zero.
pub(super) fn checksum(whole: &[u8]) -> u32 {
    let before = whole.get(..AT_CRC).unwrap_or(whole);
    let after = whole.get(HEADER_LEN..).unwrap_or(&[]);
    // The field is the header's last; something shorter has none.
    let field: &[u8] = if whole.len() >= HEADER_LEN {
        &[0; HEADER_LEN - AT_CRC]
    } else {
        &[]
    };
    !update(update(update(!0, before), field), after)
}

fn update(crc: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(crc, |crc, byte| {
        // A u8 is always in the bounds of 256.
        TABLE[usize::from(crc as u8 ^ byte)] ^ (crc >> 8)
    })
}

static TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let mut crc = i as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 != 0 {
                crc >> 1 ^ 0x82f6_3b78
            } else {
                crc >> 1
            };
            bit += 1;
        }
        table[i] = crc;
        i += 1;
    }
    table
};
