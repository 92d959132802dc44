//! Whether a chain of updates loses memory on its way, to the page.
//!
//! A page that is handed over is not the kernel's until it is restored or freed, and `MemTotal` grows by each that is: so
//! a page that never is, is missing from it. Of one generation that says little, since boots of one kernel differ by a
//! page now and then. Of many it says all: the middle one of their counts does not move. Of few it is the least that
//! counts, so that chance alone makes none red; a leak of a single page may then go unseen.

use std::collections::BTreeMap;

use protocol::pattern::PAGE;

use crate::result::{Failure, FailureKind};
use crate::scenario::plan::Load;

/// Of so many counts the middle one is worth something.
const ENOUGH: usize = 7;

/// What the generations of a chain have of memory, by kernel.
#[derive(Clone, Debug, Default)]
pub struct Accounts(BTreeMap<String, Account>);

#[derive(Clone, Debug, Default)]
struct Account {
    empty: Vec<u64>,
    carried: Vec<u64>,
}

impl Accounts {
    /// Notes that a generation of this kernel manages so many bytes.
    pub fn enter(&mut self, kernel: &str, load: Load, bytes: u64) {
        let account = self.0.entry(kernel.to_owned()).or_default();
        match load {
            Load::Empty => account.empty.push(bytes),
            Load::Carried => account.carried.push(bytes),
        }
    }

    /// Decides: what was carried must leave as much as what was not, in the end as in the beginning.
    ///
    /// # Errors
    /// Memory is missing, or nothing was counted.
    pub fn balance(&self) -> Result<(), Failure> {
        if self.0.is_empty() {
            return Err(leak("no generation was counted".to_owned()));
        }
        for (kernel, account) in &self.0 {
            account.balance().map_err(|what| leak(format!("under {kernel} {what}")))?;
        }
        Ok(())
    }
}

impl Account {
    fn balance(&self) -> Result<(), String> {
        let least = || self.empty.iter().min().copied();
        let empty = if self.empty.len() < ENOUGH { least() } else { middle(&self.empty) };
        let (Some(empty), Some(carried)) = (empty, middle(&self.carried)) else {
            return Err("there are not both generations that carried and that did not".to_owned());
        };
        if carried < empty {
            let missing = pages(empty - carried);
            return Err(format!(
                "{missing} less after an update that carried something than after one that did not: {} of {} \
                 generations have less",
                self.carried.iter().filter(|&&bytes| bytes < empty).count(),
                self.carried.len()
            ));
        }
        let part = self.carried.len().div_ceil(4);
        let (first, last) = (&self.carried[..part], &self.carried[self.carried.len() - part..]);
        match (middle(first), middle(last)) {
            (Some(first), Some(last)) if part >= ENOUGH && last < first => {
                Err(format!("{} less in the last quarter of the chain than in the first", pages(first - last)))
            }
            _ => Ok(()),
        }
    }
}

/// The middle one; of an even number the greater of the two.
fn middle(counts: &[u64]) -> Option<u64> {
    let mut sorted = counts.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied()
}

fn pages(bytes: u64) -> String {
    match bytes / PAGE as u64 {
        1 => "1 page".to_owned(),
        pages => format!("{pages} pages"),
    }
}

fn leak(message: String) -> Failure {
    Failure::new(FailureKind::Leak, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOTAL: u64 = 255_646 * 4096;

    /// Counts in pages more or less than usual.
    fn balance(empty: &[i64], carried: &[i64]) -> Result<(), String> {
        let mut accounts = Accounts::default();
        for (load, counts) in [(Load::Empty, empty), (Load::Carried, carried)] {
            for &count in counts {
                accounts.enter("7.3", load, TOTAL.saturating_add_signed(count * 4096));
            }
        }
        accounts.balance().map_err(|failure| failure.message)
    }

    #[test]
    fn a_page_now_and_then_is_none() {
        assert_eq!(balance(&[0, -1, 0], &[0, 0, 1, 0, 0, -1, 0, 0]), Ok(()));
        assert_eq!(balance(&[0, 0, 0], &[1, 1, 1]), Ok(()));
        // As chance would have it: two of three with one more, and the first quarter of a few with one more than the last.
        assert_eq!(balance(&[1, 1, 0], &[0, 0, 0, 0, 0, 0]), Ok(()));
        assert_eq!(balance(&[0, 0, 0], &[1, 0, 0, 0, 0, 0]), Ok(()));
        assert_eq!(balance(&[1, 0, 0, 1, -1, 0, 0, 1, 1], &[0; 100]), Ok(()));
    }

    #[test]
    fn a_page_a_hop_is_one() {
        let told = balance(&[0, 0, 1], &[-1, -1, 0, -1, -1, -2, -1, -1]).unwrap_err();
        assert!(told.starts_with("under 7.3 1 page less after") && told.contains("7 of 8"), "{told}");
        // Even if one of many that carried nothing had a page less.
        let told = balance(&[0, -1, 0, 0, 1, 0, 0, 0, 0], &[-1; 100]).unwrap_err();
        assert!(told.contains("100 of 100"), "{told}");
    }

    #[test]
    fn one_that_grows_is_seen_in_the_end() {
        let late: Vec<i64> = (0..40).map(|hop| (24 - hop).min(0)).collect();
        let told = balance(&[0, 0, 0], &late).unwrap_err();
        assert!(told.contains("10 pages less in the last quarter"), "{told}");
    }

    #[test]
    fn nothing_counted_is_no_proof() {
        assert!(balance(&[], &[]).is_err());
        assert!(balance(&[0], &[]).is_err());
        assert!(balance(&[], &[0]).is_err());
    }

    #[test]
    fn kernels_are_not_compared_with_one_another() {
        let mut accounts = Accounts::default();
        for (kernel, bytes) in [("7.2", TOTAL - 500 * 4096), ("7.3", TOTAL)] {
            accounts.enter(kernel, Load::Empty, bytes);
            accounts.enter(kernel, Load::Carried, bytes);
        }
        assert_eq!(accounts.balance(), Ok(()));
    }
}
