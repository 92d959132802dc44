//! Medians and ratios.

use std::fmt;

/// What many samples come to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// The least.
    pub min: f64,
    /// The middle; between the two middle ones of an even number.
    pub median: f64,
    /// The greatest.
    pub max: f64,
}

impl Summary {
    /// Of these samples; `None` if there are none.
    #[must_use]
    pub fn of(samples: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = samples.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (&min, &max) = (sorted.first()?, sorted.last()?);
        let (low, high) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
        Some(Self { min, median: f64::midpoint(low, high), max })
    }

    /// Of the ratios pair by pair: both of a pair met the same weather on the host.
    #[must_use]
    pub fn of_ratios(pairs: impl IntoIterator<Item = (f64, f64)>) -> Option<Self> {
        Self::of(pairs.into_iter().map(|(mine, theirs)| mine / theirs))
    }
}

/// How a cost grows: the power of the count that it follows, by least squares of the logarithms. 1 is linear, 2
/// the square. `None` of fewer than two counts, or where a cost is nothing.
#[must_use]
pub fn exponent(points: &[(f64, f64)]) -> Option<f64> {
    let logs: Vec<(f64, f64)> = points.iter().map(|(count, cost)| (count.ln(), cost.ln())).collect();
    let mean = |of: fn(&(f64, f64)) -> f64| logs.iter().map(of).sum::<f64>() / logs.len() as f64;
    let (x, y) = (mean(|log| log.0), mean(|log| log.1));
    let (up, across) = logs
        .iter()
        .fold((0.0, 0.0), |(up, across), log| (up + (log.0 - x) * (log.1 - y), across + (log.0 - x) * (log.0 - x)));
    let exponent = up / across;
    exponent.is_finite().then_some(exponent)
}

impl fmt::Display for Summary {
    /// Three columns.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>8.3} {:>8.3} {:>8.3}", self.min, self.median, self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_is_the_middle() {
        assert_eq!(Summary::of([]), None);
        assert_eq!(Summary::of([3.0, 1.0, 2.0]), Some(Summary { min: 1.0, median: 2.0, max: 3.0 }));
        assert_eq!(Summary::of([4.0, 1.0, 2.0, 8.0]).map(|summary| summary.median), Some(3.0));
    }

    #[test]
    fn growth_is_told_by_its_power() {
        let grown = |cost: fn(f64) -> f64| exponent(&[10.0, 100.0, 1000.0].map(|count| (count, cost(count))));
        let is = |found: Option<f64>, power: f64| found.is_some_and(|found| (found - power).abs() < 1e-9);
        assert!(is(grown(|n| 3.0 * n), 1.0));
        assert!(is(grown(|n| 0.5 * n * n), 2.0));
        assert!(is(grown(|_| 7.0), 0.0));
        assert_eq!(exponent(&[(10.0, 1.0)]), None);
        assert_eq!(exponent(&[(10.0, 0.0), (20.0, 1.0)]), None);
        assert_eq!(exponent(&[]), None);
    }

    #[test]
    fn ratios_are_taken_pair_by_pair() {
        // The medians are equal; the pairs are not.
        let pairs = [(1.0, 2.0), (2.0, 4.0), (4.0, 2.0)];
        assert_eq!(Summary::of_ratios(pairs), Some(Summary { min: 0.5, median: 0.5, max: 2.0 }));
    }
}
