// SPDX-License-Identifier: GPL-2.0

//! The format is these bytes, in every later version of this code that calls it version 3.

extern crate std;

use super::super::{crc::crc32c, *};
use super::model::{root_of, SHIFT};
use std::{vec, vec::Vec};

/// Bytes from their hexadecimal digits, between which anything may stand.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |two: &[u8]| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

fn body() -> Vec<u8> {
    let mut body = vec![0xee; 600];
    let mut slice = Slice::new(&mut body, 0);
    let mut w = BodyWriter::new(&mut slice, SHIFT, crc32c);
    describe(&mut w).unwrap();
    w.finish().unwrap();
    let len = slice.position();
    body.truncate(len);
    body
}

fn describe(w: &mut BodyWriter<'_>) -> Result<(), WireError> {
    w.session(&Session {
        id: 0x0102_0304_0506_0708,
        face: Face::Instance,
        owner: 1000,
        name: b"vm",
    })?;
    w.instance(&Instance {
        limit: 0x1122_3344_5566_7788,
        huge: 1,
        mode: 0o1777,
        uid: 0x21,
        gid: 0x22,
        key: Some(*b"0123456789abcdef"),
    })?;
    w.session(&Session {
        id: 2,
        face: Face::Device,
        owner: 0,
        name: b"",
    })?;
    w.instance(&Instance {
        limit: 1,
        huge: 0,
        mode: 0,
        uid: 0,
        gid: 0,
        key: None,
    })?;
    w.file(&File {
        token: 0x8877_6655_4433_2211,
        session: 2,
        compatible: b"kexecfs",
    })?;
    w.pages(0x3f_ffff, 2)?;
    w.extent(&Extent {
        page: 0,
        pfn: 0x1200,
        folios: 1,
        order: 9,
    })?;
    w.extent(&Extent {
        page: 0x3fe,
        pfn: 0x77,
        folios: 2,
        order: 0,
    })?;
    w.inode(&Inode {
        mode: 0o100_600,
        uid: 0x31,
        gid: 0x32,
        atime: -2,
        mtime: 0x41,
        ctime: 0x42,
        atime_nsec: 0x51,
        mtime_nsec: 0x52,
        ctime_nsec: 0x53,
        name: b"ram",
    })?;
    w.file(&File {
        token: 9,
        session: 2,
        compatible: b"m",
    })?;
    w.memfd(&Memfd {
        pos: 0x61,
        seals: 0x62,
        flags: 0x63,
        mode: 0x64,
    })?;
    w.eventfd(&Eventfd {
        count: 0x71,
        flags: 0x72,
    })?;
    w.subsystem(&Subsystem {
        data: 0x81,
        name: b"clock",
    })?;
    w.unknown(21, false, b"")?;
    w.unknown(15, true, b"?")
}

#[test]
fn the_bytes_of_a_body() {
    let expected = "
        0100 0100 12000000 60000000 2d8c8381 | 0807060504030201 03000000 e8030000 766d | 000000000000
        1400 0100 30000000 | 8877665544332211 01000000 ff030000 21000000 22000000 01000000 00000000
            30313233343536373839616263646566
        0100 0100 10000000 58000000 1add0a73 | 0200000000000000 01000000 00000000
        1400 0100 30000000 | 0100000000000000 00000000 00000000 00000000 00000000 00000000 00000000
            00000000000000000000000000000000
        0200 0100 17000000 b0000000 48273125 | 1122334455667788 0200000000000000 6b657865636673 | 00
        1000 0100 38000000 | ffff3f0000000000
            0000000000000000 0012000000000000 01000000 09000000
            fe03000000000000 7700000000000000 02000000 00000000
        1100 0100 3b000000 | 80810000 31000000 32000000 00000000
            feffffffffffffff 4100000000000000 4200000000000000
            51000000 52000000 53000000 00000000 72616d | 0000000000
        0200 0100 11000000 60000000 1e424a00 | 0900000000000000 0200000000000000 6d | 00000000000000
        1200 0100 18000000 | 6100000000000000 62000000 63000000 64000000 00000000
        1300 0100 10000000 | 7100000000000000 72000000 00000000
        0300 0100 0d000000 28000000 1403399c | 8100000000000000 636c6f636b | 000000
        1500 0000 00000000
        0f00 0100 01000000 18000000 70f082a8 | 3f | 00000000000000";
    assert_eq!(body(), hex(expected));
}

#[test]
fn the_bytes_of_a_root() {
    let body = body();
    let mut root = [0xee; 100];
    let pieces = [
        Piece {
            pfn: 0xa_bcde,
            order: 0,
        },
        Piece {
            pfn: 0x1_2340,
            order: 4,
        },
    ];
    // One object begins in the first piece, and none in the second.
    let mut long = vec![0; 0x1_0008];
    long[8..12].copy_from_slice(&0x1_0008u32.to_le_bytes());
    let len = write_root(&mut root, 7, SHIFT, pieces.into_iter(), &long, crc32c).unwrap();
    let expected = "
        4c554c41424b484f 03000000 40000000 6000000000000000 01000000 02000000
        0700000000000000 0c000000 01000000 0800010000000000 00000000 e554fc15
        debc0a0000000000 00000000 00000000
        4023010000000000 04000000 ffffffff";
    assert_eq!(root[..len], hex(expected));
    assert!(
        root[len..].iter().all(|byte| *byte == 0xee),
        "nothing else is touched"
    );

    let sealed = root_of(&body, 7);
    let expected = "
        4c554c41424b484f 03000000 40000000 5000000000000000 02000000 01000000
        0700000000000000 0c000000 01000000 0802000000000000 00000000 9d08ce48
        0001000000000000 00000000 00000000";
    assert_eq!(sealed, hex(expected));
}
