// SPDX-License-Identifier: GPL-2.0

//! What of a damaged body is sound nevertheless.

use super::read::{length_by_header, length_by_records};
use super::{Crc, Object, Root};

/// The objects of a body that are sound each by itself, whatever its version. Their pages may be
/// released; with some of the others missing, nothing should be restored.
///
/// A damaged object is stepped over. Its end is known twice, from its header and from its records;
/// if neither leads to a sound object, the search goes on in the next piece. So a single wrong bit
/// costs the object that it is in, and no other. What a user chose cannot pose as an object: a
/// header has zeros, which no name has.
pub fn salvage<'a, 'r>(
    body: &'a [u8],
    root: &Root<'r>,
    crc: Crc,
) -> impl Iterator<Item = Object<'a>> + use<'a, 'r> {
    let root = *root;
    let body = body.get(..root.body_len).unwrap_or(&[]);
    let mut at = 0usize;
    core::iter::from_fn(move || loop {
        let rest = body.get(at..).filter(|rest| !rest.is_empty())?;
        if let Ok((object, after)) = Object::sound(rest, root.page_shift, crc) {
            at = body.len().saturating_sub(after.len());
            return Some(object);
        }
        at = next(body, at, &root, crc)?;
    })
}

/// Where to go on after what is damaged here.
fn next(body: &[u8], at: usize, root: &Root<'_>, crc: Crc) -> Option<usize> {
    let rest = body.get(at..)?;
    let leads_on = |end: &usize| {
        body.get(*end..).is_some_and(|rest| {
            rest.is_empty() || Object::sound(rest, root.page_shift, crc).is_ok()
        })
    };
    let mut ends = [length_by_header(rest), length_by_records(rest)]
        .map(|length| length.ok().and_then(|length| at.checked_add(length)));
    // The nearer one first: the other may lead on too, past a sound object.
    if ends[1] < ends[0] {
        ends.swap(0, 1);
    }
    ends.into_iter()
        .flatten()
        .find(leads_on)
        .or_else(|| root.beginnings().find(|beginning| *beginning > at))
}
