// SPDX-License-Identifier: GPL-2.0

//! Random objects, and how they are written and read.

extern crate std;

use super::super::read::{length_by_header, length_by_records, object_checksum};
use super::super::{crc::crc32c, write::fit_object, *};
use proptest::{collection::vec, option, prelude::*};
use std::vec::Vec;

pub(super) const SHIFT: u32 = 12;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Head {
    Session(u64, Face, u32, Vec<u8>),
    File(u64, u64, Vec<u8>),
    Subsystem(u64, Vec<u8>),
    Unknown(u16),
}

/// An inode without its name, which the model owns.
pub(super) type Named = (Inode<'static>, Vec<u8>);

/// An object with all it has that a reader knows.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Thing {
    pub(super) head: Head,
    pub(super) pages: Option<(u64, Vec<Extent>)>,
    pub(super) inode: Option<Named>,
    pub(super) memfd: Option<Memfd>,
    pub(super) eventfd: Option<Eventfd>,
    pub(super) instance: Option<Instance>,
    pub(super) refused: Option<u16>,
}

/// An object as it is written: whether it is required if unknown, its unknown attributes, and
/// whether these come first.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) thing: Thing,
    pub(super) required: bool,
    pub(super) extra: Vec<(u16, bool, Vec<u8>)>,
    pub(super) extra_first: bool,
}

pub(super) fn file() -> Thing {
    Thing {
        head: Head::File(7, 1, b"test".to_vec()),
        pages: None,
        inode: None,
        memfd: None,
        eventfd: None,
        instance: None,
        refused: None,
    }
}

impl From<Thing> for Sample {
    fn from(thing: Thing) -> Self {
        Sample {
            thing,
            required: true,
            extra: Vec::new(),
            extra_first: false,
        }
    }
}

fn name(len: core::ops::RangeInclusive<usize>) -> impl Strategy<Value = Vec<u8>> {
    vec(prop_oneof![b'a'..=b'z', 1u8..b'/', b'0'..], len)
}

/// Folios in file order, joined to extents as the module does.
fn contents() -> impl Strategy<Value = (u64, Vec<Extent>)> {
    let order = prop_oneof![Just(0u32), Just(0), Just(4), Just(9)];
    let run = (0u64..1 << 20, order, 1u64..40, 0u64..20);
    (vec(run, 0..8), 0u64..40, 0u64..4096).prop_map(|(runs, tail, cut)| {
        let (mut joiner, mut extents, mut page) = (Joiner::default(), Vec::new(), 0u64);
        for (place, order, folios, hole) in runs {
            page = (page + hole).next_multiple_of(1 << order);
            for i in 0..folios {
                extents.extend(joiner.push(page, (place + i) << order, order));
                page += 1 << order;
            }
        }
        extents.extend(joiner.finish());
        (((page + tail) << SHIFT).saturating_sub(cut), extents)
    })
}

fn inode() -> impl Strategy<Value = Named> {
    let second = 0u32..1_000_000_000;
    let ids = any::<[u32; 3]>();
    let nsec = [second.clone(), second.clone(), second];
    (ids, any::<[i64; 3]>(), nsec, name(1..=255)).prop_map(|(ids, times, nsec, mut name)| {
        if matches!(&name[..], b"." | b"..") {
            name[0] = b'x';
        }
        let inode = Inode {
            mode: ids[0],
            uid: ids[1],
            gid: ids[2],
            atime: times[0],
            mtime: times[1],
            ctime: times[2],
            atime_nsec: nsec[0],
            mtime_nsec: nsec[1],
            ctime_nsec: nsec[2],
            name: b"",
        };
        (inode, name)
    })
}

fn instance() -> impl Strategy<Value = Instance> {
    (any::<u64>(), any::<[u32; 4]>(), any::<Option<[u8; 16]>>()).prop_map(|(limit, of, key)| {
        Instance {
            limit,
            huge: of[0],
            mode: of[1],
            uid: of[2],
            gid: of[3],
            key,
        }
    })
}

fn head() -> impl Strategy<Value = Head> {
    let face = prop_oneof![
        Just(Face::Device),
        Just(Face::SessionFile),
        Just(Face::Instance)
    ];
    prop_oneof![
        (any::<u64>(), face, any::<u32>(), name(0..=63))
            .prop_map(|(id, face, owner, name)| Head::Session(id, face, owner, name)),
        (any::<u64>(), any::<u64>(), name(1..=63)).prop_map(|(a, b, name)| Head::File(a, b, name)),
        (any::<u64>(), name(1..=63)).prop_map(|(data, name)| Head::Subsystem(data, name)),
        (4u16..16).prop_map(Head::Unknown),
    ]
}

pub(super) fn samples() -> impl Strategy<Value = Vec<Sample>> {
    let memfd = any::<(u64, u32, u32, u32)>().prop_map(|(pos, seals, flags, mode)| Memfd {
        pos,
        seals,
        flags,
        mode,
    });
    let eventfd = any::<(u64, u32)>().prop_map(|(count, flags)| Eventfd { count, flags });
    let known = (
        option::of(contents()),
        option::of(inode()),
        option::of(memfd),
        option::of(eventfd),
        option::of(instance()),
    );
    let extra = vec((21u16.., any::<bool>(), vec(any::<u8>(), 0..20)), 0..3);
    let sample = (head(), known, extra, any::<bool>(), any::<bool>());
    let sample = sample.prop_map(|(head, known, extra, required, extra_first)| {
        let refused = match head {
            Head::Unknown(kind) if required => Some(kind),
            _ => extra.iter().find(|extra| extra.1).map(|extra| extra.0),
        };
        let (pages, inode, memfd, eventfd, instance) = known;
        Sample {
            thing: Thing {
                head,
                pages,
                inode,
                memfd,
                eventfd,
                instance,
                refused,
            },
            required,
            extra,
            extra_first,
        }
    });
    vec(sample, 0..6)
}

impl Sample {
    pub(super) fn write(&self, writer: &mut BodyWriter<'_>) -> Result<(), WireError> {
        let thing = &self.thing;
        match &thing.head {
            Head::Session(id, face, owner, name) => writer.session(&Session {
                id: *id,
                face: *face,
                owner: *owner,
                name,
            })?,
            Head::File(token, session, compatible) => writer.file(&File {
                token: *token,
                session: *session,
                compatible,
            })?,
            Head::Subsystem(data, name) => writer.subsystem(&Subsystem { data: *data, name })?,
            Head::Unknown(kind) => writer.unknown(*kind, self.required, b"later")?,
        }
        let extra = |writer: &mut BodyWriter<'_>| {
            let mut extra = self.extra.iter();
            extra.try_for_each(|(kind, required, bytes)| writer.unknown(*kind, *required, bytes))
        };
        if self.extra_first {
            extra(writer)?;
        }
        if let Some((size, extents)) = &thing.pages {
            writer.all_pages(*size, extents)?;
        }
        if let Some((inode, name)) = &thing.inode {
            writer.inode(&Inode { name, ..*inode })?;
        }
        thing.memfd.iter().try_for_each(|it| writer.memfd(it))?;
        thing.eventfd.iter().try_for_each(|it| writer.eventfd(it))?;
        thing
            .instance
            .iter()
            .try_for_each(|it| writer.instance(it))?;
        if !self.extra_first {
            extra(writer)?;
        }
        Ok(())
    }
}

pub(super) fn write_to(sink: &mut dyn Sink, samples: &[Sample]) -> Result<(), WireError> {
    let mut writer = BodyWriter::new(sink, SHIFT, crc32c);
    samples
        .iter()
        .try_for_each(|sample| sample.write(&mut writer))?;
    writer.finish()
}

/// A body of just the length that was measured.
pub(super) fn write(samples: &[Sample]) -> Vec<u8> {
    let mut measure = Measure::default();
    write_to(&mut measure, samples).unwrap();
    let mut body = std::vec![0xee; measure.length()];
    let mut slice = Slice::new(&mut body, 0);
    write_to(&mut slice, samples).unwrap();
    assert_eq!(slice.position(), measure.length(), "measured exactly");
    body
}

/// Pieces for a body: as many single pages as it needs, somewhere.
pub(super) fn pieces(body: &[u8]) -> Vec<Piece> {
    let page = |i: usize| Piece {
        pfn: 0x100 + 3 * i as u64,
        order: 0,
    };
    (0..body.len().div_ceil(1 << SHIFT)).map(page).collect()
}

/// A frozen root of this body.
pub(super) fn root_of(body: &[u8], generation: u64) -> Vec<u8> {
    let pieces = pieces(body);
    let mut root = std::vec![0xee; root_len(pieces.len()).unwrap()];
    let room = root.len();
    let pieces = pieces.into_iter();
    let len = write_root(&mut root, generation, SHIFT, pieces, body, crc32c);
    assert_eq!(len, Ok(room), "measured exactly");
    seal_root(&mut root, crc32c).unwrap();
    root
}

/// Makes the checksums of objects fit, and the lengths of those that are told to, as far as the
/// body can be walked by its records.
pub(super) fn fit(body: &mut [u8], lengths: bool) {
    let mut rest = body;
    while let Some(len) = match lengths {
        true => length_by_records(rest).ok().filter(|len| *len >= 16),
        false => length_by_header(rest).ok().filter(|len| *len <= rest.len()),
    } {
        let (object, after) = rest.split_at_mut(len);
        if lengths {
            fit_object(object, crc32c).unwrap();
        } else {
            let sum = object_checksum(object, crc32c).unwrap();
            object[12..16].copy_from_slice(&sum.to_le_bytes());
        }
        rest = after;
    }
}

/// All that can be read of an object.
pub(super) fn read(object: &Object<'_>) -> Thing {
    Thing {
        head: match object.kind {
            Kind::Session(s) => Head::Session(s.id, s.face, s.owner, s.name.to_vec()),
            Kind::File(f) => Head::File(f.token, f.session, f.compatible.to_vec()),
            Kind::Subsystem(s) => Head::Subsystem(s.data, s.name.to_vec()),
            Kind::Unknown(kind) => Head::Unknown(kind),
        },
        pages: object.pages().map(|it| (it.size, it.extents().collect())),
        inode: object
            .inode()
            .map(|it| (Inode { name: b"", ..it }, it.name.to_vec())),
        memfd: object.memfd(),
        eventfd: object.eventfd(),
        instance: object.instance(),
        refused: object.refused(),
    }
}

/// Reads everything a reader could, to find what panics or never ends, and checks what every
/// reader may rely on.
pub(super) fn walk(root: &[u8], body: &[u8]) -> Result<Vec<Thing>, WireError> {
    let root = Root::parse(root, SHIFT, crc32c)?;
    let room: u64 = root.pieces().map(|piece| piece_room(&piece)).sum();
    assert!(room >= root.body_len as u64);
    let last = root.pieces().last().map_or(0, |piece| piece_room(&piece));
    assert!(last == 0 || room - last < root.body_len as u64);
    let salvaged: Vec<Thing> = salvage(body, &root, crc32c).map(|it| read(&it)).collect();
    assert!(salvaged.len() <= body.len() / 16);
    assert!(root.beginnings().count() <= root.pieces().count());
    let parsed = Body::parse(body, &root, crc32c)?;
    let things: Vec<Thing> = parsed.objects().map(|object| read(&object)).collect();
    assert_eq!(salvaged, things, "of a sound body, all");
    for thing in &things {
        check(thing);
    }
    assert!(
        things.len() <= body.len() / 16,
        "bounded by the bytes there are"
    );
    Ok(things)
}

fn piece_room(piece: &Piece) -> u64 {
    assert!(piece.order <= MAX_ORDER && piece.pfn.trailing_zeros() >= piece.order);
    assert!(piece.pfn + (1 << piece.order) <= 1 << 52);
    1 << (piece.order + SHIFT)
}

fn check(thing: &Thing) {
    if let Some((size, extents)) = &thing.pages {
        let (mut free, mut last) = (0, 0);
        for extent in extents {
            let pages = extent.pages().unwrap();
            let folio = 1u64 << extent.order;
            assert!(pages != 0 && extent.order <= MAX_ORDER);
            assert!(extent.page % folio == 0 && extent.pfn % folio == 0);
            assert!(extent.page >= free && extent.pfn + pages <= 1 << 52);
            free = extent.page + pages;
            last = free - folio + 1;
        }
        assert!(*size < 1 << 63 && last <= size.div_ceil(1 << SHIFT));
    }
    let bad = |name: &[u8]| name.contains(&0) || name.contains(&b'/');
    if let Some((inode, name)) = &thing.inode {
        assert!((1..=255).contains(&name.len()) && !bad(name));
        assert!(!matches!(&name[..], b"." | b".."));
        assert!(inode.atime_nsec < 1_000_000_000);
    }
    match &thing.head {
        Head::Session(.., name) => assert!(name.len() <= 63 && !bad(name)),
        Head::File(.., name) => assert!((1..=63).contains(&name.len()) && !name.contains(&0)),
        Head::Subsystem(_, name) => assert!((1..=63).contains(&name.len()) && !bad(name)),
        Head::Unknown(kind) => assert!((4..16).contains(kind)),
    }
}
