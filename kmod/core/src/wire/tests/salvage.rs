// SPDX-License-Identifier: GPL-2.0

//! Damage costs the objects that it is in, and no others.

extern crate std;

use super::super::{crc::crc32c, *};
use super::{hostile::everything, model::*};
use proptest::prelude::*;
use std::vec::Vec;

/// What is salvaged of this body, by the root that was written before it was damaged.
fn salvaged(root: &[u8], body: &[u8]) -> Vec<Thing> {
    let root = Root::parse(root, SHIFT, crc32c).unwrap();
    salvage(body, &root, crc32c).map(|it| read(&it)).collect()
}

/// Where each object begins, and where the last one ends.
fn bounds(samples: &[Sample]) -> Vec<usize> {
    (0..=samples.len())
        .map(|count| write(&samples[..count]).len())
        .collect()
}

#[test]
fn a_flipped_bit_costs_its_own_object() {
    let (root, mut body) = everything();
    let all = salvaged(&root, &body);
    let parsed = Root::parse(&root, SHIFT, crc32c).unwrap();
    let ends: Vec<usize> = Body::parse(&body, &parsed, crc32c)
        .unwrap()
        .objects()
        .scan(0, |end, object| {
            *end += object.whole.len();
            Some(*end)
        })
        .collect();
    let step = if cfg!(miri) { 97 } else { 1 };
    for bit in (0..body.len() * 8).step_by(step) {
        body[bit / 8] ^= 1 << (bit % 8);
        let hit = ends.iter().position(|end| bit / 8 < *end).unwrap();
        let mut expected = all.clone();
        expected.remove(hit);
        assert_eq!(salvaged(&root, &body), expected, "{bit}");
        body[bit / 8] ^= 1 << (bit % 8);
    }
}

/// So many files with pages: about 100 bytes each.
fn many(count: u64) -> Vec<Sample> {
    let file = |token| Thing {
        head: Head::File(token, 1, b"test".to_vec()),
        pages: Some((
            1,
            Vec::from([Extent {
                page: 0,
                pfn: token,
                folios: 1,
                order: 0,
            }]),
        )),
        ..file()
    };
    (1..=count).map(|token| file(token).into()).collect()
}

#[test]
fn a_page_of_noise_costs_what_it_describes() {
    let samples = many(if cfg!(miri) { 130 } else { 500 });
    let (body, bounds) = (write(&samples), bounds(&samples));
    let root = root_of(&body, 1);
    let all: Vec<Thing> = samples.into_iter().map(|sample| sample.thing).collect();
    let page = 1 << SHIFT;
    assert!(body.len() > 2 * page);
    for start in (0..body.len()).step_by(page) {
        let end = body.len().min(start + page);
        for noise in [0, 1, 0xff] {
            let mut noisy = body.clone();
            noisy[start..end].fill(noise);
            let expected: Vec<Thing> = all
                .iter()
                .zip(bounds.windows(2))
                .filter(|(_, bounds)| bounds[1] <= start || bounds[0] >= end)
                .map(|(thing, _)| thing.clone())
                .collect();
            assert!(expected.len() + 2 + page / 80 >= all.len());
            assert_eq!(salvaged(&root, &noisy), expected, "{start} {noise}");
        }
    }
}

proptest! {
    #![proptest_config(super::cases(1_000))]

    #[test]
    fn what_is_salvaged_was_written(
        samples in samples(),
        noise in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut body = write(&samples);
        let (root, bounds) = (root_of(&body, 1), bounds(&samples));
        let mut hit: Vec<usize> = Vec::new();
        for (at, byte) in noise {
            if !body.is_empty() {
                let at = at.index(body.len());
                body[at] ^= byte;
                hit.push(at);
            }
        }
        let whole = |bounds: &[usize]| !hit.iter().any(|at| (bounds[0]..bounds[1]).contains(at));
        let written: Vec<Thing> = samples.iter().map(|sample| sample.thing.clone()).collect();
        let mut rest = written.iter();
        for thing in salvaged(&root, &body) {
            prop_assert!(rest.any(|other| *other == thing), "in the order in which they were written");
        }
        // Each is short of a piece: what comes before the first damage is certain.
        let before = bounds.windows(2).take_while(|bounds| whole(bounds)).count();
        let salvaged = salvaged(&root, &body);
        prop_assert_eq!(&salvaged[..before], &written[..before]);
    }
}
