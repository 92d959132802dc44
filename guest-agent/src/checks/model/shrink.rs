//! The shortest part of a sequence that still goes wrong.

/// Takes out what is not needed, in ever smaller pieces (Zeller, Hildebrandt: "Simplifying and isolating
/// failure-inducing input", 2002). `fails` tells whether a sequence still goes wrong; it is asked at most `tries`
/// times.
pub(super) fn shrink<T: Clone>(sequence: &[T], tries: usize, mut fails: impl FnMut(&[T]) -> bool) -> Vec<T> {
    let mut rest = sequence.to_vec();
    let mut left = tries;
    let mut piece = rest.len().div_ceil(2);
    while piece > 0 {
        let mut at = 0;
        let mut shorter = false;
        while at < rest.len() && left > 0 {
            let end = (at + piece).min(rest.len());
            let without: Vec<T> = rest[..at].iter().chain(&rest[end..]).cloned().collect();
            left -= 1;
            if fails(&without) {
                rest = without;
                shorter = true;
            } else {
                at = end;
            }
        }
        // At the smallest, until nothing can go any more.
        piece = if piece == 1 && shorter && left > 0 { 1 } else { piece / 2 };
    }
    rest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_needed_remains_in_its_order() {
        let all: Vec<u32> = (0..100).collect();
        let needed = |part: &[u32]| {
            let places: Vec<usize> =
                [7, 40, 93].iter().filter_map(|wanted| part.iter().position(|number| number == wanted)).collect();
            places.len() == 3 && places.is_sorted()
        };
        assert_eq!(shrink(&all, 10_000, needed), [7, 40, 93]);
        assert_eq!(shrink(&all, 0, needed), all, "no try, nothing gone");
    }

    proptest! {
        #[test]
        fn what_remains_still_fails_and_nothing_in_it_can_go(all in prop::collection::vec(0u8..10, 1..60), sum in 1u32..60) {
            let fails = |part: &[u8]| part.iter().map(|&n| u32::from(n)).sum::<u32>() >= sum;
            prop_assume!(fails(&all));
            let rest = shrink(&all, usize::MAX, fails);
            prop_assert!(fails(&rest));
            for at in 0..rest.len() {
                let mut without = rest.clone();
                without.remove(at);
                prop_assert!(!fails(&without));
            }
        }
    }
}
