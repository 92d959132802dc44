//! Shared mappings of memory files.

use std::{ptr::NonNull, sync::atomic::AtomicU64};

use protocol::pattern::{PAGE, Page, WORDS};
use rustix::{
    fd::AsFd,
    io::Errno,
    mm::{MapFlags, ProtFlags, mmap, munmap},
};

/// A page that others may write to meanwhile: the kernel, the host, the workload.
pub(crate) type SharedPage = [AtomicU64; WORDS];

/// A stretch of whole pages of a file, mapped and present.
pub(crate) struct Mapping {
    base: NonNull<SharedPage>,
    pages: usize,
}

// SAFETY: a mapping belongs to the process, not to a thread; what is shared is reached by atomics only.
unsafe impl Send for Mapping {}

impl Mapping {
    /// Maps `pages` pages of `file` from page `first` on, at least one.
    pub(crate) fn new(file: impl AsFd, first: u64, pages: usize, writable: bool) -> Result<Self, Errno> {
        let protection = if writable { ProtFlags::READ | ProtFlags::WRITE } else { ProtFlags::READ };
        let offset = first.checked_mul(PAGE as u64).ok_or(Errno::OVERFLOW)?;
        let length = pages.checked_mul(PAGE).ok_or(Errno::OVERFLOW)?;
        // A fault a page would cost more than the work on it.
        let flags = MapFlags::SHARED | MapFlags::POPULATE;
        // SAFETY: the kernel chooses the place, so nothing that exists is replaced.
        let base = unsafe { mmap(std::ptr::null_mut(), length, protection, flags, file, offset)? };
        NonNull::new(base.cast()).map(|base| Self { base, pages }).ok_or(Errno::NOMEM)
    }

    /// Page `index` of the mapping.
    ///
    /// # Panics
    /// If there is no such page.
    pub(crate) fn page(&self, index: usize) -> &SharedPage {
        assert!(index < self.pages, "page {index} of a mapping of {}", self.pages);
        // SAFETY: in bounds by the assertion, page-aligned, mapped while `self` lives; atomics allow
        // others to write.
        unsafe { &*self.base.as_ptr().add(index) }
    }

    /// Page `index` of the mapping, for plain writing.
    ///
    /// # Safety
    /// Nothing else in this process may use that page of the file meanwhile, and the mapping must be
    /// writable.
    ///
    /// # Panics
    /// If there is no such page.
    pub(crate) unsafe fn page_mut(&mut self, index: usize) -> &mut Page {
        assert!(index < self.pages, "page {index} of a mapping of {}", self.pages);
        // SAFETY: in bounds by the assertion, page-aligned, mapped while `self` lives; exclusive by the
        // caller's word.
        unsafe { &mut *self.base.as_ptr().add(index).cast::<Page>() }
    }

    /// Where the mapping begins.
    pub(crate) fn address(&self) -> usize {
        self.base.as_ptr() as usize
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own, and its borrows have ended.
        let _ = unsafe { munmap(self.base.as_ptr().cast(), self.pages * PAGE) };
    }
}
