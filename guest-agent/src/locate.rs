//! Where an object's pages lie in physical memory.

use protocol::{
    message::{FrameRun, MAX_LOCATE},
    pattern::{PAGE, pages},
};

use crate::{
    failure::{Outcome, Tell, refuse},
    objects::Object,
};

const PAGEMAP: &str = "/proc/self/pagemap";

/// Looks up `count` pages of `object` from page `first` on.
pub(crate) fn locate(object: &Object, first: u64, count: u64) -> Outcome<Vec<FrameRun>> {
    let total = pages(object.size()?);
    if count > MAX_LOCATE || first.checked_add(count).is_none_or(|end| end > total) {
        let detail = format!("{count} pages from page {first} of {total}, at most {MAX_LOCATE} at once");
        return Err(refuse("locate pages", detail));
    }
    if count == 0 {
        return Ok(Vec::new());
    }
    let pagemap = std::fs::File::open(PAGEMAP).tell(format!("open {PAGEMAP}"))?;
    // Mapping them makes them present: an entry speaks of this process's page table.
    let mapping = object.map(first, count as usize, false)?;
    let mut entries = vec![0u8; count as usize * 8];
    let place = (mapping.address() / PAGE * 8) as u64;
    std::os::unix::fs::FileExt::read_exact_at(&pagemap, &mut entries, place).tell(format!("read {PAGEMAP}"))?;
    let (entries, _) = entries.as_chunks();
    Ok(coalesce(entries.iter().map(|&entry| frame(u64::from_ne_bytes(entry)))))
}

/// The page frame number in a pagemap entry, if the page is present (bit 63).
fn frame(entry: u64) -> Option<u64> {
    (entry >> 63 == 1).then_some(entry & ((1 << 55) - 1))
}

/// Joins adjacent frames, and neighbours that are both absent.
fn coalesce(frames: impl Iterator<Item = Option<u64>>) -> Vec<FrameRun> {
    let mut runs: Vec<FrameRun> = Vec::new();
    for first in frames {
        match runs.last_mut() {
            Some(run) if run.first.map(|start| start + run.pages) == first => run.pages += 1,
            _ => runs.push(FrameRun { first, pages: 1 }),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(frames: &[Option<u64>]) -> Vec<(Option<u64>, u64)> {
        coalesce(frames.iter().copied()).into_iter().map(|run| (run.first, run.pages)).collect()
    }

    #[test]
    fn adjacent_frames_join() {
        assert_eq!(runs(&[]), []);
        assert_eq!(runs(&[Some(7), Some(8), Some(9)]), [(Some(7), 3)]);
        assert_eq!(runs(&[Some(9), Some(8), Some(9)]), [(Some(9), 1), (Some(8), 2)]);
    }

    #[test]
    fn absent_pages_join_apart() {
        let frames = [None, None, Some(0), Some(1), None, Some(2)];
        assert_eq!(runs(&frames), [(None, 2), (Some(0), 2), (None, 1), (Some(2), 1)]);
    }

    #[test]
    fn an_entry_counts_if_present() {
        assert_eq!(frame(1 << 63 | 1 << 55 | 0x1234), Some(0x1234));
        assert_eq!(frame(0x1234), None);
    }
}
