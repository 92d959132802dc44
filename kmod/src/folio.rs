// SPDX-License-Identifier: GPL-2.0

//! Folios: those that a file has, and those that are nobody's yet.

use crate::{kho, sys, wire::folio_pages};
use core::ptr::NonNull;
use kernel::{bindings, error::to_result, prelude::*};

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

    pub(crate) fn as_ptr(&self) -> *mut bindings::folio {
        self.0.as_ptr()
    }

    /// Gives the reference to somebody else.
    pub(crate) fn into_raw(self) -> *mut bindings::folio {
        core::mem::ManuallyDrop::new(self).0.as_ptr()
    }
}

impl Drop for Folio {
    fn drop(&mut self) {
        // SAFETY: This value owns a reference, given up here.
        unsafe { sys::lu_folio_put(self.0.as_ptr()) };
    }
}

/// A folio in a file.
#[derive(Clone, Copy)]
pub(crate) struct Placed {
    folio: NonNull<bindings::folio>,
    /// The first of the file's pages that it is.
    pub(crate) page: u64,
    /// The first page frame.
    pub(crate) pfn: u64,
    /// The order.
    pub(crate) order: u32,
}

/// A file whose folios can be walked, and stay where they are while its layout is fixed.
///
/// # Safety
///
/// `next` gives the first folio at `*index` or later and where it begins, and it is live.
pub(crate) unsafe trait Walk {
    fn next(&self, index: &mut u64) -> *mut bindings::folio;

    /// The folios, from the first page on.
    fn folios(&self) -> impl Iterator<Item = Placed> {
        let mut page = 0;
        core::iter::from_fn(move || {
            let folio = NonNull::new(self.next(&mut page))?;
            // SAFETY: The implementer says that the folio is live.
            let (pfn, order) = unsafe {
                (
                    sys::lu_folio_pfn(folio.as_ptr()),
                    sys::lu_folio_order(folio.as_ptr()),
                )
            };
            let found = Placed {
                folio,
                page,
                pfn,
                order,
            };
            page = page.saturating_add(folio_pages(order));
            Some(found)
        })
    }

    /// Has KHO preserve every folio, with a reference to keep it in place, or none. The file's
    /// layout must be fixed.
    fn preserve(&self) -> Result {
        let mut done = 0u64;
        for folio in self.folios() {
            let result = kho::interruption_point().and_then(|()| {
                // SAFETY: The folio is live.
                to_result(unsafe { sys::lu_kho_preserve(folio.folio.as_ptr()) })
            });
            if let Err(err) = result {
                self.unpreserve_first(done);
                return Err(err);
            }
            // SAFETY: As above.
            unsafe { sys::lu_folio_get(folio.folio.as_ptr()) };
            done = done.saturating_add(1);
        }
        Ok(())
    }

    /// Undoes [`Walk::preserve`], the layout being fixed still.
    fn unpreserve(&self) {
        self.unpreserve_first(u64::MAX);
    }

    /// Undoes it for the first so many folios.
    fn unpreserve_first(&self, mut folios: u64) {
        for folio in self.folios() {
            if folios == 0 {
                break;
            }
            folios = folios.saturating_sub(1);
            // SAFETY: The folio is live and was preserved, with a reference, by `preserve`.
            unsafe {
                sys::lu_kho_unpreserve(folio.folio.as_ptr());
                sys::lu_folio_put(folio.folio.as_ptr());
            }
        }
    }
}
