//! Comparing a memory file with what it must hold.

use std::sync::atomic::Ordering::Relaxed;

use protocol::{
    message::{BadPage, Found, MAX_BAD_PAGES, ObjectSpec, Verification},
    pattern::{Digest, Page, WORDS, fill_cut, pages, tag},
};

use crate::{
    failure::Outcome,
    mapping::SharedPage,
    now,
    objects::{Object, Pace, windows},
};

/// Compares every byte of `object` with `spec`; beyond the object's end its last page must be zero.
pub(crate) fn verify(object: &Object, spec: &ObjectSpec, pace: &mut Pace<'_>) -> Outcome<Verification> {
    let from = now();
    let bytes = object.size()?;
    let (mut digest, mut identical, mut bad) = (Digest::default(), 0, Vec::new());
    let (mut expected, mut found): (Page, Page) = ([0; WORDS], [0; WORDS]);
    for (first, count) in windows(pages(bytes)) {
        let mapping = object.map(first, count, false)?;
        for at in 0..count {
            let index = first + at as u64;
            fill_cut(&mut expected, spec.seed, index, spec.bytes);
            let equal = copy_and_compare(mapping.page(at), &mut found, &expected);
            digest.page(&found);
            if equal {
                identical += 1;
            } else if bad.len() < MAX_BAD_PAGES {
                bad.push(classify(&found, &expected, spec, index));
            }
            pace.page();
        }
    }
    let digest = digest.value();
    let span = protocol::message::Span { from, to: now() };
    Ok(Verification { bytes, pages: pages(bytes), identical, bad, digest, span })
}

/// Takes a page's content once, so that comparison, digest and report speak of the same bytes.
///
/// No slice comparison: it would call the C library's `memcmp`, which in musl goes byte by byte.
fn copy_and_compare(page: &SharedPage, copy: &mut Page, expected: &Page) -> bool {
    let mut difference = 0;
    for ((word, copy), expected) in page.iter().zip(copy).zip(expected) {
        *copy = word.load(Relaxed);
        difference |= *copy ^ expected;
    }
    difference == 0
}

/// Tells what stands in the place of page `index`.
fn classify(found: &Page, expected: &Page, spec: &ObjectSpec, index: u64) -> BadPage {
    let word = (0..WORDS).find(|&word| found[word] != expected[word]).unwrap_or(0);
    let difference = u64::from_le(found[word] ^ expected[word]);
    BadPage {
        index,
        found: what(found, spec, index),
        offset: (8 * word) as u32 + difference.trailing_zeros().min(63) / 8,
        expected: u64::from_le(expected[word]),
        actual: u64::from_le(found[word]),
    }
}

fn what(found: &Page, spec: &ObjectSpec, index: u64) -> Found {
    if found.iter().all(|&word| word == 0) {
        return Found::Zeros;
    }
    let pages = pages(spec.bytes);
    let tagged = (u64::from_le(found[0]) == tag(spec.seed)).then_some(u64::from_le(found[1]));
    // The last page may be cut short of its tag.
    let is = |other: u64| {
        let mut whole = [0; WORDS];
        fill_cut(&mut whole, spec.seed, other, spec.bytes);
        other != index && other < pages && whole == *found
    };
    let mut others = tagged.into_iter().chain(pages.checked_sub(1));
    others.find(|&other| is(other)).map_or(Found::Damaged, Found::OtherPage)
}

#[cfg(test)]
mod tests {
    use protocol::{message::ObjectId, pattern::PAGE};

    use super::*;

    const SPEC: ObjectSpec = ObjectSpec { id: ObjectId(1), bytes: 3 * PAGE as u64 + 100, seed: 5 };

    fn page(index: u64) -> Page {
        let mut page = [0; WORDS];
        fill_cut(&mut page, SPEC.seed, index, SPEC.bytes);
        page
    }

    #[test]
    fn a_flipped_bit_is_damage_at_its_byte() {
        let mut found = page(1);
        found[256] ^= (1u64 << 17).to_le();
        let bad = classify(&found, &page(1), &SPEC, 1);
        assert_eq!((bad.index, bad.found, bad.offset), (1, Found::Damaged, 2050));
        assert_eq!(bad.expected ^ bad.actual, 1 << 17);
    }

    #[test]
    fn another_page_is_named_the_cut_one_too() {
        assert_eq!(classify(&page(2), &page(0), &SPEC, 0).found, Found::OtherPage(2));
        assert_eq!(classify(&page(3), &page(0), &SPEC, 0).found, Found::OtherPage(3));
        assert_eq!(classify(&page(0), &page(3), &SPEC, 3).found, Found::OtherPage(0));
    }

    #[test]
    fn a_last_page_without_a_tag_is_named() {
        let spec = ObjectSpec { bytes: PAGE as u64 + 5, ..SPEC };
        let (mut first, mut last) = ([0; WORDS], [0; WORDS]);
        fill_cut(&mut first, spec.seed, 0, spec.bytes);
        fill_cut(&mut last, spec.seed, 1, spec.bytes);
        assert_eq!(classify(&last, &first, &spec, 0).found, Found::OtherPage(1));
        assert_eq!(classify(&first, &last, &spec, 1).found, Found::OtherPage(0));
    }

    #[test]
    fn a_damaged_other_page_is_damage() {
        let mut found = page(2);
        found[WORDS - 1] ^= 1;
        assert_eq!(classify(&found, &page(0), &SPEC, 0).found, Found::Damaged);
        // A page index that the object does not have.
        let mut beyond = page(2);
        beyond[1] = 77u64.to_le();
        assert_eq!(classify(&beyond, &page(0), &SPEC, 0).found, Found::Damaged);
    }

    #[test]
    fn zeros_are_zeros() {
        let bad = classify(&[0; WORDS], &page(1), &SPEC, 1);
        assert_eq!((bad.found, bad.actual), (Found::Zeros, 0));
    }
}
