// SPDX-License-Identifier: GPL-2.0

//! Damage is noticed, and damage with a right checksum does no harm.

extern crate std;

use super::super::{crc::crc32c, *};
use super::model::*;
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use std::vec::Vec;

/// Each one, and a few of them under Miri, which is slow.
const STEP: usize = if cfg!(miri) { 61 } else { 1 };

/// One description with every kind of record.
pub(super) fn everything() -> (Vec<u8>, Vec<u8>) {
    let extent = |page, folios, order| Extent {
        page,
        pfn: 0x1200,
        folios,
        order,
    };
    let inode = Inode {
        mode: 0o100_644,
        uid: 1,
        gid: 2,
        atime: -1,
        mtime: 4,
        ctime: 5,
        atime_nsec: 6,
        mtime_nsec: 7,
        ctime_nsec: 8,
        name: b"",
    };
    let full = Thing {
        pages: Some((0x50_0001, Vec::from([extent(0, 2, 9), extent(0x480, 3, 0)]))),
        inode: Some((inode, b"memory".to_vec())),
        memfd: Some(Memfd {
            pos: 1,
            seals: 2,
            flags: 3,
            mode: 6,
        }),
        eventfd: Some(Eventfd { count: 4, flags: 5 }),
        ..file()
    };
    let session = Thing {
        head: Head::Session(1, Face::Instance, 1000, b"vm".to_vec()),
        instance: Some(Instance {
            limit: 1,
            huge: 1,
            mode: 0o755,
            uid: 3,
            gid: 4,
            key: Some([5; 16]),
        }),
        ..file()
    };
    let subsystem = Thing {
        head: Head::Subsystem(9, b"clock".to_vec()),
        ..file()
    };
    let later = Thing {
        head: Head::Unknown(9),
        ..file()
    };
    let mut samples: Vec<Sample> = [session, full, subsystem, later]
        .into_iter()
        .map(Sample::from)
        .collect();
    samples[1].extra = Vec::from([(77, false, b"abc".to_vec()), (78, true, Vec::new())]);
    let body = write(&samples);
    (root_of(&body, 3), body)
}

#[test]
fn every_cut_is_noticed() {
    let (root, body) = everything();
    assert!(walk(&root, &body).is_ok());
    for at in 0..root.len() {
        assert_eq!(walk(&root[..at], &body), Err(WireError::Truncated));
    }
    for at in 0..body.len() {
        assert_eq!(walk(&root, &body[..at]), Err(WireError::Truncated));
    }
}

#[test]
fn every_flipped_bit_is_noticed() {
    let (mut root, mut body) = everything();
    for bit in (0..root.len() * 8).step_by(STEP) {
        root[bit / 8] ^= 1 << (bit % 8);
        assert!(walk(&root, &body).is_err());
        root[bit / 8] ^= 1 << (bit % 8);
    }
    for bit in (0..body.len() * 8).step_by(STEP) {
        body[bit / 8] ^= 1 << (bit % 8);
        assert!(walk(&root, &body).is_err());
        body[bit / 8] ^= 1 << (bit % 8);
    }
}

/// Gives a body of whatever bytes right checksums and a right root, and reads it, the lengths of
/// its objects as they are and made to fit.
fn read_resealed(body: &[u8]) -> Result<(), WireError> {
    let (mut one, mut other) = (body.to_vec(), body.to_vec());
    fit(&mut one, false);
    fit(&mut other, true);
    read_sealed(&one).and(read_sealed(&other))
}

/// What a reader accepts, a writer could have written.
fn read_sealed(body: &[u8]) -> Result<(), WireError> {
    let pieces = pieces(body);
    let mut root = std::vec![0; root_len(pieces.len()).unwrap()];
    let pieces = pieces.into_iter();
    let _ = write_root(&mut root, 1, SHIFT, pieces, body, crc32c)?;
    seal_root(&mut root, crc32c)?;
    for thing in walk(&root, body)? {
        let mut sample = Sample::from(thing);
        if let Head::Unknown(kind) = sample.thing.head {
            sample.required = sample.thing.refused == Some(kind);
        }
        let again = write(core::slice::from_ref(&sample));
        sample.thing.refused = sample.thing.refused.filter(|kind| *kind < kind::ATTRIBUTES);
        let things = walk(&root_of(&again, 1), &again).unwrap();
        assert_eq!(things, [sample.thing]);
    }
    Ok(())
}

#[test]
fn every_flipped_bit_and_cut_does_no_harm_when_resealed() {
    let (mut root, mut body) = everything();
    for at in (0..=body.len()).step_by(STEP) {
        let _ = read_resealed(&body[..at]);
    }
    for bit in (0..body.len() * 8).step_by(STEP) {
        body[bit / 8] ^= 1 << (bit % 8);
        let _ = read_resealed(&body);
        body[bit / 8] ^= 1 << (bit % 8);
    }
    for bit in (0..root.len() * 8).step_by(STEP) {
        root[bit / 8] ^= 1 << (bit % 8);
        let mut sealed = root.clone();
        // The phase is the seal's, and so is the checksum of the root.
        if seal_root(&mut sealed, crc32c).is_ok() && Root::parse(&sealed, SHIFT, crc32c).is_ok() {
            assert!(matches!(bit / 8, 8..12 | 24..28 | 32..40 | 48..56 | 60..));
            let _ = walk(&sealed, &body);
        }
        root[bit / 8] ^= 1 << (bit % 8);
    }
}

#[derive(Clone, Debug)]
enum Damage {
    Byte(prop::sample::Index, u8),
    Bit(prop::sample::Index, u8),
    /// A number in the place of a field.
    Number(prop::sample::Index, u64, bool),
    /// These words of eight bytes are taken away or doubled.
    Drop(prop::sample::Index, usize),
    Double(prop::sample::Index, usize),
    Cut(prop::sample::Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<prop::sample::Index>;
    let number = prop_oneof![
        Just(0u64),
        Just(1),
        Just(u64::MAX),
        Just(1 << 63),
        Just(1 << 52),
        Just(u64::from(u32::MAX)),
        0u64..64,
        (0u32..64).prop_map(|bit| 1 << bit),
    ];
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, byte)| Damage::Byte(at, byte)),
        (at(), 0u8..8).prop_map(|(at, bit)| Damage::Bit(at, bit)),
        (at(), number, any::<bool>())
            .prop_map(|(at, number, long)| Damage::Number(at, number, long)),
        (at(), 1usize..8).prop_map(|(at, words)| Damage::Drop(at, words)),
        (at(), 1usize..8).prop_map(|(at, words)| Damage::Double(at, words)),
        at().prop_map(Damage::Cut),
    ]
}

fn apply(bytes: &mut Vec<u8>, damage: &Damage) {
    if bytes.len() < 8 {
        return;
    }
    let words = bytes.len() / 8;
    match damage {
        Damage::Byte(at, byte) => {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
        }
        Damage::Bit(at, bit) => {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        Damage::Number(at, number, long) => {
            let len = if *long { 8 } else { 4 };
            let at = at.index(bytes.len() / len) * len;
            bytes[at..at + len].copy_from_slice(&number.to_le_bytes()[..len]);
        }
        Damage::Drop(at, count) => {
            let at = at.index(words);
            bytes.drain(at * 8..(at + count).min(words) * 8);
        }
        Damage::Double(at, count) => {
            let at = at.index(words);
            let again = bytes[at * 8..(at + count).min(words) * 8].to_vec();
            bytes.splice(at * 8..at * 8, again);
        }
        Damage::Cut(at) => {
            let at = at.index(words);
            bytes.truncate(at * 8);
        }
    }
}

/// A liar can compute checksums too: the structure must hold up by itself. The same cases each
/// time, so that a run of all tests says the same each time.
#[test]
fn resealed_damage_does_no_harm() {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(super::cases(20_000), rng);
    let strategy = (samples(), proptest::collection::vec(damage(), 1..6));
    let accepted = core::cell::Cell::new(0u32);
    let run = |(samples, list): (Vec<Sample>, Vec<Damage>)| {
        let mut body = write(&samples);
        list.iter().for_each(|one| apply(&mut body, one));
        accepted.set(accepted.get() + u32::from(read_resealed(&body).is_ok()));
        Ok(())
    };
    runner.run(&strategy, run).unwrap();
    assert!(
        cfg!(miri) || accepted.get() > 0,
        "some damage is another description"
    );
}

proptest! {
    #![proptest_config(super::cases(2_000))]

    #[test]
    fn resealed_damage_of_the_root_does_no_harm(
        samples in samples(),
        list in proptest::collection::vec(damage(), 1..6),
    ) {
        let body = write(&samples);
        let mut root = root_of(&body, 1);
        list.iter().for_each(|one| apply(&mut root, one));
        let _ = seal_root(&mut root, crc32c);
        let _ = walk(&root, &body);
    }

    #[test]
    fn noise_does_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = read_resealed(&bytes);
        let _ = walk(&bytes, &bytes);
        let mut bytes = bytes;
        let _ = seal_root(&mut bytes, crc32c);
    }
}
