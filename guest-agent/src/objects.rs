//! The memory files that the holder has open.

use std::{collections::BTreeMap, sync::atomic::Ordering::Relaxed, time::Instant};

use protocol::{
    message::{ObjectId, ObjectSpec, Reply},
    pattern::{PAGE, WORDS, fill_cut, pages},
};
use rustix::fd::OwnedFd;

use crate::{
    PROGRESS,
    failure::{Outcome, Tell, refuse},
    mapping::Mapping,
};

/// Pages mapped at a time: bounds the page tables, and the time without a sign of progress.
const WINDOW: u64 = 4096;

/// Cuts `pages` pages into windows: first page and count of each.
pub(crate) fn windows(pages: u64) -> impl Iterator<Item = (u64, usize)> {
    (0..pages.div_ceil(WINDOW)).map(move |window| {
        let first = window * WINDOW;
        (first, (pages - first).min(WINDOW) as usize)
    })
}

/// Tells the host now and then that work goes on.
pub(crate) struct Pace<'a> {
    say: &'a mut dyn FnMut(Reply),
    done: u64,
    total: u64,
    last: Instant,
}

impl<'a> Pace<'a> {
    /// For work on `total` pages.
    pub(crate) fn new(total: u64, say: &'a mut dyn FnMut(Reply)) -> Self {
        Self { say, done: 0, total, last: Instant::now() }
    }

    /// One more page is done.
    pub(crate) fn page(&mut self) {
        self.done += 1;
        // Reading a clock costs a fifth of a page's work under emulation.
        if self.done.is_multiple_of(256) && self.last.elapsed() >= PROGRESS {
            self.last = Instant::now();
            let page = PAGE as u64;
            (self.say)(Reply::Progress { done: self.done * page, total: self.total.saturating_mul(page) });
        }
    }
}

/// One memory file.
pub(crate) struct Object {
    file: OwnedFd,
}

impl Object {
    /// The file.
    pub(crate) fn file(&self) -> &OwnedFd {
        &self.file
    }

    /// Its size in bytes, as the kernel tells it.
    pub(crate) fn size(&self) -> Outcome<u64> {
        let stat = rustix::fs::fstat(&self.file).tell("fstat of a memory file")?;
        Ok(u64::try_from(stat.st_size).unwrap_or(0))
    }

    /// Maps `count` pages from page `first` on.
    pub(crate) fn map(&self, first: u64, count: usize, writable: bool) -> Outcome<Mapping> {
        Mapping::new(&self.file, first, count, writable)
            .tell(format!("mmap of {count} pages from page {first} of a memory file"))
    }

    /// Writes the whole pattern. The object must be one that nobody else uses yet.
    fn fill(&self, spec: &ObjectSpec, pace: &mut Pace<'_>) -> Outcome<()> {
        for (first, count) in windows(pages(spec.bytes)) {
            let mut mapping = self.map(first, count, true)?;
            for at in 0..count {
                // SAFETY: the file was made for this request and has no other mapping.
                let page = unsafe { mapping.page_mut(at) };
                fill_cut(page, spec.seed, first + at as u64, spec.bytes);
                pace.page();
            }
        }
        Ok(())
    }

    /// Flips one bit in the middle of a page.
    pub(crate) fn corrupt(&self, page: u64) -> Outcome<()> {
        self.check(page)?;
        self.map(page, 1, true)?.page(0)[WORDS / 2].fetch_xor(1 << 20, Relaxed);
        Ok(())
    }

    /// Exchanges the content of two pages, whole, also where one lies partly beyond the end.
    pub(crate) fn swap(&self, [a, b]: [u64; 2]) -> Outcome<()> {
        self.check(a)?;
        self.check(b)?;
        let (one, other) = (self.map(a, 1, true)?, self.map(b, 1, true)?);
        for (one, other) in one.page(0).iter().zip(other.page(0)) {
            other.store(one.swap(other.load(Relaxed), Relaxed), Relaxed);
        }
        Ok(())
    }

    fn check(&self, page: u64) -> Outcome<()> {
        let count = pages(self.size()?);
        if page >= count {
            return Err(refuse("inject a fault", format!("page {page} of an object of {count} pages")));
        }
        Ok(())
    }
}

/// Every object that is open, by number.
#[derive(Default)]
pub(crate) struct Objects(BTreeMap<ObjectId, Object>);

impl Objects {
    /// The object with this number.
    pub(crate) fn get(&self, id: ObjectId) -> Outcome<&Object> {
        self.0.get(&id).ok_or_else(|| refuse(format!("find object {}", id.0), "no such object is open"))
    }

    /// Fails if the number is taken.
    pub(crate) fn vacant(&self, id: ObjectId) -> Outcome<()> {
        match self.0.contains_key(&id) {
            true => Err(refuse(format!("make object {}", id.0), "an object with this number is open")),
            false => Ok(()),
        }
    }

    /// Takes in an open file; an older one with its number is closed.
    pub(crate) fn insert(&mut self, id: ObjectId, file: OwnedFd) -> &Object {
        self.0.remove(&id);
        self.0.entry(id).or_insert(Object { file })
    }

    /// Closes one.
    pub(crate) fn remove(&mut self, id: ObjectId) {
        self.0.remove(&id);
    }

    /// Closes all, and tells which they were.
    pub(crate) fn clear(&mut self) -> Vec<ObjectId> {
        std::mem::take(&mut self.0).into_keys().collect()
    }

    /// Makes and fills `specs`, with files from `create`; if one cannot be made, none is.
    pub(crate) fn create(
        &mut self,
        specs: &[ObjectSpec],
        mut create: impl FnMut(&ObjectSpec) -> Outcome<OwnedFd>,
        say: &mut dyn FnMut(Reply),
    ) -> Outcome<()> {
        let total = specs.iter().fold(0u64, |sum, spec| sum.saturating_add(pages(spec.bytes)));
        let mut pace = Pace::new(total, say);
        let mut made = Vec::new();
        let result = specs.iter().try_for_each(|spec| {
            self.vacant(spec.id)?;
            let file = create(spec)?;
            made.push(spec.id);
            self.insert(spec.id, file).fill(spec, &mut pace)
        });
        if result.is_err() {
            made.into_iter().for_each(|id| self.remove(id));
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_cover_each_page_once() {
        for pages in [0, 1, WINDOW - 1, WINDOW, WINDOW + 1, 3 * WINDOW + 7] {
            let mut next = 0;
            for (first, count) in windows(pages) {
                assert_eq!(first, next);
                assert!(count > 0);
                next += count as u64;
            }
            assert_eq!(next, pages);
        }
    }
}
