// SPDX-License-Identifier: GPL-2.0

//! Each rule of the root, one by one.

extern crate std;

use super::super::{crc::crc32c, *};
use super::model::*;
use std::vec;

#[test]
fn the_pieces_of_a_body() {
    let pieces = |list: &[(u64, u32)], len: usize| {
        let mut buf = [0; 200];
        let list = list.iter().map(|(pfn, order)| Piece {
            pfn: *pfn,
            order: *order,
        });
        let body = vec![0; len];
        let written = write_root(&mut buf, 1, SHIFT, list.clone(), &body, crc32c);
        // Write it without the writer's checks, too.
        let (mut raw, right) = ([0; 200], root_of(&[], 1));
        raw[..64].copy_from_slice(&right);
        raw[48..56].copy_from_slice(&(len as u64).to_le_bytes());
        let mut at = 64;
        for piece in list {
            raw[at..at + 8].copy_from_slice(&piece.pfn.to_le_bytes());
            raw[at + 8..at + 12].copy_from_slice(&piece.order.to_le_bytes());
            raw[28] += 1;
            at += 16;
        }
        raw[16] = at as u8;
        seal_root(&mut raw, crc32c).unwrap();
        let read = Root::parse(&raw, SHIFT, crc32c).map(|root| root.pieces().count());
        assert_eq!(written.is_ok(), read.is_ok(), "{read:?}");
        read.is_ok()
    };
    assert!(pieces(&[], 0));
    assert!(!pieces(&[], 8));
    assert!(!pieces(&[(1, 0)], 0), "not needed");
    assert!(pieces(&[(1, 0)], 8));
    assert!(!pieces(&[(1, 0)], 7), "not of whole records");
    assert!(pieces(&[(1, 0)], 4096));
    assert!(!pieces(&[(1, 0)], 4104));
    assert!(pieces(&[(1, 0), (8, 3)], 4104));
    assert!(!pieces(&[(8, 3), (1, 0)], 4104), "the last is not needed");
    assert!(!pieces(&[(4, 3)], 8), "not aligned");
    assert!(pieces(&[(0, MAX_ORDER)], 8));
    assert!(!pieces(&[(0, MAX_ORDER + 1)], 8));
    assert!(!pieces(&[(0, u32::MAX)], 8));
    assert!(pieces(&[((1 << 52) - 1, 0)], 8));
    assert!(!pieces(&[(1 << 52, 0)], 8));
    assert!(!pieces(&[(u64::MAX, 0)], 8));
}

#[test]
fn each_error_of_a_root_has_its_cause() {
    let body = write(&[file().into()]);
    let whole = root_of(&body, 1);
    let parse = |at: usize, bytes: &[u8]| {
        let mut copy = whole.clone();
        copy[at..at + bytes.len()].copy_from_slice(bytes);
        let phase = copy[24..28].to_vec();
        if !matches!(at, 16 | 60) {
            seal_root(&mut copy, crc32c).unwrap();
        }
        if phase != [2, 0, 0, 0] {
            // Sealing made it frozen: with that phase, the checksum can only be set by hand.
            copy[24..28].copy_from_slice(&phase);
            let sum = crc32c(crc32c(!0, &copy[..60]), &[0; 4]);
            let sum = !crc32c(sum, &copy[64..]);
            copy[60..64].copy_from_slice(&sum.to_le_bytes());
        }
        Root::parse(&copy, SHIFT, crc32c).map(|_| ()).unwrap_err()
    };
    assert_eq!(parse(0, b"X"), WireError::NotOurs);
    assert_eq!(parse(12, &[65]), WireError::Malformed);
    assert_eq!(parse(16, &[0xff]), WireError::Truncated);
    assert_eq!(parse(16, &[0xff; 8]), WireError::Truncated);
    assert_eq!(
        parse(16, &[0]),
        WireError::Truncated,
        "shorter than a header"
    );
    assert_eq!(parse(16, &[64]), WireError::Checksum);
    assert_eq!(parse(24, &[0]), WireError::Malformed, "no phase");
    assert_eq!(parse(24, &[3]), WireError::Malformed, "an unknown phase");
    assert_eq!(parse(28, &[0]), WireError::Malformed, "a piece not counted");
    assert_eq!(
        parse(28, &[2]),
        WireError::Malformed,
        "a piece that is not there"
    );
    assert_eq!(parse(28, &[0xff; 4]), WireError::Malformed);
    assert_eq!(parse(40, &[13]), WireError::Malformed, "another page size");
    assert_eq!(parse(44, &[0]), WireError::Framing(0));
    assert_eq!(parse(44, &[2]), WireError::Framing(2));
    assert_eq!(parse(48, &[0xff; 8]), WireError::Malformed, "no such body");
    assert_eq!(parse(56, &[1]), WireError::Malformed, "not zero");
    assert_eq!(parse(60, &[0; 4]), WireError::Checksum);
    assert_eq!(
        Root::parse(&whole, 13, crc32c).unwrap_err(),
        WireError::Malformed
    );
}

#[test]
fn phases_and_seals() {
    let body = write(&[file().into()]);
    let mut root = vec![0; 80];
    let piece = Piece { pfn: 1, order: 0 };
    write_root(&mut root, 4, SHIFT, [piece].into_iter(), &body, crc32c).unwrap();
    let phase = |root: &[u8]| Root::parse(root, SHIFT, crc32c).unwrap().phase;
    assert_eq!(phase(&root), Phase::Prepared);
    assert!(walk(&root, &body).is_ok());
    seal_root(&mut root, crc32c).unwrap();
    assert_eq!(phase(&root), Phase::Frozen);
    let sealed = root.clone();
    seal_root(&mut root, crc32c).unwrap();
    assert_eq!(root, sealed, "sealing twice changes nothing");
    assert_eq!(
        seal_root(&mut root[..79], crc32c),
        Err(WireError::Truncated)
    );
    assert_eq!(seal_root(&mut [], crc32c), Err(WireError::Truncated));
    assert_eq!(seal_root(&mut [0; 64], crc32c), Err(WireError::Truncated));
}

#[test]
fn an_empty_root_names_nothing_and_is_not_sealed() {
    let body = write(&[file().into()]);
    let mut root = root_of(&body, 1);
    let empty = |root: &[u8]| Root::parse(root, SHIFT, crc32c).unwrap().is_empty();
    assert!(!empty(&root));
    // What was there before leaves nothing behind.
    let len = write_root(&mut root, 1, SHIFT, [].into_iter(), &[], crc32c).unwrap();
    assert_eq!(len, HEADER_LEN);
    assert!(empty(&root));
    seal_root(&mut root, crc32c).unwrap();
    assert!(!empty(&root), "an update of nothing is an update");
    let piece = Piece { pfn: 1, order: 0 };
    write_root(&mut root, 1, SHIFT, [piece].into_iter(), &body, crc32c).unwrap();
    assert!(!empty(&root), "prepared, and never sealed");
}

#[test]
fn pages_have_a_size_that_can_be() {
    for (shift, right) in [
        (0, true),
        (30, true),
        (31, false),
        (64, false),
        (u32::MAX, false),
    ] {
        let mut root = root_of(&[], 1);
        let written = write_root(&mut root, 1, shift, [].into_iter(), &[], crc32c);
        assert_eq!(written.is_ok(), right);
        // Write it without the writer's checks, too.
        root[40..44].copy_from_slice(&shift.to_le_bytes());
        seal_root(&mut root, crc32c).unwrap();
        assert_eq!(Root::parse(&root, shift, crc32c).is_ok(), right);
    }
}

#[test]
fn another_version_is_read_as_far_as_its_framing_goes() {
    let body = write(&[file().into(), file().into()]);
    for version in [0, VERSION - 1, VERSION + 1, u32::MAX] {
        let mut root = root_of(&body, 1);
        root[8..12].copy_from_slice(&version.to_le_bytes());
        seal_root(&mut root, crc32c).unwrap();
        let root = Root::parse(&root, SHIFT, crc32c).unwrap();
        assert_eq!(root.version, version);
        let refused = Body::parse(&body, &root, crc32c).unwrap_err();
        assert_eq!(refused, WireError::Version(version));
        assert_eq!(salvage(&body, &root, crc32c).count(), 2);
    }
}

#[test]
fn a_root_is_doubled_where_it_fits() {
    let body = write(&[file().into()]);
    let root = root_of(&body, 1);
    for room in [0, 1, root.len() - 1, root.len(), root.len() + 5] {
        let mut block = vec![0; 2 * room];
        let fits = room >= root.len();
        if let Some(first) = block.get_mut(..root.len()).filter(|_| fits) {
            first.copy_from_slice(&root);
        }
        double(&mut block);
        let second = Root::parse(&block[room..], SHIFT, crc32c);
        assert_eq!(second.is_ok(), fits);
    }
}
