//! Other inputs out of known ones, by dice that always fall the same way.

/// SplitMix64.
pub(super) struct Dice(u64);

/// Numbers that are the end of something.
const NUMBERS: [u64; 10] = [0, 1, 7, 8, 0x7f, 0xff, 0xffff, u32::MAX as u64, 1 << 52, u64::MAX];

impl Dice {
    /// Each name has its own.
    pub(super) fn of(name: &str) -> Self {
        Self(name.bytes().fold(0, |seed, byte| seed << 8 ^ seed >> 56 ^ u64::from(byte)))
    }

    fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Less than `end`; zero of nothing.
    fn below(&mut self, end: usize) -> usize {
        self.throw().checked_rem(end as u64).unwrap_or(0) as usize
    }

    /// One of them, changed in a few places.
    pub(super) fn mutate(&mut self, seeds: &[&[u8]]) -> Vec<u8> {
        let mut bytes = seeds[self.below(seeds.len())].to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len() + 1);
            let end = (at + 1 + self.below(16)).min(bytes.len());
            match self.below(7) {
                0 => bytes.truncate(at),
                1 => drop(bytes.drain(at..end)),
                2 => {
                    let again = bytes[at..end].to_vec();
                    bytes.splice(at..at, again);
                }
                3 => {
                    // What comes from elsewhere goes on to its own end.
                    let other = seeds[self.below(seeds.len())];
                    let from = self.below(other.len() + 1);
                    bytes.truncate(at);
                    bytes.extend(&other[from..]);
                }
                4 => {
                    let number = NUMBERS[self.below(NUMBERS.len())].to_le_bytes();
                    let length = 1 << self.below(4);
                    bytes.iter_mut().skip(at).zip(&number[..length]).for_each(|(to, from)| *to = *from);
                }
                5 => bytes.insert(at, self.throw() as u8),
                _ => {
                    let bit = 1 << self.below(8);
                    bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= bit);
                }
            }
        }
        bytes
    }
}
