// SPDX-License-Identifier: GPL-2.0

//! Damage on purpose is damage, and what fits, fits.

extern crate std;

use super::super::{crc::crc32c, *};
use super::hostile::everything;

/// Some of them; few under Miri, which is slow.
const SEEDS: u64 = if cfg!(miri) { 3 } else { 200 };

fn damaged(damage: Damage, seed: u64) -> Result<usize, WireError> {
    let (mut root, mut body) = everything();
    damage.in_body(seed, &mut body, crc32c)?;
    root.resize(2 * root.len(), 0);
    double(&mut root);
    damage.in_root(seed, &mut root, crc32c);
    let (first, second) = root.split_at(root.len() / 2);
    assert_eq!(first == second, damage != Damage::FirstRoot);
    let root = Root::parse(first, 12, crc32c)?;
    let body = Body::parse(&body, &root, crc32c)?;
    let mut unknown = 0;
    for object in body.objects() {
        unknown += usize::from(matches!(object.kind, Kind::Unknown(_)));
        if let Kind::File(file) = object.kind {
            assert_eq!(
                file.compatible.starts_with(b"?"),
                damage == Damage::NoHandler
            );
        }
    }
    Ok(unknown)
}

#[test]
fn every_seed_is_noticed() {
    for seed in 0..SEEDS {
        assert!(damaged(Damage::Body, seed).is_err(), "{seed}");
        assert!(damaged(Damage::Root, seed).is_err(), "{seed}");
        assert!(damaged(Damage::FirstRoot, seed).is_err(), "{seed}");
        // Anything may come of these, but never that they do not fit, or a panic.
        assert_ne!(
            damaged(Damage::BodyFitting, seed),
            Err(WireError::Checksum),
            "{seed}"
        );
        _ = damaged(Damage::RootFitting, seed);
    }
    let accepted = |damage| (0..SEEDS).any(|seed| damaged(damage, seed).is_ok());
    assert!(cfg!(miri) || accepted(Damage::BodyFitting));
    assert!(cfg!(miri) || accepted(Damage::RootFitting));
}

#[test]
fn what_is_not_known_stays_whole() {
    let (root, body) = everything();
    let root = Root::parse(&root, 12, crc32c).unwrap();
    let files = Body::parse(&body, &root, crc32c).unwrap();
    let kinds =
        |want: fn(&Kind<'_>) -> bool| files.objects().filter(|object| want(&object.kind)).count();
    let unknown = kinds(|kind| matches!(kind, Kind::Unknown(_)));
    let files = kinds(|kind| matches!(kind, Kind::File(_)));
    assert!(files > 0);
    assert_eq!(damaged(Damage::NoHandler, 0), Ok(unknown));
    assert_eq!(damaged(Damage::NoKind, 0), Ok(unknown + files));
    assert_eq!(damaged(Damage::NoInstance, 0), Ok(unknown));
    assert_eq!(
        damaged(Damage::Version, 0),
        Err(WireError::Version(VERSION + 1))
    );
    assert_eq!(
        damaged(Damage::Framing, 0),
        Err(WireError::Framing(FRAMING + 1))
    );
}

#[test]
fn numbers_say_what() {
    assert_eq!(Damage::of(0), None);
    assert_eq!(Damage::of(11), None);
    assert_eq!(Damage::of(16 * 5 + 3), Some((Damage::Root, 5)));
    assert_eq!(
        Damage::of(u64::MAX - 9),
        Some((Damage::NoKind, u64::MAX >> 4))
    );
}
