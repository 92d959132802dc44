// SPDX-License-Identifier: GPL-2.0

//! What the next kernel finds first. It is published as long as the module is loaded, empty
//! while there is nothing to hand over: an update then costs neither its memory nor its name.

use super::{crc32c, misfit};
use crate::{
    folio::PAGE_SHIFT,
    kho::OutBlob,
    sys,
    wire::{self, Piece, WireError},
};
use kernel::prelude::*;

/// The published block. Nothing, if a larger one was needed and not to be had.
pub(super) struct Root {
    blob: Option<OutBlob>,
    generation: u64,
}

impl Root {
    /// Publishes an empty one.
    pub(super) fn new(generation: u64) -> Result<Self> {
        let mut this = Self {
            blob: None,
            generation,
        };
        this.with_room(1 << PAGE_SHIFT)?;
        Ok(this)
    }

    /// Names the body's memory; the length of the root in bytes.
    pub(super) fn name(
        &mut self,
        pieces: impl ExactSizeIterator<Item = Piece>,
        body_len: usize,
    ) -> Result<usize> {
        let len = wire::root_len(pieces.len()).ok_or(EFBIG)?;
        let generation = self.generation;
        let blob = self.with_room(len)?;
        wire::write_root(
            blob.bytes(),
            generation,
            PAGE_SHIFT,
            pieces,
            body_len,
            crc32c,
        )
        .map_err(misfit)
    }

    /// Names nothing any more.
    pub(super) fn clear(&mut self) {
        self.disarm();
        if let Some(blob) = &mut self.blob {
            // An empty root fits into any.
            _ = write_empty(blob, self.generation);
        }
    }

    /// The block, which may have more room than it needs.
    pub(super) fn bytes(&mut self) -> Result<&mut [u8]> {
        Ok(self.blob.as_mut().ok_or(EIO)?.bytes())
    }

    /// Has the first so many bytes sealed at the last moment.
    pub(super) fn arm(&mut self, len: usize) -> Result {
        let root = self.bytes()?.get_mut(..len).ok_or(EIO)?;
        // SAFETY: So many bytes are writable, and live until they are disarmed: before they are
        // replaced, and in `drop`.
        unsafe { sys::lu_reboot_seal(root.as_mut_ptr().cast(), len) };
        Ok(())
    }

    fn disarm(&mut self) {
        // SAFETY: No requirements.
        unsafe { sys::lu_reboot_seal(core::ptr::null_mut(), 0) };
    }

    fn with_room(&mut self, len: usize) -> Result<&mut OutBlob> {
        if self.blob.as_ref().is_none_or(|blob| blob.len() < len) {
            // Two of one name cannot be published at once.
            self.disarm();
            self.blob = None;
            let mut blob = OutBlob::new(len)?;
            write_empty(&mut blob, self.generation).map_err(misfit)?;
            blob.publish()?;
            self.blob = Some(blob);
        }
        self.blob.as_mut().ok_or(EIO)
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        self.disarm();
    }
}

fn write_empty(blob: &mut OutBlob, generation: u64) -> Result<usize, WireError> {
    let none = core::iter::empty();
    wire::write_root(blob.bytes(), generation, PAGE_SHIFT, none, 0, crc32c)
}
