// SPDX-License-Identifier: GPL-2.0

//! Folios: those that a file has and hands over, and those that are nobody's yet.

use crate::{
    kho, sys,
    wire::{folio_pages, Extent, Joiner},
};
use core::mem::MaybeUninit;
use kernel::{error::to_result, prelude::*};

/// The unit of frame numbers in the wire format.
pub(crate) const PAGE_SHIFT: u32 = sys::LU_PAGE_SHIFT;

/// How many folios are asked for at once.
const BATCH: usize = 32;

impl From<Extent> for sys::lu_run {
    fn from(extent: Extent) -> Self {
        Self {
            page: extent.page,
            pfn: extent.pfn,
            folios: extent.folios,
            order: extent.order,
        }
    }
}

/// Folios in a row that this value owns a reference of each.
pub(crate) struct Run(sys::lu_run);

impl Run {
    /// # Safety
    ///
    /// The caller owns a reference of each folio and passes them on.
    pub(crate) unsafe fn from_raw(run: sys::lu_run) -> Self {
        Self(run)
    }

    /// Where in the file the first of them belongs.
    pub(crate) fn page(&self) -> u64 {
        self.0.page
    }

    /// How many pages they have.
    pub(crate) fn pages(&self) -> u64 {
        u64::from(self.0.folios).saturating_mul(folio_pages(self.0.order))
    }

    /// Gives them away from the first one on: what `taker` takes over it takes out of the run.
    pub(crate) fn give(&mut self, taker: impl FnOnce(*mut sys::lu_run) -> c_int) -> Result {
        to_result(taker(&mut self.0))
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if self.0.folios > 0 {
            // SAFETY: This value owns a reference of each, given up here.
            unsafe { sys::lu_run_put(&self.0) };
        }
    }
}

/// A file whose folios can be walked, and stay where they are while its layout is fixed.
///
/// # Safety
///
/// `places` writes so many entries as it says, of live folios in ascending order.
pub(crate) unsafe trait Walk {
    /// As `lu_inode_places()`.
    fn places(&self, index: &mut u64, places: *mut sys::lu_place, max: u32) -> u32;
}

/// All folios of a file, preserved and kept in place while this value lives, which must not be
/// longer than the file's layout is fixed.
#[derive(Default)]
pub(crate) struct Preserved {
    extents: KVVec<Extent>,
}

impl Preserved {
    /// Goes through the file once.
    pub(crate) fn new(file: &impl Walk) -> Result<Self> {
        let mut this = Self::default();
        let mut joiner = Joiner::default();
        let mut places = [const { MaybeUninit::<sys::lu_place>::uninit() }; BATCH];
        let mut index = 0;
        loop {
            kho::interruption_point()?;
            let count = file.places(&mut index, places.as_mut_ptr().cast(), BATCH as u32) as usize;
            for place in places.iter().take(count) {
                // SAFETY: So many have been written.
                let place = unsafe { place.assume_init_ref() };
                if let Some(extent) = joiner.push(place.page, place.pfn, place.order) {
                    this.add(extent)?;
                }
            }
            if count < BATCH {
                break;
            }
        }
        if let Some(extent) = joiner.finish() {
            this.add(extent)?;
        }
        Ok(this)
    }

    fn add(&mut self, extent: Extent) -> Result {
        // First of all room for it: what is preserved must not be forgotten.
        self.extents.reserve(1, GFP_KERNEL)?;
        // SAFETY: The folios are live: the file has them.
        to_result(unsafe { sys::lu_kho_preserve(&extent.into()) })?;
        Ok(self.extents.push(extent, GFP_KERNEL)?)
    }

    /// Where they are.
    pub(crate) fn extents(&self) -> &[Extent] {
        &self.extents
    }
}

impl Drop for Preserved {
    fn drop(&mut self) {
        for extent in &self.extents {
            // SAFETY: `add` has had them preserved.
            unsafe { sys::lu_kho_unpreserve(&(*extent).into()) };
        }
    }
}
