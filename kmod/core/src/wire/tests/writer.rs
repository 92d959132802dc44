// SPDX-License-Identifier: GPL-2.0

//! What a writer refuses, a reader refuses too.

extern crate std;

use super::super::*;
use super::{model::SHIFT, rules::attribute};

const PAGE: Extent = Extent {
    page: 0,
    pfn: 3,
    folios: 1,
    order: 0,
};

/// What writer and reader say of these extents; they agree.
fn extents(size: u64, list: &[(u64, u64, u32, u32)]) -> bool {
    let mut payload = size.to_le_bytes().to_vec();
    let mut buf = [0; 400];
    let mut slice = Slice::new(&mut buf, 0);
    let mut writer = BodyWriter::new(&mut slice, SHIFT, crc::crc32c);
    let head = File {
        token: 1,
        session: 2,
        compatible: b"x",
    };
    writer.file(&head).unwrap();
    let mut written = writer.pages(size, list.len());
    for (page, pfn, folios, order) in list.iter().copied() {
        payload.extend(page.to_le_bytes());
        payload.extend(pfn.to_le_bytes());
        payload.extend(folios.to_le_bytes());
        payload.extend(order.to_le_bytes());
        written = written.and_then(|()| {
            writer.extent(&Extent {
                page,
                pfn,
                folios,
                order,
            })
        });
    }
    let read = attribute(kind::PAGES, &payload);
    assert_eq!(written.is_ok(), read);
    if !read {
        assert_eq!(written, Err(WireError::Malformed));
    }
    read
}

#[test]
fn the_extents_of_a_file() {
    assert!(extents(0, &[]));
    assert!(extents(u64::MAX >> 1, &[]), "one hole");
    assert!(!extents(1 << 63, &[]), "no file is so long");
    assert!(extents(1, &[(0, 5, 1, 0)]), "a part of a page");
    assert!(!extents(0, &[(0, 5, 1, 0)]), "beyond the end");
    assert!(
        extents(0x3000, &[(0, 5, 1, 0), (2, 4, 1, 0)]),
        "a hole, and frames in any order"
    );
    assert!(
        !extents(0x3000, &[(0, 5, 2, 0), (1, 9, 1, 0)]),
        "overlapping"
    );
    assert!(
        !extents(0x3000, &[(1, 5, 1, 0), (0, 9, 1, 0)]),
        "descending"
    );
    assert!(!extents(0x3000, &[(0, 5, 4, 0)]), "one too many");
    assert!(extents(0x3001, &[(0, 5, 4, 0)]));
    assert!(!extents(0x3000, &[(0, 5, 0, 0)]), "empty");
    assert!(extents(0x4000, &[(2, 6, 1, 1)]));
    assert!(!extents(0x4000, &[(1, 6, 1, 1)]), "a page not aligned");
    assert!(!extents(0x4000, &[(2, 5, 1, 1)]), "a frame not aligned");
    assert!(
        extents(0x3000, &[(2, 6, 1, 1)]),
        "the last folio, half beyond the end"
    );
    assert!(!extents(0x2000, &[(2, 6, 1, 1)]), "a folio beyond the end");
    let all = u64::MAX >> 1;
    assert!(extents(all, &[(0, 0, 1, MAX_ORDER)]));
    for order in [MAX_ORDER + 1, 31, 32, 63, 64, u32::MAX] {
        assert!(!extents(all, &[(0, 0, 1, order)]), "an impossible order");
    }
    assert!(extents(all, &[(0, (1 << 52) - 1, 1, 0)]));
    assert!(!extents(all, &[(0, 1 << 52, 1, 0)]), "beyond memory");
    assert!(!extents(all, &[(0, u64::MAX, 1, 0)]));
    assert!(!extents(all, &[(u64::MAX, 0, 1, 0)]));
    assert!(extents(all, &[(0, 0, u32::MAX, 19)]), "most of all memory");
    assert!(!extents(
        all,
        &[(0, 1 << 20, u32::MAX, MAX_ORDER), (1 << 20, 0, 1, 0)]
    ));
}

/// What a writer refuses to write.
fn refuses(write: impl Fn(&mut BodyWriter<'_>) -> Result<(), WireError>) -> bool {
    let mut measure = Measure::default();
    let mut writer = BodyWriter::new(&mut measure, SHIFT, crc::crc32c);
    let written = write(&mut writer).and_then(|()| writer.finish());
    assert!(matches!(written, Ok(()) | Err(WireError::Malformed)));
    written.is_err()
}

#[test]
fn the_writer_keeps_the_rules() {
    let eventfd = Eventfd { count: 1, flags: 0 };
    let head = File {
        token: 1,
        session: 2,
        compatible: b"x",
    };
    assert!(!refuses(|_| Ok(())));
    assert!(refuses(|w| w.eventfd(&eventfd)), "of no object");
    assert!(refuses(|w| w.pages(0, 0)), "of no object");
    assert!(refuses(|w| w.unknown(21, false, b"")), "of no object");
    let begun = |then: fn(&mut BodyWriter<'_>) -> Result<(), WireError>| {
        refuses(|w| w.file(&head).and_then(|()| then(w)))
    };
    assert!(!begun(|w| w
        .pages(0x1000, 1)
        .and_then(|()| w.extent(&PAGE))));
    assert!(begun(|w| w.pages(0x1000, 1)), "an extent is missing");
    assert!(begun(|w| w
        .pages(0x1000, 1)
        .and_then(|()| w.unknown(21, false, b""))));
    assert!(
        begun(|w| w.pages(0x1000, 0).and_then(|()| w.extent(&PAGE))),
        "one too many"
    );
    assert!(begun(|w| w.extent(&PAGE)));
    assert!(
        begun(|w| w.pages(0, 0).and_then(|()| w.pages(0, 0))),
        "twice"
    );
    for kind in [0, 1, 2, 3, 16, 17, 18, 19, 20] {
        assert!(refuses(|w| w
            .file(&head)
            .and_then(|()| w.unknown(kind, true, b""))));
    }
    assert!(refuses(|w| w.file(&File {
        compatible: b"",
        ..head
    })));
    assert!(refuses(|w| w.file(&File {
        compatible: &[b'x'; 64],
        ..head
    })));
    assert!(refuses(|w| w.subsystem(&Subsystem { data: 1, name: b"" })));
    assert!(refuses(|w| w.subsystem(&Subsystem {
        data: 1,
        name: b"a/b"
    })));
    let session = Session {
        id: 1,
        face: Face::Device,
        owner: 0,
        name: b"a\0",
    };
    assert!(refuses(|w| w.session(&session)));
    // Eventually it is a description again.
    assert!(!refuses(|w| w.session(&Session {
        name: b"",
        ..session
    })));
}
