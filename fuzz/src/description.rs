//! The description that one kernel leaves for the next: the bytes of a root and of a body, read as the module reads
//! them. Whatever is accepted is then read to the end, and written again.
//!
//! The first byte says how much of the work is done for the fuzzer.

mod bytes;
mod read;
mod write;

use arbitrary::{Arbitrary as _, Unstructured};
use kmod_core::wire::{Body, Object, Piece, Root, WireError, crc::crc32c, salvage};

/// As on every machine that the module runs on.
const SHIFT: u32 = 12;

/// The target.
pub fn run(input: &[u8]) {
    let Some((&how, rest)) = input.split_first() else { return };
    match how % 4 {
        // Two blocks as they are.
        0 => {
            let (root, body) = cut(rest);
            let _ = read(&root, &body);
        }
        // The same, and the checksums fit.
        1 => {
            let (mut root, mut body) = cut(rest);
            bytes::fit_root(&mut root);
            bytes::fit_objects(&mut body);
            let _ = read(&root, &body);
        }
        // A body of any bytes with a root that is right.
        2 => {
            let mut body = rest.to_vec();
            bytes::fit_objects(&mut body);
            let _ = read_body(&body);
        }
        // A body of records, made up field by field.
        _ => {
            let mut source = Unstructured::new(rest);
            if let Ok(records) = Vec::<bytes::Record<'_>>::arbitrary(&mut source) {
                let _ = read_body(&bytes::body(&records));
            }
        }
    }
}

/// Root and body out of one input: two bytes tell where the second begins.
fn cut(input: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let Some((length, rest)) = input.split_first_chunk::<2>() else { return (Vec::new(), Vec::new()) };
    let at = usize::from(u16::from_le_bytes(*length)).min(rest.len());
    (rest[..at].to_vec(), rest[at..].to_vec())
}

/// A frozen root of this body, in single pages that lie somewhere.
fn root_of(body: &[u8]) -> Vec<u8> {
    let page = |i: usize| Piece { pfn: 0x100 + 3 * i as u64, order: 0 };
    let pieces: Vec<Piece> = (0..body.len().div_ceil(1 << SHIFT)).map(page).collect();
    bytes::root(&pieces, body)
}

fn read_body(body: &[u8]) -> Result<(), WireError> {
    // Any other length is refused by the root alone.
    let body = &body[..body.len() & !7];
    read(&root_of(body), body)
}

fn read(root: &[u8], body: &[u8]) -> Result<(), WireError> {
    let parsed = Root::parse(root, SHIFT, crc32c)?;
    let room: u64 = parsed.pieces().map(|piece| read::room(&piece)).sum();
    let last = parsed.pieces().last().map_or(0, |piece| read::room(&piece));
    assert!(room >= parsed.body_len as u64, "the pieces hold the body");
    assert!(last == 0 || room - last < parsed.body_len as u64, "and none is left over");
    assert!(!parsed.is_empty() || body.is_empty() || parsed.body_len == 0);

    // What is refused as a whole is released as far as it is sound: with no attribute checked but the pages.
    let salvaged: Vec<Object<'_>> = salvage(body, &parsed, crc32c).collect();
    assert!(salvaged.len() <= parsed.body_len / 16, "bounded by the bytes there are");
    salvaged.iter().filter_map(Object::pages).for_each(|pages| read::pages(&pages));

    let whole = Body::parse(body, &parsed, crc32c)?;
    let objects: Vec<Object<'_>> = whole.objects().collect();
    assert!(objects.len() <= parsed.body_len / 16, "bounded by the bytes there are");
    objects.iter().for_each(read::object);
    assert!(
        salvaged.len() == objects.len() && salvaged.iter().zip(&objects).all(|(one, other)| read::same(one, other))
    );

    let again = write::again(&objects);
    assert_eq!(again, body[..parsed.body_len], "written as it was read");
    // What a kexec without FINISH passes on is a part, and it must be a description too.
    let part: Vec<Object<'_>> = objects.iter().step_by(2).copied().collect();
    let passed_on = write::again(&part);
    let root = root_of(&passed_on);
    let parsed = Root::parse(&root, SHIFT, crc32c).expect("a root of our own");
    let read_back = Body::parse(&passed_on, &parsed, crc32c).expect("what was read can be passed on");
    assert_eq!(read_back.objects().count(), part.len());
    for (before, after) in part.iter().zip(read_back.objects()) {
        assert!(read::same(before, &after));
        write::by_fields(before);
    }
    Ok(())
}
