// SPDX-License-Identifier: GPL-2.0

//! Ownership of what Kexec HandOver keeps.
//!
//! A preservation is one bit per folio, without a count: two owners would undo each other. So
//! there is one owner for each file, a [`Preserved`], and the machine lets a file be registered
//! once.

use crate::{
    errno::is_stale,
    memfile::{Folio, FolioRef, MemFile},
    sys,
};
use core::ptr::NonNull;
use kernel::{
    error::{from_err_ptr, to_result},
    prelude::*,
};

/// Whether the kernel hands memory over at all. Nothing else here may be called if not.
pub(crate) fn is_enabled() -> bool {
    // SAFETY: No requirements.
    unsafe { sys::lu_kho_enabled() }
}

/// Fails once, where the `fail_step` parameter says so.
pub(crate) fn fallible_step() -> Result {
    // SAFETY: No requirements.
    if unsafe { sys::lu_fault() } {
        return Err(ENOMEM);
    }
    Ok(())
}

/// Fails if the process is being killed, in work that may take long.
pub(crate) fn interruption_point() -> Result {
    // SAFETY: No requirements.
    if unsafe { sys::lu_interrupted() } {
        return Err(EINTR);
    }
    Ok(())
}

/// A memory file all of whose folios are preserved while this value lives.
pub(crate) struct Preserved {
    file: MemFile,
    pages: u64,
}

impl Preserved {
    /// Preserves every folio, or none.
    pub(crate) fn new(file: MemFile) -> Result<Self> {
        let mut this = Self { file, pages: 0 };
        let pages = &mut this.pages;
        let done = this.file.folios().try_for_each(|folio| {
            let folio = folio?;
            interruption_point()?;
            // SAFETY: The folio is live, and stays in place while `this` holds the file.
            to_result(unsafe { sys::lu_kho_preserve(folio.as_ptr()) })?;
            *pages = pages.saturating_add(folio.pages());
            Ok(())
        });
        // An error drops `this`, which takes back what was done so far.
        done.map(|()| this)
    }

    pub(crate) fn folios(&self) -> impl Iterator<Item = Result<FolioRef<'_>>> {
        self.file.folios()
    }

    pub(crate) fn size(&self) -> u64 {
        self.file.size()
    }
}

impl Drop for Preserved {
    fn drop(&mut self) {
        let mut left = self.pages;
        for folio in self.file.folios().flatten() {
            if left == 0 {
                break;
            }
            // SAFETY: The folio is live, and `new` preserved it: it did the first `pages` pages.
            unsafe { sys::lu_kho_unpreserve(folio.as_ptr()) };
            left = left.saturating_sub(folio.pages());
        }
    }
}

/// Memory that the next kernel finds under this module's name, once it is published.
pub(crate) struct OutBlob {
    mem: NonNull<u8>,
    len: usize,
    published: bool,
}

// SAFETY: The memory is this value's alone and not tied to a thread.
unsafe impl Send for OutBlob {}

impl OutBlob {
    /// Zeroed and preserved memory.
    pub(crate) fn new(len: usize) -> Result<Self> {
        // SAFETY: KHO is enabled: the machine asks before it prepares.
        let mem = from_err_ptr(unsafe { sys::lu_kho_alloc(len) })?;
        let mem = NonNull::new(mem.cast()).ok_or(ENOMEM)?;
        Ok(Self {
            mem,
            len,
            published: false,
        })
    }

    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: The memory is zeroed at least `len` bytes, and borrowed as this value is.
        unsafe { core::slice::from_raw_parts_mut(self.mem.as_ptr(), self.len) }
    }

    pub(crate) fn publish(&mut self) -> Result {
        // SAFETY: The memory came from `lu_kho_alloc` and lives until `drop` unpublishes it.
        to_result(unsafe { sys::lu_kho_publish(self.mem.as_ptr().cast(), self.len) })?;
        self.published = true;
        Ok(())
    }
}

impl Drop for OutBlob {
    fn drop(&mut self) {
        let mem = self.mem.as_ptr().cast();
        if self.published {
            // SAFETY: `publish` published this memory.
            unsafe { sys::lu_kho_unpublish(mem) };
        }
        // SAFETY: The memory came from `lu_kho_alloc`, and nothing refers to it any more.
        unsafe { sys::lu_kho_free(mem) };
    }
}

/// Memory that the previous kernel published. It stays reserved until [`InBlob::release`].
pub(crate) struct InBlob {
    mem: NonNull<u8>,
    len: usize,
}

// SAFETY: The memory is this value's alone and not tied to a thread.
unsafe impl Send for InBlob {}

impl InBlob {
    /// The blob, if there is one and it was not released yet.
    pub(crate) fn find() -> Result<Option<Self>> {
        let (mut mem, mut len) = (core::ptr::null_mut(), 0);
        // SAFETY: Both places are writable.
        match to_result(unsafe { sys::lu_kho_find(&mut mem, &mut len) }) {
            // ESTALE: an earlier instance of this module has finished with it.
            Err(err) if err == ENOENT || is_stale(err) => return Ok(None),
            other => other?,
        }
        let mem = NonNull::new(mem.cast()).ok_or(EINVAL)?;
        Ok(Some(Self { mem, len }))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: `lu_kho_find` found that these bytes lie in one preserved block, which nobody
        // else touches until it is released, and that takes `self`.
        unsafe { core::slice::from_raw_parts(self.mem.as_ptr(), self.len) }
    }

    /// Gives the memory back to the system.
    pub(crate) fn release(self) {
        // SAFETY: The block is still preserved, and with `self` the last way to it goes.
        unsafe { sys::lu_kho_release_found(self.mem.as_ptr().cast()) };
    }
}

/// Takes a folio over from the previous kernel. EIO if it is not there to be taken.
pub(crate) fn take(pfn: u64, order: u32) -> Result<Folio> {
    // SAFETY: No requirements: C checks that there is such a preserved folio.
    let folio = from_err_ptr(unsafe { sys::lu_kho_take(pfn, order) }).map_err(|_| EIO)?;
    let folio = NonNull::new(folio).ok_or(EIO)?;
    // SAFETY: A restored folio has one reference, and it is the caller's.
    Ok(unsafe { Folio::from_raw(folio) })
}
