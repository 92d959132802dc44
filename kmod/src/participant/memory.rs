// SPDX-License-Identifier: GPL-2.0

//! Memory files of the ioctl face.

use super::Unfit;
use crate::{
    folio::Preserved,
    pages::{write_pages, FileInode},
    sys,
    wire::{self, BodyWriter, WireError},
};
use kernel::{
    error::{from_err_ptr, to_result},
    fs::File,
    prelude::*,
    sync::aref::ARef,
};

pub(crate) const COMPATIBLE: &[u8] = b"liveupdate-lab,memory-v1";

/// A counted reference to a memory file.
pub(crate) struct Memory {
    /// Keeps the inode.
    _file: ARef<File>,
    inode: FileInode,
    /// Something from PREPARE to CANCEL.
    preserved: Preserved,
}

impl Memory {
    /// The memory file that this is; none if it is of another sort.
    pub(super) fn of(file: &ARef<File>) -> Option<Result<Self, Unfit>> {
        let inode = FileInode::of(file)?;
        if inode.in_instance() {
            return Some(Err(Unfit::InInstance));
        }
        Some(Ok(Self {
            _file: file.clone(),
            inode,
            preserved: Preserved::default(),
        }))
    }

    /// However it was opened, it is this object.
    pub(super) fn identity(&self) -> u64 {
        self.inode.address()
    }

    pub(super) fn fix(&self, level: sys::lu_fixed) {
        self.inode.fix(level);
    }

    pub(super) fn prepare(&mut self) -> Result {
        self.inode.fix(sys::LU_FIXED_LAYOUT);
        let preserved = Preserved::new(&self.inode);
        self.preserved = preserved.inspect_err(|_| self.inode.fix(sys::LU_FIXED_NOT))?;
        Ok(())
    }

    pub(super) fn cancel(&mut self) {
        self.preserved = Preserved::default();
        self.inode.fix(sys::LU_FIXED_NOT);
    }

    pub(super) fn describe(
        &self,
        token: u64,
        session: u64,
        writer: &mut BodyWriter<'_>,
    ) -> Result<(), WireError> {
        writer.file(&wire::File {
            token,
            session,
            compatible: COMPATIBLE,
        })?;
        write_pages(&self.preserved, self.inode.size(), writer)
    }
}

/// A new memory file of this size without any pages.
pub(crate) fn empty(bytes: u64) -> Result<ARef<File>> {
    // SAFETY: No requirements.
    let file = from_err_ptr(unsafe { sys::lu_mem_new(bytes) })?;
    let file = core::ptr::NonNull::new(file.cast::<File>()).ok_or(ENOMEM)?;
    // SAFETY: The file is new and its one reference ours; nobody else can know its position.
    Ok(unsafe { ARef::from_raw(file) })
}

/// A new memory file with all its pages, zeroed.
pub(crate) fn create(bytes: u64, flags: u32) -> Result<ARef<File>> {
    let file = empty(bytes)?;
    // SAFETY: The file is a live memory file, not yet shared.
    to_result(unsafe { sys::lu_mem_fill(file.as_ptr(), flags) })?;
    Ok(file)
}
