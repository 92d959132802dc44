// SPDX-License-Identifier: GPL-2.0

//! What is written is read, as often and in whatever pieces it is written.

extern crate std;

use super::super::{crc::crc32c, *};
use super::model::*;
use proptest::prelude::*;
use std::vec::Vec;

proptest! {
    #![proptest_config(super::cases(256))]

    #[test]
    fn what_is_written_is_read(samples in samples(), generation in any::<u64>(), tail in 0usize..100) {
        let mut body = write(&samples);
        let mut bytes = root_of(&body, generation);
        let expected_pieces = pieces(&body);
        let len = body.len();
        // Both lie in memory that has more room.
        body.resize(len + tail, 0xee);
        bytes.resize(bytes.len() + tail, 0xee);
        let root = Root::parse(&bytes, SHIFT, crc32c).unwrap();
        prop_assert_eq!(root.phase, Phase::Frozen);
        prop_assert_eq!(root.generation, generation);
        prop_assert_eq!(root.body_len, len);
        prop_assert_eq!(root.pieces().collect::<Vec<_>>(), expected_pieces);
        let expected: Vec<Thing> = samples.iter().map(|sample| sample.thing.clone()).collect();
        prop_assert_eq!(walk(&bytes, &body).unwrap(), expected);
    }

    #[test]
    fn an_object_is_rewritten_in_place(
        mut samples in samples().prop_filter("not empty", |samples| !samples.is_empty()),
        which in any::<prop::sample::Index>(),
        number in any::<u64>(),
    ) {
        let mut body = write(&samples);
        let which = which.index(samples.len());
        let mut before = Measure::default();
        write_to(&mut before, &samples[..which]).unwrap();
        let mut upto = Measure::default();
        write_to(&mut upto, &samples[..=which]).unwrap();
        let changed = &mut samples[which];
        match &mut changed.thing.head {
            Head::Session(id, ..) => *id = number,
            Head::File(token, ..) => *token = number,
            Head::Subsystem(data, ..) => *data = number,
            Head::Unknown(_) => {}
        }
        if let Some(eventfd) = &mut changed.thing.eventfd {
            eventfd.count = number;
        }
        let mut slice = Slice::new(&mut body, before.length());
        write_to(&mut slice, core::slice::from_ref(changed)).unwrap();
        prop_assert_eq!(slice.position(), upto.length());
        let expected: Vec<Thing> = samples.iter().map(|sample| sample.thing.clone()).collect();
        prop_assert_eq!(walk(&root_of(&body, 1), &body).unwrap(), expected);
    }

    #[test]
    fn what_was_read_is_written_again(samples in samples()) {
        let body = write(&samples);
        let bytes = root_of(&body, 1);
        let root = Root::parse(&bytes, SHIFT, crc32c).unwrap();
        let mut again = std::vec![0xee; body.len()];
        let mut slice = Slice::new(&mut again, 0);
        let mut writer = BodyWriter::new(&mut slice, SHIFT, crc32c);
        for object in Body::parse(&body, &root, crc32c).unwrap().objects() {
            writer.again(&object).unwrap();
            let more = writer.unknown(21, false, b"");
            prop_assert_eq!(more, Err(WireError::Malformed), "it is complete");
        }
        writer.finish().unwrap();
        prop_assert_eq!(slice.position(), body.len());
        prop_assert_eq!(again, body, "what is not known is in it too");
    }

    #[test]
    fn a_small_buffer_is_an_error(samples in samples(), short in 1usize..64) {
        let mut body = write(&samples);
        prop_assume!(!body.is_empty());
        let less = body.len().saturating_sub(short);
        let mut slice = Slice::new(&mut body[..less], 0);
        prop_assert_eq!(write_to(&mut slice, &samples), Err(WireError::Full));
        let pieces = pieces(&body);
        let mut root = root_of(&body, 1);
        let less = root.len() - short.min(root.len());
        let written = write_root(&mut root[..less], 1, SHIFT, pieces.into_iter(), &body, crc32c);
        prop_assert_eq!(written, Err(WireError::Full));
    }

    #[test]
    fn the_checksum_is_that_of_single_bits(bytes in proptest::collection::vec(any::<u8>(), 0..80), seed: u32) {
        let mut slow = seed;
        for byte in &bytes {
            slow ^= u32::from(*byte);
            for _ in 0..8 {
                slow = if slow & 1 != 0 { slow >> 1 ^ 0x82f6_3b78 } else { slow >> 1 };
            }
        }
        prop_assert_eq!(crc32c(seed, &bytes), slow);
    }

    #[test]
    fn the_checksum_goes_on(bytes in proptest::collection::vec(any::<u8>(), 0..80), cut in 0usize..80) {
        let (one, two) = bytes.split_at(cut.min(bytes.len()));
        prop_assert_eq!(crc32c(crc32c(!0, one), two), crc32c(!0, &bytes));
    }

    #[test]
    fn folios_go_on_from_anywhere(samples in samples(), from in 0u64..400_000) {
        let body = write(&samples);
        let bytes = root_of(&body, 1);
        let root = Root::parse(&bytes, SHIFT, crc32c).unwrap();
        for pages in Body::parse(&body, &root, crc32c).unwrap().objects().filter_map(|it| it.pages()) {
            let all: Vec<Folio> = pages.folios(0).collect();
            let count: u64 = pages.extents().map(|extent| u64::from(extent.folios)).sum();
            prop_assert_eq!(all.len() as u64, count);
            prop_assert!(all.windows(2).all(|two| two[0].page + (1 << two[0].order) <= two[1].page));
            let later: Vec<Folio> = all.into_iter().filter(|folio| folio.page >= from).collect();
            prop_assert_eq!(pages.folios(from).collect::<Vec<_>>(), later);
            prop_assert_eq!(pages.folios(u64::MAX).count(), 0);
        }
    }
}

#[test]
fn the_checksum_is_crc32c() {
    // The check value of the catalogue of CRC algorithms.
    assert_eq!(crc::checksum(crc32c, b"123456789"), 0xe306_9283);
}

#[test]
fn joining_stops_at_gaps_holes_and_orders() {
    let mut joiner = Joiner::default();
    let folios = [
        (0, 0, 9),
        (512, 512, 9),
        (1024, 1024, 0),
        (1025, 1025, 0),
        (1026, 1027, 0),
        (1028, 1028, 0),
    ];
    let push = |(page, pfn, order)| joiner.push(page, pfn, order);
    let mut extents: Vec<Extent> = folios.into_iter().filter_map(push).collect();
    extents.extend(joiner.finish());
    let extent = |page, pfn, folios, order| Extent {
        page,
        pfn,
        folios,
        order,
    };
    let expected = [
        extent(0, 0, 2, 9),
        extent(1024, 1024, 2, 0),
        extent(1026, 1027, 1, 0),
        extent(1028, 1028, 1, 0),
    ];
    assert_eq!(extents, expected);
    assert_eq!(joiner.finish(), None);
}

#[test]
fn another_checksum_function_is_used() {
    fn other(seed: u32, bytes: &[u8]) -> u32 {
        crc32c(seed ^ 1, bytes)
    }
    let body = write(&[file().into()]);
    let mut root = root_of(&body, 1);
    assert_eq!(
        Root::parse(&root, SHIFT, other).unwrap_err(),
        WireError::Checksum
    );
    seal_root(&mut root, other).unwrap();
    let parsed = Root::parse(&root, SHIFT, other).unwrap();
    assert!(Body::parse(&body, &parsed, crc32c).is_ok());
    assert_eq!(
        Body::parse(&body, &parsed, other).unwrap_err(),
        WireError::Checksum
    );
}
