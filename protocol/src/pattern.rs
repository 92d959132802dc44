//! Page content that is a function of `(seed, page index)`.
//!
//! Each page begins with a tag of its seed and its own index, so that a page found in another's place
//! can be named; the rest is a pseudo-random stream that no other page shares. An object that ends
//! inside a page holds the beginning of that page's content.

/// Bytes in a page.
pub const PAGE: usize = 4096;
/// 64-bit words in a page.
pub const WORDS: usize = PAGE / 8;

/// Content of one page, as little-endian words.
pub type Page = [u64; WORDS];

/// SplitMix64's finaliser: spreads near seeds far apart.
const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The word that begins every page made from `seed`.
#[must_use]
pub const fn tag(seed: u64) -> u64 {
    mix(seed ^ u64::from_le_bytes(*b"LAB-PAGE"))
}

/// Writes the content of page `index` of the object with `seed`.
pub fn fill(page: &mut Page, seed: u64, index: u64) {
    page[0] = tag(seed).to_le();
    page[1] = index.to_le();
    // A 64-bit LCG (Knuth's MMIX constants), its high bits folded down: two operations a word, which
    // keeps a guest under software emulation fast, and every word depends on seed and index.
    let mut state = mix(seed.wrapping_add(mix(index)));
    for word in &mut page[2..] {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *word = (state ^ (state >> 33)).to_le();
    }
}

/// An order-sensitive 64-bit digest of content that was really read.
///
/// Agent and host compute it apart: the agent over what it read, the host over what should be there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest(u64);

impl Digest {
    /// Takes in one page, whole or cut: words beyond the object's end count as zero.
    pub fn page(&mut self, page: &Page) {
        let mut hash = self.0 ^ 0x9e37_79b9_7f4a_7c15;
        for word in page {
            hash = (hash.rotate_left(5) ^ u64::from_le(*word)).wrapping_mul(0x517c_c1b7_2722_0a95);
        }
        self.0 = hash;
    }

    /// The value so far.
    #[must_use]
    pub const fn value(self) -> u64 {
        self.0
    }
}

/// Writes page `index` as it stands in an object of `bytes` bytes: beyond the end is zero.
pub fn fill_cut(page: &mut Page, seed: u64, index: u64, bytes: u64) {
    fill(page, seed, index);
    let within = bytes.saturating_sub(index.saturating_mul(PAGE as u64)).min(PAGE as u64) as usize;
    let (whole, part) = (within / 8, within % 8);
    if whole < WORDS {
        let kept = (1u64 << (8 * part)) - 1;
        page[whole] = (u64::from_le(page[whole]) & kept).to_le();
        page[whole + 1..].fill(0);
    }
}

/// Pages that an object of `bytes` bytes has, the last perhaps in part.
#[must_use]
pub const fn pages(bytes: u64) -> u64 {
    bytes.div_ceil(PAGE as u64)
}

/// The digest that an intact object of `bytes` bytes must have.
#[must_use]
pub fn expected_digest(seed: u64, bytes: u64) -> Digest {
    let mut digest = Digest::default();
    let mut page = [0; WORDS];
    for index in 0..pages(bytes) {
        fill_cut(&mut page, seed, index, bytes);
        digest.page(&page);
    }
    digest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn page(seed: u64, index: u64) -> Page {
        let mut page = [0; WORDS];
        fill(&mut page, seed, index);
        page
    }

    proptest! {
        #[test]
        fn no_two_pages_are_alike(seed: u64, a in 0u64..1 << 20, b in 0u64..1 << 20) {
            prop_assume!(a != b);
            let (a, b) = (page(seed, a), page(seed, b));
            let shared = a.iter().zip(&b).filter(|(a, b)| a == b).count();
            prop_assert!(shared <= 2, "{} words shared", shared);
        }

        #[test]
        fn order_changes_the_digest(seed: u64, a in 0u64..64, b in 0u64..64) {
            prop_assume!(a != b);
            let digest = |order: [u64; 2]| {
                let mut digest = Digest::default();
                order.iter().for_each(|&index| digest.page(&page(seed, index)));
                digest
            };
            prop_assert_ne!(digest([a, b]), digest([b, a]));
        }

        #[test]
        fn any_changed_bit_changes_the_digest(seed: u64, word in 0usize..WORDS, bit in 0u32..64) {
            let (mut whole, mut broken) = (Digest::default(), Digest::default());
            let mut content = page(seed, 0);
            whole.page(&content);
            content[word] ^= 1 << bit;
            broken.page(&content);
            prop_assert_ne!(whole, broken);
        }

        #[test]
        fn a_cut_page_is_a_prefix(seed: u64, bytes in 0u64..3 * PAGE as u64) {
            for index in 0..3 {
                let mut cut = [0; WORDS];
                fill_cut(&mut cut, seed, index, bytes);
                let within = bytes.saturating_sub(index * PAGE as u64).min(PAGE as u64) as usize;
                let bytes_of = |page: &Page| page.iter().flat_map(|word| word.to_ne_bytes()).collect::<Vec<_>>();
                let (cut, full) = (bytes_of(&cut), bytes_of(&page(seed, index)));
                prop_assert_eq!(&cut[..within], &full[..within]);
                prop_assert!(cut[within..].iter().all(|&byte| byte == 0));
            }
        }
    }

    #[test]
    fn the_pattern_is_pinned() {
        // A kernel may hand pages to an agent built from another commit: the content must not drift.
        assert_eq!(expected_digest(1, 3 * PAGE as u64 + 5).value(), 9_413_699_664_264_475_651);
    }
}
