// SPDX-License-Identifier: GPL-2.0

//! Memory files and their folios.

use crate::{sys, wire::folio_pages};
use core::ptr::NonNull;
use kernel::{
    bindings,
    error::{from_err_ptr, to_result},
    fs::{File, LocalFile},
    prelude::*,
    sync::aref::ARef,
};

/// The unit of frame numbers in the wire format.
pub(crate) const PAGE_SHIFT: u32 = sys::LU_PAGE_SHIFT;

/// A folio that this value owns a reference of.
pub(crate) struct Folio(NonNull<bindings::folio>);

// SAFETY: A reference count is not tied to a thread.
unsafe impl Send for Folio {}

impl Folio {
    /// # Safety
    ///
    /// The caller owns a reference of the folio and passes it on.
    pub(crate) unsafe fn from_raw(folio: NonNull<bindings::folio>) -> Self {
        Self(folio)
    }

    pub(crate) fn pages(&self) -> u64 {
        // SAFETY: The folio is live, as this value owns a reference.
        folio_pages(unsafe { sys::lu_folio_order(self.0.as_ptr()) })
    }
}

impl Drop for Folio {
    fn drop(&mut self) {
        // SAFETY: This value owns a reference, given up here.
        unsafe { sys::lu_folio_put(self.0.as_ptr()) };
    }
}

/// A folio in a memory file, which keeps it in place.
#[derive(Clone, Copy)]
pub(crate) struct FolioRef<'a> {
    folio: &'a bindings::folio,
    /// The first page frame.
    pub(crate) pfn: u64,
    /// The order.
    pub(crate) order: u32,
}

impl FolioRef<'_> {
    pub(crate) fn as_ptr(&self) -> *mut bindings::folio {
        core::ptr::from_ref(self.folio).cast_mut()
    }

    pub(crate) fn pages(&self) -> u64 {
        folio_pages(self.order)
    }
}

/// A counted reference to a memory file.
#[derive(Clone)]
pub(crate) struct MemFile(ARef<File>);

impl MemFile {
    /// A file of this size without any pages: they are to be attached.
    pub(crate) fn empty(bytes: u64) -> Result<Self> {
        // SAFETY: No requirements.
        let file = from_err_ptr(unsafe { sys::lu_mem_new(bytes) })?;
        let file = NonNull::new(file.cast::<File>()).ok_or(ENOMEM)?;
        // SAFETY: The file is new and its one reference ours; nobody else can know its position.
        Ok(Self(unsafe { ARef::from_raw(file) }))
    }

    /// A file of this size with all its pages, zeroed.
    pub(crate) fn create(bytes: u64) -> Result<Self> {
        let file = Self::empty(bytes)?;
        // SAFETY: The file is a live memory file, not yet shared.
        to_result(unsafe { sys::lu_mem_fill(file.as_ptr()) })?;
        Ok(file)
    }

    /// The memory file among this process's files: EBADF, ENOENT if it is another sort.
    pub(crate) fn from_fd(fd: i32) -> Result<Result<Self>> {
        let fd = u32::try_from(fd).map_err(|_| EBADF)?;
        let file = LocalFile::fget(fd)?;
        // SAFETY: This thread is in an ioctl, which does not hold a file's position.
        let file = unsafe { LocalFile::assume_no_fdget_pos(file) };
        // SAFETY: The file is live while `file` has a reference.
        let ours = unsafe { sys::lu_mem_is(file.as_ptr()) };
        Ok(if ours { Ok(Self(file)) } else { Err(ENOENT) })
    }

    fn as_ptr(&self) -> *mut bindings::file {
        self.0.as_ptr()
    }

    /// Whether both are one object, however it was opened.
    pub(crate) fn is_same(&self, other: &MemFile) -> bool {
        // SAFETY: Both files are live.
        unsafe { sys::lu_mem_same(self.as_ptr(), other.as_ptr()) }
    }

    /// The size in bytes.
    pub(crate) fn size(&self) -> u64 {
        // SAFETY: The file is live.
        unsafe { sys::lu_mem_size(self.as_ptr()) }
    }

    /// The folios from the first page on. EIO where one is missing (memory failure took it).
    pub(crate) fn folios(&self) -> impl Iterator<Item = Result<FolioRef<'_>>> {
        let pages = self.size().div_ceil(1 << PAGE_SHIFT);
        let mut page = 0;
        core::iter::from_fn(move || {
            if page >= pages {
                return None;
            }
            // SAFETY: The file is a live memory file.
            let folio = unsafe { sys::lu_mem_folio(self.as_ptr(), page) };
            if folio.is_null() {
                page = pages;
                return Some(Err(EIO));
            }
            // SAFETY: A memory file's folios are pinned until its inode goes, which this
            // reference to the file prevents.
            let found = unsafe {
                FolioRef {
                    folio: &*folio,
                    pfn: sys::lu_folio_pfn(folio),
                    order: sys::lu_folio_order(folio),
                }
            };
            page = page.saturating_add(found.pages());
            Some(Ok(found))
        })
    }

    /// Makes the folio the file's pages from `page` on; how many they are. On failure the folio
    /// comes back.
    pub(crate) fn attach(&self, page: u64, folio: Folio) -> Result<u64, (Error, Folio)> {
        let pages = folio.pages();
        // SAFETY: The file is a live memory file, and the folio ours and in no file yet.
        match to_result(unsafe { sys::lu_mem_attach(self.as_ptr(), page, folio.0.as_ptr()) }) {
            Ok(()) => {
                // The file has taken the reference.
                core::mem::forget(folio);
                Ok(pages)
            }
            Err(err) => Err((err, folio)),
        }
    }

    /// The file itself, to be installed in a table of descriptors.
    pub(crate) fn into_file(self) -> ARef<File> {
        self.0
    }
}
