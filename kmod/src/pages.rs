// SPDX-License-Identifier: GPL-2.0

//! Files of kexecfs as the orchestrator sees them: their inodes, and what is said of their pages.

use crate::{
    folio::{Preserved, Run, Walk},
    sys,
    wire::{BodyWriter, WireError},
};
use core::ptr::NonNull;
use kernel::{bindings, fs::File, prelude::*, sync::aref::ARef};

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

    /// Makes the folios the file's pages. Those that it has not come to stay in the run.
    pub(crate) fn attach(self, run: &mut Run) -> Result {
        // SAFETY: The inode is live, and the folios ours and in no file yet.
        run.give(|run| unsafe { sys::lu_inode_attach(self.as_ptr(), run) })
    }
}

// SAFETY: C gives live folios of a live inode.
unsafe impl Walk for FileInode {
    fn places(&self, index: &mut u64, places: *mut sys::lu_place, max: u32) -> u32 {
        // SAFETY: The inode is live, and so many places writable.
        unsafe { sys::lu_inode_places(self.as_ptr(), index, places, max) }
    }
}

/// Writes down where a file's pages are.
pub(crate) fn write_pages(
    preserved: &Preserved,
    size: u64,
    writer: &mut BodyWriter<'_>,
) -> Result<(), WireError> {
    writer.all_pages(size, preserved.extents())
}
