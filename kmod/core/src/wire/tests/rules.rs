// SPDX-License-Identifier: GPL-2.0

//! Each rule of records, one by one.

extern crate std;

use super::super::{write::fit_object, *};
use super::model::*;
use std::{vec, vec::Vec};

const PAGE: Extent = Extent {
    page: 0,
    pfn: 3,
    folios: 1,
    order: 0,
};

fn one(thing: Thing, extra: &[(u16, bool)]) -> Vec<Thing> {
    let mut sample = Sample::from(thing);
    sample.extra = extra
        .iter()
        .map(|(kind, required)| (*kind, *required, vec![1]))
        .collect();
    let body = write(&[sample]);
    walk(&root_of(&body, 1), &body).unwrap()
}

fn with_pages(head: Head) -> Thing {
    Thing {
        head,
        pages: Some((1, vec![PAGE])),
        ..file()
    }
}

#[test]
fn an_unknown_attribute_refuses_its_object_only_if_required() {
    assert_eq!(
        one(file(), &[(21, false), (0xffff, false)])[0].refused,
        None
    );
    assert_eq!(
        one(file(), &[(21, false), (30, true), (31, true)])[0].refused,
        Some(30)
    );
    let refused = one(with_pages(file().head), &[(21, true)]);
    assert_eq!(
        refused[0].pages,
        Some((1, vec![PAGE])),
        "its pages can be released"
    );
    // The others are not concerned.
    let mut refusing = Sample::from(file());
    refusing.extra = vec![(21, true, vec![])];
    let body = write(&[file().into(), refusing, file().into()]);
    let things = walk(&root_of(&body, 1), &body).unwrap();
    let refused: Vec<_> = things.iter().map(|thing| thing.refused).collect();
    assert_eq!(refused, [None, Some(21), None]);
}

#[test]
fn an_unknown_object_is_refused_only_if_required() {
    for kind in 4..16 {
        for required in [false, true] {
            let mut sample = Sample::from(with_pages(Head::Unknown(kind)));
            sample.required = required;
            let body = write(&[sample]);
            let things = walk(&root_of(&body, 1), &body).unwrap();
            assert_eq!(things[0].head, Head::Unknown(kind));
            assert_eq!(things[0].refused, required.then_some(kind));
            assert_eq!(
                things[0].pages,
                Some((1, vec![PAGE])),
                "its pages can be released"
            );
        }
    }
}

/// A record as nobody writes it, an object's without length and checksum.
fn record(kind: u16, flags: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = kind.to_le_bytes().to_vec();
    bytes.extend(flags.to_le_bytes());
    bytes.extend((payload.len() as u32).to_le_bytes());
    if kind < kind::ATTRIBUTES {
        bytes.extend([0; 8]);
    }
    bytes.extend(payload);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

fn parse(records: &[Vec<u8>]) -> Result<Vec<Thing>, WireError> {
    let (mut body, mut objects) = (Vec::new(), Vec::new());
    for record in records {
        let kind = u16::from_le_bytes([record[0], record[1]]);
        if kind < kind::ATTRIBUTES {
            objects.push(body.len());
        }
        body.extend(record);
    }
    objects.push(body.len());
    for bounds in objects.windows(2) {
        fit_object(&mut body[bounds[0]..bounds[1]], crc::crc32c).unwrap();
    }
    let root = root_of(&body, 1);
    walk(&root, &body)
}

fn a_file() -> Vec<u8> {
    record(kind::FILE, 0, b"\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0x")
}

#[test]
fn the_order_and_number_of_records() {
    let eventfd = || record(kind::EVENTFD, 0, &[0; 16]);
    assert_eq!(parse(&[]), Ok(vec![]));
    assert!(parse(&[a_file(), eventfd(), a_file(), eventfd()]).is_ok());
    let twice = parse(&[a_file(), eventfd(), record(21, 0, &[]), eventfd()]);
    assert_eq!(twice, Err(WireError::Malformed));
    assert_eq!(
        parse(&[eventfd()]),
        Err(WireError::Malformed),
        "of no object"
    );
    assert_eq!(
        parse(&[record(0, 0, &[])]),
        Err(WireError::Malformed),
        "kind zero"
    );
    assert!(
        parse(&[a_file(), record(21, 0, &[]), record(21, 0, &[])]).is_ok(),
        "unknown twice"
    );
}

#[test]
fn the_header_of_a_record() {
    assert_eq!(
        parse(&[a_file(), record(21, 2, &[])]),
        Err(WireError::Malformed),
        "a flag"
    );
    let mut unpadded = a_file();
    unpadded[39] = 1;
    assert_eq!(parse(&[unpadded]), Err(WireError::Malformed));
    let mut long = a_file();
    long[4] = 25;
    assert_eq!(parse(&[long]), Err(WireError::Truncated));
    let mut longest = a_file();
    longest[4..8].fill(0xff);
    assert_eq!(parse(&[longest]), Err(WireError::Truncated));
    assert_eq!(
        parse(&[a_file(), vec![21, 0, 0, 0, 0, 0, 0, 0]]).map(|it| it.len()),
        Ok(1)
    );
}

/// Whether a file with this attribute is well-formed.
pub(super) fn attribute(kind: u16, payload: &[u8]) -> bool {
    let here = parse(&[a_file(), record(kind, 0, payload)]);
    // The same of an object that is not known: its attributes are no less known.
    let there = parse(&[record(15, 1, &[]), record(kind, 0, payload)]);
    assert_eq!(here.is_ok(), there.is_ok());
    here.is_ok()
}

#[test]
fn the_lengths_of_attributes() {
    // Under Miri, which is slow, only those beside a limit.
    let few = |len: &usize| {
        !cfg!(miri) || matches!(len, 7..=9 | 15..=17 | 23..=25 | 32 | 47..=49 | 56..=57 | 311..=312)
    };
    let fixed = [(kind::MEMFD, 24), (kind::EVENTFD, 16), (kind::INSTANCE, 48)];
    for (kind, right) in fixed {
        for len in (0..64).filter(few) {
            assert_eq!(attribute(kind, &vec![0; len]), len == right, "{kind} {len}");
        }
    }
    for len in (0..64).filter(few) {
        assert_eq!(
            attribute(kind::PAGES, &vec![0; len]),
            len == 8,
            "empty extents are none"
        );
    }
    for len in (0..400).filter(few) {
        let mut inode = vec![0; len.min(56)];
        inode.resize(len, b'x');
        assert_eq!(attribute(kind::INODE, &inode), (57..=311).contains(&len));
    }
}

#[test]
fn the_fields_of_attributes() {
    let set = |kind, len: usize, at: usize, bytes: &[u8]| {
        let mut payload = vec![0; len.min(56)];
        payload.resize(len, b'x');
        payload[at..at + bytes.len()].copy_from_slice(bytes);
        attribute(kind, &payload)
    };
    assert!(!set(kind::EVENTFD, 16, 12, &[1]), "zero");
    assert!(!set(kind::MEMFD, 24, 20, &[1]), "zero");
    assert!(!set(kind::INSTANCE, 48, 28, &[1]), "zero");
    assert!(set(kind::INSTANCE, 48, 24, &[1]), "a key");
    assert!(!set(kind::INSTANCE, 48, 24, &[2]));
    assert!(
        !set(kind::INSTANCE, 48, 47, &[1]),
        "a key where there is none"
    );
    assert!(!set(kind::INODE, 60, 12, &[1]), "zero");
    assert!(!set(kind::INODE, 60, 52, &[1]), "zero");
    for at in [40, 44, 48] {
        assert!(set(kind::INODE, 60, at, &999_999_999u32.to_le_bytes()));
        assert!(!set(kind::INODE, 60, at, &1_000_000_000u32.to_le_bytes()));
    }
    for bad in ["a/b.", "/...", "ab\0c"] {
        assert!(!set(kind::INODE, 60, 56, bad.as_bytes()));
    }
    assert!(!set(kind::INODE, 57, 56, b"."));
    assert!(!set(kind::INODE, 58, 56, b".."));
    assert!(set(kind::INODE, 59, 56, b"..."));
}

#[test]
fn the_fields_of_objects() {
    let object = |kind, fields: usize, name: &[u8], face: u8| {
        let mut payload = vec![0; fields];
        if fields >= 9 && kind == kind::SESSION {
            payload[8] = face;
        }
        payload.extend(name);
        parse(&[record(kind, 0, &payload)]).is_ok()
    };
    for (kind, fields, least) in [
        (kind::SESSION, 16, 0),
        (kind::FILE, 16, 1),
        (kind::SUBSYSTEM, 8, 1),
    ] {
        for len in 0..70 {
            let right = (least..=63).contains(&len);
            assert_eq!(
                object(kind, fields, &vec![b'x'; len], 1),
                right,
                "{kind} {len}"
            );
        }
        for short in 0..fields {
            assert!(!object(kind, short, b"", 1));
        }
        assert!(!object(kind, fields, b"a\0", 1));
        assert_eq!(object(kind, fields, b"a/b", 1), kind == kind::FILE);
    }
    for face in 0..9 {
        assert_eq!(
            object(kind::SESSION, 16, b"", face),
            (1..=3).contains(&face)
        );
    }
}
