//! One machine's part of a matrix: `2/4`.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// Most parts.
const MAX: usize = 1000;

/// Which of how many parts; both counted from one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    number: usize,
    of: usize,
}

impl Partition {
    /// All of it.
    pub const WHOLE: Self = Self { number: 1, of: 1 };

    /// All parts of so many.
    pub fn all(of: usize) -> impl Iterator<Item = Self> {
        (1..=of.clamp(1, MAX)).map(move |number| Self { number, of: of.clamp(1, MAX) })
    }

    /// All parts of so many, as JSON that GitHub Actions makes jobs of: `matrix: ${{ fromJSON(…) }}`.
    #[must_use]
    pub fn for_github(of: usize) -> String {
        let parts: Vec<String> = Self::all(of).map(|part| part.to_string()).collect();
        serde_json::json!({ "partition": parts }).to_string()
    }

    /// Its stretch of so many things. Neighbours stay together, since they need the same kernels.
    #[must_use]
    pub fn of(self, count: usize) -> Range<usize> {
        let edge = |number: usize| count * number / self.of;
        edge(self.number - 1)..edge(self.number)
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

impl FromStr for Partition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once('/').and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
        match parsed {
            Some((number @ 1.., of)) if number <= of && of <= MAX => Ok(Self { number, of }),
            _ => Err(format!("`{text}` is no part of a whole: write 1/4 to 4/4, of at most {MAX}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parts_are_written_as_people_do() {
        let parsed: Partition = "2/4".parse().unwrap();
        assert_eq!((parsed.to_string().as_str(), parsed.of(8)), ("2/4", 2..4));
        for text in ["", "0/4", "5/4", "1/0", "a/b", "1", "1/2/3", "-1/2", "1/1001"] {
            assert!(text.parse::<Partition>().is_err(), "{text}");
        }
    }

    #[test]
    fn github_gets_a_list() {
        assert_eq!(Partition::for_github(2), r#"{"partition":["1/2","2/2"]}"#);
    }

    proptest! {
        #[test]
        fn parts_make_the_whole(count in 0usize..10_000, of in 1usize..50) {
            let all: Vec<usize> = Partition::all(of).flat_map(|part| part.of(count)).collect();
            prop_assert_eq!(all, (0..count).collect::<Vec<_>>());
        }

        #[test]
        fn no_part_is_much_larger_than_another(count in 0usize..10_000, of in 1usize..50) {
            let sizes: Vec<usize> = Partition::all(of).map(|part| part.of(count).len()).collect();
            prop_assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1);
        }
    }
}
