// SPDX-License-Identifier: GPL-2.0

//! memfds, their pages in place. What comes back differs a little: see the ioctl interface.

use crate::{
    folio::{Folio, Walk},
    pages::{count_extents, write_pages},
    sys,
    wire::{self, BodyWriter, WireError},
};
use kernel::{
    bindings,
    error::{from_err_ptr, to_result},
    fs::File,
    prelude::*,
    sync::aref::ARef,
};

pub(crate) const COMPATIBLE: &[u8] = b"liveupdate-lab,memfd-v1";

/// A counted reference to a memfd.
pub(crate) struct Memfd {
    file: ARef<File>,
    extents: usize,
}

// SAFETY: C gives live folios of a live file.
unsafe impl Walk for Memfd {
    fn next(&self, index: &mut u64) -> *mut bindings::folio {
        // SAFETY: The file is a live memfd.
        unsafe { sys::lu_memfd_next(self.file.as_ptr(), index) }
    }
}

impl Memfd {
    pub(super) fn is(file: &ARef<File>) -> bool {
        // SAFETY: The file is live.
        unsafe { sys::lu_memfd_is(file.as_ptr()) }
    }

    pub(super) fn new(file: ARef<File>) -> Self {
        Self { file, extents: 0 }
    }

    /// However it was opened, it is this object.
    pub(super) fn identity(&self) -> u64 {
        // SAFETY: The file is live.
        unsafe { sys::lu_file_identity(self.file.as_ptr()) }
    }

    pub(super) fn prepare(&mut self) -> Result {
        // SAFETY: The file is a live memfd, not prepared yet: the machine registers it once.
        to_result(unsafe { sys::lu_memfd_prepare(self.file.as_ptr()) })?;
        let done = self.preserve().and_then(|()| {
            self.extents = count_extents(self)?;
            Ok(())
        });
        // SAFETY: It was prepared just now.
        done.inspect_err(|_| unsafe { sys::lu_memfd_cancel(self.file.as_ptr()) })
    }

    pub(super) fn cancel(&mut self) {
        self.unpreserve();
        // SAFETY: `prepare` prepared it.
        unsafe { sys::lu_memfd_cancel(self.file.as_ptr()) };
    }

    pub(super) fn describe(
        &self,
        token: u64,
        session: u64,
        writer: &mut BodyWriter<'_>,
    ) -> Result<(), WireError> {
        let mut memfd = sys::lu_memfd::default();
        // SAFETY: The file is a live memfd.
        unsafe { sys::lu_memfd_describe(self.file.as_ptr(), &mut memfd) };
        writer.file(&wire::File {
            token,
            session,
            compatible: COMPATIBLE,
        })?;
        write_pages(self, memfd.size, self.extents, writer)?;
        writer.memfd(&wire::Memfd {
            pos: memfd.pos,
            seals: memfd.seals,
            flags: memfd.flags,
            mode: memfd.mode,
        })
    }
}

/// A new memfd of this size without any pages.
pub(crate) fn empty(bytes: u64) -> Result<ARef<File>> {
    // SAFETY: No requirements.
    let file = from_err_ptr(unsafe { sys::lu_memfd_new(bytes) })?;
    let file = core::ptr::NonNull::new(file.cast::<File>()).ok_or(ENOMEM)?;
    // SAFETY: The file is new and its one reference ours; nobody else can know its position.
    Ok(unsafe { ARef::from_raw(file) })
}

/// Gives it what is not content: position, flags, and last the seals.
pub(crate) fn complete(file: &ARef<File>, size: u64, memfd: &wire::Memfd) -> Result {
    let memfd = sys::lu_memfd {
        size,
        pos: memfd.pos,
        seals: memfd.seals,
        flags: memfd.flags,
        mode: memfd.mode,
        reserved: 0,
    };
    // SAFETY: The file came from `empty` and is not shared yet.
    to_result(unsafe { sys::lu_memfd_complete(file.as_ptr(), &memfd) })
}

/// Makes the folio the file's pages from `page` on. On failure it comes back.
pub(crate) fn attach(file: &ARef<File>, page: u64, folio: Folio) -> Result<(), (Error, Folio)> {
    // SAFETY: The file came from `empty`, and the folio is ours and in no file yet.
    match to_result(unsafe { sys::lu_memfd_attach(file.as_ptr(), page, folio.as_ptr()) }) {
        Ok(()) => {
            // The file has taken the reference.
            folio.into_raw();
            Ok(())
        }
        Err(err) => Err((err, folio)),
    }
}
