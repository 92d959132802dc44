//! The one place that knows offsets and checksums: a new version of the format is taught to the fuzzer here.

use arbitrary::Arbitrary;
use kmod_core::wire::crc::{checksum, crc32c};
use kmod_core::wire::{EXTENT_LEN, HEADER_LEN, Piece, kind, root_len, seal_root, write_root};

use super::SHIFT;

const AT_LENGTH: usize = 16;
const AT_SUM: usize = 60;
const OBJECT_HEAD: usize = 16;
const AT_OBJECT_LENGTH: usize = 8;
const AT_OBJECT_SUM: usize = 12;

/// Makes the checksum of a root that of its bytes, as a liar would, and touches nothing else.
pub(super) fn fit_root(root: &mut [u8]) {
    let length = root.get(AT_LENGTH..).and_then(|rest| rest.first_chunk());
    let length = length.and_then(|bytes| usize::try_from(u64::from_le_bytes(*bytes)).ok());
    if let Some(whole) = length.and_then(|length| root.get_mut(..length))
        && whole.len() >= HEADER_LEN
    {
        fit_at(whole, AT_SUM);
    }
}

/// The same of the objects of a body, as far as their lengths lead.
pub(super) fn fit_objects(body: &mut [u8]) {
    let mut rest = body;
    while let Some(length) = rest.get(AT_OBJECT_LENGTH..).and_then(|rest| rest.first_chunk()) {
        let length = u32::from_le_bytes(*length) as usize;
        if length < OBJECT_HEAD || length > rest.len() {
            break;
        }
        let (object, after) = rest.split_at_mut(length);
        fit_at(object, AT_OBJECT_SUM);
        rest = after;
    }
}

fn fit_at(bytes: &mut [u8], at: usize) {
    bytes[at..at + 4].fill(0);
    let sum = checksum(crc32c, bytes);
    bytes[at..at + 4].copy_from_slice(&sum.to_le_bytes());
}

/// A frozen root, as the module writes it.
pub(super) fn root(pieces: &[Piece], body: &[u8]) -> Vec<u8> {
    let mut root = vec![0xee; root_len(pieces.len()).expect("few pieces")];
    let written = write_root(&mut root, 1, SHIFT, pieces.iter().copied(), body, crc32c);
    assert_eq!(written, Ok(root.len()), "measured exactly");
    seal_root(&mut root, crc32c).expect("just written");
    root
}

/// A record, well-formed or nearly so.
#[derive(Arbitrary, Debug)]
pub(super) struct Record<'a> {
    what: What<'a>,
    not_required: bool,
    /// In what way it is wrong; in none with most numbers.
    flaw: u8,
}

#[derive(Arbitrary, Debug)]
enum What<'a> {
    Session(u64, u8, u32, &'a [u8]),
    File(u64, u64, &'a [u8]),
    Subsystem(u64, &'a [u8]),
    Pages(u64, Vec<Run>),
    Inode([u32; 3], [i64; 3], [u32; 3], &'a [u8]),
    Memfd([u32; 5]),
    Eventfd([u32; 3]),
    Instance(u64, [u32; 4], Option<[u8; 16]>),
    Other(u8, &'a [u8]),
}

/// An extent that follows the one before, at a distance, if nothing overflows; or one of any numbers.
#[derive(Arbitrary, Debug)]
enum Run {
    Next { hole: u8, place: u32, folios: u16, order: u8 },
    Any(u64, u64, u32, u32),
}

/// These records, one behind the other; the lengths and checksums of objects are right, but for a flaw.
pub(super) fn body(records: &[Record<'_>]) -> Vec<u8> {
    let (mut body, mut begun) = (Vec::new(), None);
    for Record { what, not_required, flaw } in records {
        let (kind, mut payload) = what.encode();
        let is_object = kind < kind::ATTRIBUTES;
        if is_object {
            let here = body.len();
            end(&mut body, begun.replace(here));
        }
        match flaw {
            1 => payload.push(0),
            2 => drop(payload.pop()),
            _ => {}
        }
        let flags = u16::from(!not_required) | if *flaw == 3 { 2 } else { 0 };
        let length = payload.len() as u32;
        body.extend(kind.to_le_bytes());
        body.extend(flags.to_le_bytes());
        body.extend(if *flaw == 4 { length.wrapping_add(8) } else { length }.to_le_bytes());
        if is_object {
            body.extend([0; OBJECT_HEAD - AT_OBJECT_LENGTH]);
        }
        body.extend(payload);
        body.resize(body.len().next_multiple_of(8), u8::from(*flaw == 5));
        if *flaw == 6 {
            // It ends too early, and what follows is of none.
            end(&mut body, begun.take());
        }
    }
    end(&mut body, begun);
    body
}

fn end(body: &mut [u8], begun: Option<usize>) {
    let Some(begun) = begun else { return };
    let length = (body.len() - begun) as u32;
    body[begun + AT_OBJECT_LENGTH..begun + AT_OBJECT_SUM].copy_from_slice(&length.to_le_bytes());
    fit_at(&mut body[begun..], AT_OBJECT_SUM);
}

impl What<'_> {
    fn encode(&self) -> (u16, Vec<u8>) {
        let mut to = Vec::new();
        let mut put = |bytes: &[u8]| to.extend(bytes);
        let kind = match self {
            Self::Session(id, face, owner, name) => {
                put(&id.to_le_bytes());
                put(&u32::from(face % 5).to_le_bytes());
                put(&owner.to_le_bytes());
                put(name);
                kind::SESSION
            }
            Self::File(token, session, compatible) => {
                put(&token.to_le_bytes());
                put(&session.to_le_bytes());
                put(compatible);
                kind::FILE
            }
            Self::Subsystem(data, name) => {
                put(&data.to_le_bytes());
                put(name);
                kind::SUBSYSTEM
            }
            Self::Pages(size, runs) => {
                put(&size.to_le_bytes());
                let mut next = 0;
                runs.iter().for_each(|run| put(&run.encode(&mut next)));
                kind::PAGES
            }
            Self::Inode(ids, times, parts, name) => {
                ids.iter().for_each(|id| put(&id.to_le_bytes()));
                put(&[0; 4]);
                times.iter().for_each(|time| put(&time.to_le_bytes()));
                // A number that is a little too large is as good as one that is far too large.
                parts.iter().for_each(|part| put(&(part % 1_000_000_002).to_le_bytes()));
                put(&[0; 4]);
                put(name);
                kind::INODE
            }
            Self::Memfd(fields) => {
                fields.iter().for_each(|field| put(&field.to_le_bytes()));
                put(&[0; 4]);
                kind::MEMFD
            }
            Self::Eventfd(fields) => {
                fields.iter().for_each(|field| put(&field.to_le_bytes()));
                put(&[0; 4]);
                kind::EVENTFD
            }
            Self::Instance(limit, fields, key) => {
                put(&limit.to_le_bytes());
                fields.iter().for_each(|field| put(&field.to_le_bytes()));
                put(&u32::from(key.is_some()).to_le_bytes());
                put(&[0; 4]);
                put(&key.unwrap_or_default());
                kind::INSTANCE
            }
            Self::Other(kind, payload) => {
                put(payload);
                u16::from(*kind)
            }
        };
        (kind, to)
    }
}

impl Run {
    fn encode(&self, next: &mut u64) -> [u8; EXTENT_LEN] {
        let (page, pfn, folios, order) = match *self {
            Self::Any(page, pfn, folios, order) => (page, pfn, folios, order),
            Self::Next { hole, place, folios, order } => {
                let order = u32::from(order % 22);
                let page = next.saturating_add(u64::from(hole)).checked_next_multiple_of(1 << order).unwrap_or(0);
                *next = page.saturating_add(u64::from(folios) << order);
                (page, u64::from(place) << order, u32::from(folios), order)
            }
        };
        let mut bytes = [0; EXTENT_LEN];
        bytes[..8].copy_from_slice(&page.to_le_bytes());
        bytes[8..16].copy_from_slice(&pfn.to_le_bytes());
        bytes[16..20].copy_from_slice(&folios.to_le_bytes());
        bytes[20..].copy_from_slice(&order.to_le_bytes());
        bytes
    }
}
