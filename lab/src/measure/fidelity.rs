//! Whether preserved memory is what it was, and where it was.
//!
//! The agent compares and tells; the host judges. It trusts no count that it can compute itself: the
//! number of pages follows from the size, and the digest of what was read must be the digest of what
//! should be there.

use protocol::message::{Found, FrameRun, MAX_BAD_PAGES, Verification};
use protocol::pattern;

use crate::result::{BadPage, Failure, FailureKind, Fidelity};
use crate::scenario::plan::Object;

/// Physical pages of an object, as runs in page order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frames(Vec<FrameRun>);

impl Frames {
    /// Takes in the runs that follow on those before.
    pub fn extend(&mut self, runs: Vec<FrameRun>) {
        self.0.extend(runs);
    }

    /// Pages told of; saturates, since the guest may tell anything.
    #[must_use]
    pub fn pages(&self) -> u64 {
        self.0.iter().fold(0, |sum: u64, run| sum.saturating_add(run.pages))
    }

    /// The first runs, no more than so many pages of them.
    #[must_use]
    pub fn beginning(&self, pages: u64) -> Vec<FrameRun> {
        let mut left = pages;
        let mut runs = Vec::new();
        for run in &self.0 {
            let pages = run.pages.min(left);
            if pages == 0 {
                break;
            }
            runs.push(FrameRun { first: run.first, pages });
            left -= pages;
        }
        runs
    }

    /// Pages that lie at the same physical address in `other`.
    #[must_use]
    pub fn in_common(&self, other: &Self) -> u64 {
        let mut common = 0;
        let (mut mine, mut theirs) = (self.0.iter().copied(), other.0.iter().copied());
        let (mut a, mut b) = (mine.next(), theirs.next());
        while let (Some(left), Some(right)) = (a, b) {
            let pages = left.pages.min(right.pages);
            if left.first.is_some() && left.first == right.first {
                common += pages;
            }
            a = rest(left, pages).or_else(|| mine.next());
            b = rest(right, pages).or_else(|| theirs.next());
        }
        common
    }
}

fn rest(run: FrameRun, taken: u64) -> Option<FrameRun> {
    let pages = run.pages - taken;
    (pages > 0).then(|| FrameRun { first: run.first.map(|first| first.wrapping_add(taken)), pages })
}

/// Judges an object's content, and adds it to `total`.
///
/// # Errors
/// The failure, if it is not what it must be, or if the agent claims what cannot be.
pub fn judge(object: &Object, told: &Verification, total: &mut Fidelity) -> Result<(), Failure> {
    let (name, spec) = (&object.name, object.spec);
    let pages = pattern::pages(spec.bytes);
    if told.bytes != spec.bytes {
        let message = format!("{name} came back with {} bytes, it had {}", told.bytes, spec.bytes);
        return Err(Failure::new(FailureKind::WrongSize, message));
    }
    if !is_consistent(object, told) {
        let message = format!(
            "the agent says {} of {} pages of {name} are identical and names {} that are not; it has {pages}, and that \
             cannot be",
            told.identical,
            told.pages,
            told.bad.len()
        );
        return Err(Failure::new(FailureKind::AgentMisbehaved, message));
    }
    total.objects += 1;
    total.bytes += spec.bytes;
    total.pages += pages;
    total.identical += told.identical;
    if let Some(first) = told.bad.first() {
        let (kind, found) = match first.found {
            Found::OtherPage(other) => (FailureKind::PagesSwapped, format!("page {other} of {name}")),
            Found::Zeros => (FailureKind::PageCorrupted, "nothing but zeros".to_owned()),
            Found::Damaged => (FailureKind::PageCorrupted, "changed bytes".to_owned()),
        };
        let page = BadPage {
            object: name.clone(),
            index: first.index,
            found,
            offset: first.offset,
            expected: hex(first.expected),
            actual: hex(first.actual),
        };
        let message = format!(
            "page {} of {name} holds {}: at byte {} there is {} instead of {} ({} of {pages} pages are not identical)",
            page.index,
            page.found,
            page.offset,
            page.actual,
            page.expected,
            pages - told.identical,
        );
        total.first_bad.get_or_insert(page);
        return Err(Failure::new(kind, message));
    }
    if told.digest != pattern::expected_digest(spec.seed, spec.bytes).value() {
        let message =
            format!("the agent says that {name} is identical, the digest of what it read is not the right one");
        return Err(Failure::new(FailureKind::AgentMisbehaved, message));
    }
    Ok(())
}

/// Judges where an object's pages lie, and adds that to `total`.
///
/// # Errors
/// A page is not where it was: it was copied.
pub fn judge_place(object: &Object, in_place: u64, total: &mut Fidelity) -> Result<(), Failure> {
    let pages = pattern::pages(object.spec.bytes);
    total.in_place += in_place.min(pages);
    if in_place >= pages {
        return Ok(());
    }
    let message = format!("{} of {pages} pages of {} lie elsewhere than before", pages - in_place, object.name);
    Err(Failure::new(FailureKind::PageMoved, message))
}

/// Whether what the agent tells can be, as far as the host can compute it by itself.
fn is_consistent(object: &Object, told: &Verification) -> bool {
    let pages = pattern::pages(object.spec.bytes);
    let Some(not_identical) = pages.checked_sub(told.identical) else { return false };
    let named = u64::try_from(told.bad.len()).unwrap_or(u64::MAX);
    let rising = told.bad.windows(2).all(|two| two[0].index < two[1].index);
    let mut page = [0; pattern::WORDS];
    told.pages == pages
        && named == not_identical.min(MAX_BAD_PAGES as u64)
        && rising
        && told.bad.iter().all(|bad| {
            pattern::fill_cut(&mut page, object.spec.seed, bad.index, object.spec.bytes);
            let word = page.get(bad.offset as usize / 8).copied().map(u64::from_le);
            bad.index < pages && bad.expected != bad.actual && word == Some(bad.expected)
        })
}

fn hex(word: u64) -> String {
    word.to_le_bytes().map(|byte| format!("{byte:02x}")).join(" ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use protocol::message::{ObjectId, ObjectSpec, Span, Tsc};

    use super::*;

    fn object() -> Object {
        Object { name: "ledger".to_owned(), spec: ObjectSpec { id: ObjectId(1), bytes: 3 * 4096, seed: 5 } }
    }

    fn honest() -> Verification {
        Verification {
            bytes: 3 * 4096,
            pages: 3,
            identical: 3,
            bad: Vec::new(),
            digest: pattern::expected_digest(5, 3 * 4096).value(),
            span: Span { from: Tsc(0), to: Tsc(1) },
        }
    }

    fn kind_of(told: &Verification) -> Option<FailureKind> {
        judge(&object(), told, &mut Fidelity::default()).err().map(|failure| failure.kind)
    }

    #[test]
    fn an_honest_report_passes_and_every_lie_is_seen() {
        assert_eq!(kind_of(&honest()), None);
        let bad = |found| {
            // The second word of a page is its index.
            let page = protocol::message::BadPage { index: 1, found, offset: 9, expected: 1, actual: 2 };
            Verification { identical: 2, bad: vec![page], ..honest() }
        };
        assert_eq!(kind_of(&bad(Found::Damaged)), Some(FailureKind::PageCorrupted));
        assert_eq!(kind_of(&bad(Found::OtherPage(2))), Some(FailureKind::PagesSwapped));
        assert_eq!(kind_of(&Verification { bytes: 4096, ..honest() }), Some(FailureKind::WrongSize));
        for lie in [
            Verification { pages: 2, ..honest() },
            Verification { identical: 2, ..honest() },
            Verification { identical: 9, ..honest() },
            Verification { digest: 0, ..honest() },
            Verification { identical: 3, ..bad(Found::Damaged) },
            Verification { identical: 1, ..bad(Found::Damaged) },
            Verification {
                bad: vec![protocol::message::BadPage { expected: 7, ..bad(Found::Zeros).bad[0] }],
                ..bad(Found::Zeros)
            },
            Verification {
                bad: vec![protocol::message::BadPage { index: 3, ..bad(Found::Zeros).bad[0] }],
                ..bad(Found::Zeros)
            },
            Verification {
                bad: vec![protocol::message::BadPage { offset: 4096, ..bad(Found::Zeros).bad[0] }],
                ..bad(Found::Zeros)
            },
        ] {
            assert_eq!(kind_of(&lie), Some(FailureKind::AgentMisbehaved), "{lie:?}");
        }
    }

    #[test]
    fn a_copied_page_is_seen() {
        let mut total = Fidelity::default();
        assert_eq!(judge_place(&object(), 3, &mut total), Ok(()));
        assert_eq!(judge_place(&object(), 2, &mut total).unwrap_err().kind, FailureKind::PageMoved);
        assert_eq!(total.in_place, 5);
    }

    fn runs_of(pages: &[Option<u64>], cut: usize) -> Frames {
        let mut frames = Frames::default();
        for piece in pages.chunks(cut) {
            let mut runs: Vec<FrameRun> = Vec::new();
            for &page in piece {
                match runs.last_mut() {
                    Some(last) if page.is_some() && last.first.map(|first| first + last.pages) == page => {
                        last.pages += 1;
                    }
                    _ => runs.push(FrameRun { first: page, pages: 1 }),
                }
            }
            frames.extend(runs);
        }
        frames
    }

    proptest! {
        #[test]
        fn runs_compare_as_pages_do(
            pages in prop::collection::vec((prop::option::of(0u64..6), prop::option::of(0u64..6)), 0..40),
            cuts in (1usize..9, 1usize..9),
        ) {
            let (before, after): (Vec<_>, Vec<_>) = pages.into_iter().unzip();
            let same = before.iter().zip(&after).filter(|(a, b)| a.is_some() && a == b).count() as u64;
            prop_assert_eq!(runs_of(&before, cuts.0).in_common(&runs_of(&after, cuts.1)), same);
        }
    }
}
