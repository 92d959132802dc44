// SPDX-License-Identifier: GPL-2.0

//! Tests of the wire format: what is written is read, and hostile bytes do no harm.

extern crate std;

use super::{crc::checksum, *};
use proptest::prelude::*;
use std::{vec, vec::Vec};

const SHIFT: u32 = 12;

type Sample = (u64, u64, Vec<Extent>);

/// Objects as the module would make them: folios in file order, joined to extents.
fn samples() -> impl Strategy<Value = Vec<Sample>> {
    let folio = (
        0u64..1 << 20,
        prop_oneof![Just(0u32), Just(0), Just(4), Just(9)],
        1u64..40,
    );
    let object = (
        1u64..=u64::MAX,
        0u64..4096,
        proptest::collection::vec(folio, 0..12),
    );
    proptest::collection::vec(object, 0..6).prop_map(|objects| {
        let mut samples: Vec<Sample> = Vec::new();
        for (token, cut, runs) in objects {
            let (mut joiner, mut extents, mut page) = (Joiner::default(), Vec::new(), 0u64);
            for (place, order, folios) in runs {
                if page & ((1 << order) - 1) != 0 {
                    continue;
                }
                for i in 0..folios {
                    extents.extend(joiner.push((place + i) << order, order));
                }
                page += folios << order;
            }
            extents.extend(joiner.finish());
            samples.push((token, (page << SHIFT).saturating_sub(cut), extents));
        }
        samples.sort_by_key(|sample| sample.0);
        samples.dedup_by_key(|sample| sample.0);
        samples
    })
}

fn write(samples: &[Sample], generation: u64) -> Vec<u8> {
    let extents = samples.iter().map(|sample| sample.2.len()).sum();
    let mut buf = vec![0xee; length(samples.len(), extents).unwrap()];
    let mut writer = Writer::new(&mut buf, generation, SHIFT).unwrap();
    for (token, size, extents) in samples {
        writer.object(*token, *size).unwrap();
        for extent in extents {
            writer.extent(extent).unwrap();
        }
    }
    assert_eq!(writer.finish().unwrap(), buf.len(), "length() is exact");
    buf
}

/// Walks everything a reader could, to find what panics or never ends.
fn walk(bytes: &[u8]) -> Result<usize, WireError> {
    let blob = Blob::parse(bytes, SHIFT)?;
    let mut steps = 0;
    let mut count = 0;
    for object in blob.objects() {
        count += 1;
        steps += 1 + object.extents().count();
        let pages: u64 = object.extents().map(|extent| extent.pages().unwrap()).sum();
        assert_eq!(pages, object.size.div_ceil(1 << SHIFT));
    }
    assert_eq!(count, blob.len());
    assert!(
        steps <= bytes.len() / EXTENT_LEN,
        "bounded by the bytes there are"
    );
    Ok(steps)
}

proptest! {
    #[test]
    fn what_is_written_is_read(samples in samples(), generation in any::<u64>(), tail in 0usize..100) {
        let mut bytes = write(&samples, generation);
        let len = bytes.len();
        seal(&mut bytes, Phase::Frozen).unwrap();
        bytes.resize(len + tail, 0xee);
        let blob = Blob::parse(&bytes, SHIFT).unwrap();
        prop_assert_eq!(blob.phase, Phase::Frozen);
        prop_assert_eq!(blob.generation, generation);
        prop_assert_eq!(blob.is_empty(), samples.is_empty());
        let read: Vec<Sample> =
            blob.objects().map(|object| (object.token, object.size, object.extents().collect())).collect();
        prop_assert_eq!(read, samples);
    }

    #[test]
    fn any_changed_byte_is_noticed(samples in samples(), at in any::<prop::sample::Index>(), flip in 1u8..) {
        let mut bytes = write(&samples, 1);
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        prop_assert!(walk(&bytes).is_err());
    }

    #[test]
    fn any_cut_is_noticed(samples in samples(), at in any::<prop::sample::Index>()) {
        let bytes = write(&samples, 1);
        prop_assert!(walk(&bytes[..at.index(bytes.len())]).is_err());
    }

    /// A liar can compute checksums too: the structure must hold up by itself.
    #[test]
    fn resealed_damage_does_no_harm(
        samples in samples(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = write(&samples, 1);
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        seal(&mut bytes, Phase::Frozen).unwrap();
        let _ = walk(&bytes);
    }

    #[test]
    fn noise_does_no_harm(mut bytes in proptest::collection::vec(any::<u8>(), 0..400), sealed in any::<bool>()) {
        if sealed && bytes.len() >= HEADER_LEN {
            let len = bytes.len() as u64;
            bytes[..8].copy_from_slice(&MAGIC);
            bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
            bytes[12..16].copy_from_slice(&(HEADER_LEN as u32).to_le_bytes());
            bytes[16..24].copy_from_slice(&len.to_le_bytes());
            bytes[40..44].copy_from_slice(&SHIFT.to_le_bytes());
            bytes[44..60].fill(0);
            seal(&mut bytes, Phase::Frozen).unwrap();
        }
        let _ = walk(&bytes);
    }

    #[test]
    fn a_small_buffer_is_an_error(samples in samples(), short in 1usize..64) {
        let extents = samples.iter().map(|sample| sample.2.len()).sum();
        let len = length(samples.len(), extents).unwrap();
        let mut buf = vec![0; len.saturating_sub(short)];
        let written = Writer::new(&mut buf, 1, SHIFT).and_then(|mut writer| {
            for (token, size, extents) in &samples {
                writer.object(*token, *size)?;
                extents.iter().try_for_each(|extent| writer.extent(extent))?;
            }
            writer.finish()
        });
        prop_assert_eq!(written, Err(WireError::Full));
    }
}

/// The format is these bytes, in every later version of this code.
#[test]
fn the_bytes_of_version_1() {
    let extent = Extent {
        pfn: 0x1200,
        folios: 2,
        order: 9,
    };
    let bytes = write(&[(0x1122_3344_5566_7788, 0x3f_ffff, vec![extent])], 7);
    let mut expected: Vec<u8> = b"LULABKHO\x01\0\0\0\x40\0\0\0\x70\0\0\0\0\0\0\0".to_vec();
    expected.extend(b"\x01\0\0\0\x01\0\0\0\x07\0\0\0\0\0\0\0\x0c\0\0\0");
    expected.extend([0; 16]);
    expected.extend(checksum(&bytes).to_le_bytes());
    expected.extend(b"\x88\x77\x66\x55\x44\x33\x22\x11\xff\xff\x3f\0\0\0\0\0\x01\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0");
    expected.extend(b"\0\x12\0\0\0\0\0\0\x02\0\0\0\x09\0\0\0");
    assert_eq!(bytes, expected);
}

#[test]
fn the_checksum_is_crc32c() {
    // The check value of the catalogue of CRC algorithms: shorter than AT_CRC, so nothing is masked.
    assert_eq!(checksum(b"123456789"), 0xe306_9283);
}

#[test]
fn each_error_has_its_cause() {
    let whole = write(
        &[(
            5,
            4096,
            vec![Extent {
                pfn: 3,
                folios: 1,
                order: 0,
            }],
        )],
        1,
    );
    let parse = |at: usize, bytes: &[u8]| {
        let mut copy = whole.clone();
        copy[at..at + bytes.len()].copy_from_slice(bytes);
        if at != AT_CRC {
            seal(&mut copy, Phase::Frozen).unwrap();
        }
        Blob::parse(&copy, SHIFT).map(|_| ()).unwrap_err()
    };
    assert_eq!(parse(0, b"X"), WireError::NotOurs);
    assert_eq!(parse(8, &[2]), WireError::Version(2));
    assert_eq!(parse(16, &[0xff]), WireError::Truncated);
    assert_eq!(parse(16, &[0xff; 8]), WireError::Truncated);
    assert_eq!(parse(AT_CRC, &[0; 4]), WireError::Checksum);
    assert_eq!(
        parse(28, &[2]),
        WireError::Truncated,
        "an object that is not there"
    );
    assert_eq!(
        parse(28, &[0]),
        WireError::Malformed,
        "an object not counted"
    );
    assert_eq!(parse(40, &[13]), WireError::Malformed, "another page size");
    assert_eq!(parse(64, &[0]), WireError::Malformed, "token zero");
    assert_eq!(
        parse(72, &[0, 0x20]),
        WireError::Malformed,
        "more bytes than pages"
    );
    assert_eq!(parse(80, &[9]), WireError::Malformed, "an unknown kind");
    assert_eq!(
        parse(84, &[0xff; 4]),
        WireError::Malformed,
        "more extents than bytes"
    );
    assert_eq!(
        parse(96, &[0xff; 8]),
        WireError::Malformed,
        "a frame beyond memory"
    );
    assert_eq!(parse(104, &[0]), WireError::Malformed, "an empty extent");
    assert_eq!(
        parse(108, &[1]),
        WireError::Malformed,
        "a frame not aligned to its order"
    );
    assert_eq!(
        parse(108, &[0xff]),
        WireError::Malformed,
        "an impossible order"
    );
}

#[test]
fn joining_stops_at_gaps_and_orders() {
    let mut joiner = Joiner::default();
    let folios = [(0, 9), (512, 9), (1024, 0), (1025, 0), (1027, 0)];
    let mut extents: Vec<Extent> = folios
        .iter()
        .filter_map(|(pfn, order)| joiner.push(*pfn, *order))
        .collect();
    extents.extend(joiner.finish());
    let triples: Vec<_> = extents
        .iter()
        .map(|extent| (extent.pfn, extent.folios, extent.order))
        .collect();
    assert_eq!(triples, [(0, 2, 9), (1024, 2, 0), (1027, 1, 0)]);
}
