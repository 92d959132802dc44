// SPDX-License-Identifier: GPL-2.0

//! The checksum.

/// A function that takes bytes into the register of a CRC-32C (Castagnoli), which it neither
/// inverts before nor after: as the kernel's `crc32c()`.
pub type Crc = fn(seed: u32, bytes: &[u8]) -> u32;

/// The checksum of these bytes.
pub fn checksum(crc: Crc, bytes: &[u8]) -> u32 {
    !crc(!0, bytes)
}

/// A [`Crc`] for everywhere: eight bytes at a time.
pub fn crc32c(seed: u32, bytes: &[u8]) -> u32 {
    let (mut crc, mut rest) = (seed, bytes);
    while let Some((eight, after)) = rest.split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*eight) ^ u64::from(crc);
        let [a, b, c, d, e, f, g, h] = word.to_le_bytes();
        crc = entry(7, a) ^ entry(6, b) ^ entry(5, c) ^ entry(4, d);
        crc ^= entry(3, e) ^ entry(2, f) ^ entry(1, g) ^ entry(0, h);
        rest = after;
    }
    rest.iter().fold(crc, |crc, byte| {
        let [low, ..] = crc.to_le_bytes();
        entry(0, low ^ byte) ^ (crc >> 8)
    })
}

/// What a byte becomes when so many more have followed it. Inlined, both lookups are in bounds
/// for the compiler too.
#[inline(always)]
fn entry(after: usize, byte: u8) -> u32 {
    TABLES
        .get(after)
        .and_then(|table| table.get(usize::from(byte)))
        .copied()
        .unwrap_or(0)
}

static TABLES: [[u32; 256]; 8] = {
    let mut tables = [[0; 256]; 8];
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
        tables[0][i] = crc;
        i += 1;
    }
    i = 0;
    while i < 256 {
        let mut after = 1;
        while after < 8 {
            let crc = tables[after - 1][i];
            tables[after][i] = crc >> 8 ^ tables[0][(crc & 255) as usize];
            after += 1;
        }
        i += 1;
    }
    tables
};
