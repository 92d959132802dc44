// SPDX-License-Identifier: GPL-2.0

//! Files of kexecfs as the orchestrator sees them: their inodes, and what is said of their pages.

use crate::{
    folio::{Folio, Walk},
    sys,
    wire::{BodyWriter, Joiner, WireError},
};
use core::ptr::NonNull;
use kernel::{bindings, error::to_result, fs::File, prelude::*, sync::aref::ARef};

/// The inode of a regular file of kexecfs. Whoever has this value keeps the inode alive.
#[derive(Clone, Copy)]
pub(crate) struct FileInode(NonNull<bindings::inode>);

// SAFETY: An inode is not tied to a thread.
unsafe impl Send for FileInode {}

impl FileInode {
    /// That of an open file; none if it is of another sort.
    pub(crate) fn of(file: &ARef<File>) -> Option<Self> {
        // SAFETY: The file is live.
        NonNull::new(unsafe { sys::lu_data_inode(file.as_ptr()) }).map(Self)
    }

    /// # Safety
    ///
    /// It is the inode of a kexecfs file, and lives as long as this value is used.
    pub(crate) unsafe fn from_raw(inode: NonNull<bindings::inode>) -> Self {
        Self(inode)
    }

    pub(crate) fn as_ptr(self) -> *mut bindings::inode {
        self.0.as_ptr()
    }

    pub(crate) fn address(self) -> u64 {
        self.0.as_ptr().addr() as u64
    }

    /// Whether it belongs to an instance that user space made.
    pub(crate) fn in_instance(self) -> bool {
        // SAFETY: The inode is live.
        unsafe { sys::lu_inode_in_instance(self.as_ptr()) }
    }

    pub(crate) fn size(self) -> u64 {
        // SAFETY: The inode is live.
        unsafe { sys::lu_inode_size(self.as_ptr()) }
    }

    pub(crate) fn fix(self, level: sys::lu_fixed) {
        // SAFETY: The inode is live, and its locks are not held here.
        unsafe { sys::lu_inode_fix(self.as_ptr(), level) };
    }

    /// How many extents describe its pages.
    pub(crate) fn count_extents(self) -> Result<usize> {
        count_extents(&self)
    }

    /// Makes the folio the file's pages from `page` on. On failure it comes back.
    pub(crate) fn attach(self, page: u64, folio: Folio) -> Result<(), (Error, Folio)> {
        // SAFETY: The inode is live, and the folio ours and in no file yet.
        match to_result(unsafe { sys::lu_inode_attach(self.as_ptr(), page, folio.as_ptr()) }) {
            Ok(()) => {
                // The file has taken the reference.
                folio.into_raw();
                Ok(())
            }
            Err(err) => Err((err, folio)),
        }
    }
}

// SAFETY: C gives live folios of a live inode.
unsafe impl Walk for FileInode {
    fn next(&self, index: &mut u64) -> *mut bindings::folio {
        // SAFETY: The inode is live.
        unsafe { sys::lu_inode_next(self.as_ptr(), index) }
    }
}

/// How many extents describe a file's folios.
pub(crate) fn count_extents(file: &impl Walk) -> Result<usize> {
    let (mut joiner, mut count) = (Joiner::default(), 0usize);
    for folio in file.folios() {
        let ended = joiner.push(folio.page, folio.pfn, folio.order);
        count = count
            .checked_add(usize::from(ended.is_some()))
            .ok_or(EFBIG)?;
    }
    count
        .checked_add(usize::from(joiner.finish().is_some()))
        .ok_or(EFBIG)
}

/// Writes down where a file's pages are; `extents` is what [`count_extents`] said.
pub(crate) fn write_pages(
    file: &impl Walk,
    size: u64,
    extents: usize,
    writer: &mut BodyWriter<'_>,
) -> Result<(), WireError> {
    writer.pages(size, extents)?;
    let mut joiner = Joiner::default();
    for folio in file.folios() {
        if let Some(extent) = joiner.push(folio.page, folio.pfn, folio.order) {
            writer.extent(&extent)?;
        }
    }
    joiner
        .finish()
        .map_or(Ok(()), |extent| writer.extent(&extent))
}
