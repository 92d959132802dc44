// SPDX-License-Identifier: GPL-2.0

//! memfds, their pages in place. What comes back differs a little: see the ioctl interface.

use crate::{
    folio::{Preserved, Run, Walk},
    pages::write_pages,
    sys,
    wire::{self, BodyWriter, WireError},
};
use kernel::{
    error::{from_err_ptr, to_result},
    fs::File,
    prelude::*,
    sync::aref::ARef,
};

pub(crate) const COMPATIBLE: &[u8] = b"liveupdate-lab,memfd-v1";

/// A counted reference to a memfd.
pub(crate) struct Memfd {
    file: ARef<File>,
    /// Something from PREPARE to CANCEL.
    preserved: Preserved,
}

// SAFETY: C gives live folios of a live file.
unsafe impl Walk for Memfd {
    fn places(&self, index: &mut u64, places: *mut sys::lu_place, max: u32) -> u32 {
        // SAFETY: The file is a live memfd, and so many places writable.
        unsafe { sys::lu_memfd_places(self.file.as_ptr(), index, places, max) }
    }
}

impl Memfd {
    pub(super) fn is(file: &ARef<File>) -> bool {
        // SAFETY: The file is live.
        unsafe { sys::lu_memfd_is(file.as_ptr()) }
    }

    pub(super) fn new(file: ARef<File>) -> Self {
        Self {
            file,
            preserved: Preserved::default(),
        }
    }

    /// However it was opened, it is this object.
    pub(super) fn identity(&self) -> u64 {
        // SAFETY: The file is live.
        unsafe { sys::lu_file_identity(self.file.as_ptr()) }
    }

    pub(super) fn prepare(&mut self) -> Result {
        // SAFETY: The file is a live memfd, not prepared yet: the machine registers it once.
        to_result(unsafe { sys::lu_memfd_prepare(self.file.as_ptr()) })?;
        let preserved = Preserved::new(self);
        // SAFETY: It was prepared just now.
        let undo = |_: &Error| unsafe { sys::lu_memfd_cancel(self.file.as_ptr()) };
        self.preserved = preserved.inspect_err(undo)?;
        Ok(())
    }

    pub(super) fn cancel(&mut self) {
        self.preserved = Preserved::default();
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
        write_pages(&self.preserved, memfd.size, writer)?;
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

/// Makes the folios the file's pages. Those that it has not come to stay in the run.
pub(crate) fn attach(file: &ARef<File>, run: &mut Run) -> Result {
    // SAFETY: The file came from `empty`, and the folios are ours and in no file yet.
    run.give(|run| unsafe { sys::lu_memfd_attach(file.as_ptr(), run) })
}
