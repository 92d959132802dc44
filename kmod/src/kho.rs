// SPDX-License-Identifier: GPL-2.0

//! Ownership of what Kexec HandOver keeps.
//!
//! A preservation is one bit per folio, without a count: two owners would undo each other. So a
//! file can be registered once, and its participant alone preserves its folios.

use crate::{
    errno::is_stale,
    folio::{Run, PAGE_SHIFT},
    sys, wire,
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

/// Memory of the description, preserved while this value lives.
pub(crate) struct Piece {
    mem: NonNull<u8>,
    order: u32,
}

// SAFETY: The memory is this value's alone and not tied to a thread.
unsafe impl Send for Piece {}

impl Piece {
    /// Zeroed, preserved and contiguous: `1 << order` pages.
    pub(crate) fn new(order: u32) -> Result<Self> {
        let len = (1usize << PAGE_SHIFT).checked_shl(order).ok_or(ENOMEM)?;
        // SAFETY: KHO is enabled: the machine asks before it prepares.
        let mem = from_err_ptr(unsafe { sys::lu_kho_alloc(len) })?;
        let mem = NonNull::new(mem.cast()).ok_or(ENOMEM)?;
        Ok(Self { mem, order })
    }

    /// Where it lies.
    pub(crate) fn place(&self) -> wire::Piece {
        wire::Piece {
            // SAFETY: The memory came from `lu_kho_alloc`.
            pfn: unsafe { sys::lu_virt_pfn(self.mem.as_ptr().cast()) },
            order: self.order,
        }
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        // SAFETY: The memory came from `lu_kho_alloc`, and nothing refers to it any more.
        unsafe { sys::lu_kho_free(self.mem.as_ptr().cast()) };
    }
}

/// Pieces of memory, seen as one.
pub(crate) struct Mapped {
    mem: NonNull<u8>,
    len: usize,
}

// SAFETY: The mapping is this value's alone and not tied to a thread.
unsafe impl Send for Mapped {}

impl Mapped {
    /// # Safety
    ///
    /// The pieces are memory that nobody else uses while this value lives.
    pub(crate) unsafe fn new(pieces: &[wire::Piece]) -> Result<Self> {
        fallible_step()?;
        let mut pfns = KVVec::with_capacity(pieces.len(), GFP_KERNEL)?;
        let mut orders = KVVec::with_capacity(pieces.len(), GFP_KERNEL)?;
        let mut pages = 0usize;
        for piece in pieces {
            pfns.push(piece.pfn, GFP_KERNEL)?;
            orders.push(piece.order, GFP_KERNEL)?;
            pages = pages.saturating_add(1usize.checked_shl(piece.order).ok_or(EINVAL)?);
        }
        let len = pages.checked_mul(1 << PAGE_SHIFT).ok_or(EINVAL)?;
        if len == 0 {
            let mem = NonNull::dangling();
            return Ok(Self { mem, len });
        }
        // SAFETY: Both arrays have so many entries, of memory as the caller promises.
        let mem = unsafe { sys::lu_map_pieces(pfns.as_ptr(), orders.as_ptr(), pieces.len()) };
        let mem = NonNull::new(mem.cast()).ok_or(ENOMEM)?;
        Ok(Self { mem, len })
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: So many bytes are mapped while this value lives, none perhaps.
        unsafe { core::slice::from_raw_parts(self.mem.as_ptr(), self.len) }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: As above, and borrowed as this value is.
        unsafe { core::slice::from_raw_parts_mut(self.mem.as_ptr(), self.len) }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        if self.len != 0 {
            // SAFETY: It came from `lu_map_pieces`, and nothing borrows it any more.
            unsafe { sys::lu_unmap_pieces(self.mem.as_ptr().cast()) };
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

    pub(crate) fn len(&self) -> usize {
        self.len
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
        if self.published {
            // SAFETY: `publish` published this memory, and nothing else is published meanwhile.
            unsafe { sys::lu_kho_unpublish() };
        }
        // SAFETY: The memory came from `lu_kho_alloc`, and nothing refers to it any more.
        unsafe { sys::lu_kho_free(self.mem.as_ptr().cast()) };
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

/// Takes over from the previous kernel what an extent begins with, as much as is there in one
/// block. EIO if nothing is there to be taken.
pub(crate) fn take(extent: &wire::Extent) -> Result<Run> {
    // SAFETY: No requirements: C checks that there is such a preserved block.
    let taken = unsafe { sys::lu_kho_take(extent.pfn, extent.order, extent.folios) };
    let folios = u32::try_from(taken).map_err(|_| EIO)?;
    let mut run = sys::lu_run::from(*extent);
    run.folios = folios;
    // SAFETY: Restored folios have one reference, and it is the caller's.
    Ok(unsafe { Run::from_raw(run) })
}

/// Whether such a block of the previous kernel's waits there.
pub(crate) fn is_there(piece: wire::Piece) -> bool {
    // SAFETY: No requirements: C checks the frame.
    unsafe { sys::lu_kho_is_there(piece.pfn, piece.order) }
}

/// Preserves once more for the next kernel, as it is, what an extent begins with; how many folios
/// that was.
pub(crate) fn pass_on(extent: &wire::Extent) -> Result<u32> {
    // SAFETY: No requirements: C checks that the block exists.
    let passed = unsafe { sys::lu_kho_pass(extent.pfn, extent.order, extent.folios) };
    to_result(passed.min(0))?;
    u32::try_from(passed).map_err(|_| EIO)
}
