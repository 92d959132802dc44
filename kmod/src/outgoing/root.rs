// SPDX-License-Identifier: GPL-2.0

//! What the next kernel finds first. It is published as long as the module is loaded, empty
//! while there is nothing to hand over: an update then costs neither its memory nor its name.

use super::{crc32c, misfit};
use crate::{
    folio::PAGE_SHIFT,
    kho::OutBlob,
    sys,
    wire::{self, Piece},
};
use kernel::prelude::*;

/// The published block: the root, and in the second half its double. Nothing, if a larger one was needed and not to be had.
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
        this.with_room(wire::HEADER_LEN)?;
        Ok(this)
    }

    /// Names the memory of this body; the length of the root in bytes.
    pub(super) fn name(
        &mut self,
        pieces: impl ExactSizeIterator<Item = Piece>,
        body: &[u8],
    ) -> Result<usize> {
        let len = wire::root_len(pieces.len()).ok_or(EFBIG)?;
        let generation = self.generation;
        write(self.with_room(len)?, generation, pieces, body)
    }

    /// Names nothing any more.
    pub(super) fn clear(&mut self) {
        self.disarm();
        if let Some(blob) = &mut self.blob {
            // An empty root fits into any.
            _ = write(blob, self.generation, core::iter::empty(), &[]);
        }
    }

    /// Has it sealed at the last moment.
    pub(super) fn arm(&mut self) -> Result {
        let block = self.blob.as_mut().ok_or(EIO)?.bytes();
        // SAFETY: So many bytes are writable, and live until they are disarmed: before they are
        // replaced, and in `drop`.
        unsafe { sys::lu_reboot_seal(block.as_mut_ptr().cast(), block.len()) };
        Ok(())
    }

    fn disarm(&mut self) {
        // SAFETY: No requirements.
        unsafe { sys::lu_reboot_seal(core::ptr::null_mut(), 0) };
    }

    /// The block, with room for a root of this length and its double.
    fn with_room(&mut self, len: usize) -> Result<&mut OutBlob> {
        // Each half is a page at least: what overwrites one page spares the other root.
        let half = len.max(1 << PAGE_SHIFT);
        let room = half.checked_mul(2).ok_or(EFBIG)?;
        if self.blob.as_ref().is_none_or(|blob| blob.len() < room) {
            // Two of one name cannot be published at once.
            self.disarm();
            self.blob = None;
            let mut blob = OutBlob::new(room.checked_next_power_of_two().ok_or(EFBIG)?)?;
            write(&mut blob, self.generation, core::iter::empty(), &[])?;
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

/// Writes a root and its double; the length of one.
fn write(
    blob: &mut OutBlob,
    generation: u64,
    pieces: impl Iterator<Item = Piece>,
    body: &[u8],
) -> Result<usize> {
    let block = blob.bytes();
    let len = wire::write_root(block, generation, PAGE_SHIFT, pieces, body, crc32c);
    wire::double(block);
    len.map_err(misfit)
}
