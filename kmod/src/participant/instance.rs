// SPDX-License-Identifier: GPL-2.0

//! kexecfs instances: all their files, as one participant.

use crate::{
    folio::Preserved,
    pages::{write_pages, FileInode},
    sys,
    wire::{self, BodyWriter, WireError},
};
use core::{cell::Cell, ptr::NonNull};
use kernel::prelude::*;

pub(crate) const COMPATIBLE: &[u8] = b"liveupdate-lab,kexecfs-v1";

/// The instance in C's keeping. It outlives this value, as it says before it goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Handle(pub(crate) NonNull<sys::lu_instance>);

// SAFETY: An instance is not tied to a thread.
unsafe impl Send for Handle {}

impl Handle {
    pub(crate) fn as_ptr(self) -> *mut sys::lu_instance {
        self.0.as_ptr()
    }

    pub(crate) fn address(self) -> u64 {
        self.0.as_ptr().addr() as u64
    }

    /// Keeps it alive without a mount. False if its end has begun, which waits to tell so.
    #[must_use]
    pub(crate) fn get(self) -> bool {
        // SAFETY: The instance is live.
        unsafe { sys::lu_instance_get(self.as_ptr()) }
    }

    /// Ends [`Handle::get`].
    pub(crate) fn put(self) {
        // SAFETY: The instance is live, and `get` is undone once.
        unsafe { sys::lu_instance_put(self.as_ptr()) };
    }

    /// Its files with names.
    pub(crate) fn files(self) -> impl Iterator<Item = FileInode> {
        let mut last = core::ptr::null_mut();
        core::iter::from_fn(move || {
            // SAFETY: The instance is live, and `last` one of its files, which do not change
            // while it is fixed.
            last = unsafe { sys::lu_instance_next(self.as_ptr(), last) };
            // SAFETY: A file of the instance lives while that is fixed.
            NonNull::new(last).map(|inode| unsafe { FileInode::from_raw(inode) })
        })
    }
}

/// A mounted instance.
pub(crate) struct Instance {
    handle: Handle,
    /// Whether it is kept alive for an update.
    held: Cell<bool>,
    /// For each file in its order, what it has. Filled while it is prepared.
    files: KVVec<Preserved>,
}

impl Instance {
    pub(crate) fn new(handle: Handle) -> Self {
        Self {
            handle,
            held: Cell::new(false),
            files: KVVec::new(),
        }
    }

    /// Before an update: keeps it alive until the update is undone. False if it cannot be, as its
    /// end has begun.
    pub(crate) fn hold(&self) -> bool {
        if !self.held.get() {
            self.held.set(self.handle.get());
        }
        self.held.get()
    }

    /// Ends [`Instance::hold`].
    pub(crate) fn release(&self) {
        if self.held.take() {
            self.handle.put();
        }
    }

    pub(super) fn fix(&self, level: sys::lu_fixed) {
        // SAFETY: The instance is live, and none of its locks are held here.
        unsafe { sys::lu_instance_fix(self.handle.as_ptr(), level) };
    }

    /// The caller holds it.
    pub(super) fn prepare(&mut self) -> Result {
        self.fix(sys::LU_FIXED_LAYOUT);
        let done = self.preserve();
        done.inspect_err(|_| self.cancel())
    }

    fn preserve(&mut self) -> Result {
        // SAFETY: The instance is live.
        let files = unsafe { sys::lu_instance_files(self.handle.as_ptr()) };
        let files = usize::try_from(files).map_err(|_| EFBIG)?;
        self.files = KVVec::with_capacity(files, GFP_KERNEL)?;
        for file in self.handle.files() {
            self.files.push(Preserved::new(&file)?, GFP_KERNEL)?;
        }
        Ok(())
    }

    /// Undoes `prepare`, a half one too.
    pub(super) fn cancel(&mut self) {
        self.files = KVVec::new();
        self.fix(sys::LU_FIXED_NOT);
        self.release();
    }

    pub(super) fn describe(
        &self,
        session: u64,
        writer: &mut BodyWriter<'_>,
    ) -> Result<(), WireError> {
        for (file, preserved) in self.handle.files().zip(&self.files) {
            let mut attr = sys::lu_attr::default();
            // SAFETY: The inode is live, and its name valid while the instance is fixed.
            let name = unsafe {
                sys::lu_inode_attr(file.as_ptr(), &mut attr);
                core::slice::from_raw_parts(attr.name, attr.name_len as usize)
            };
            writer.file(&wire::File {
                token: 0,
                session,
                compatible: COMPATIBLE,
            })?;
            write_pages(preserved, file.size(), writer)?;
            writer.inode(&wire::Inode {
                mode: attr.mode,
                uid: attr.uid,
                gid: attr.gid,
                atime: attr.atime,
                mtime: attr.mtime,
                ctime: attr.ctime,
                atime_nsec: attr.atime_nsec,
                mtime_nsec: attr.mtime_nsec,
                ctime_nsec: attr.ctime_nsec,
                name,
            })?;
        }
        Ok(())
    }

    /// What is said of the instance itself, with its session.
    pub(crate) fn describe_root(&self, writer: &mut BodyWriter<'_>) -> Result<(), WireError> {
        let mut params = sys::lu_params::default();
        // SAFETY: The instance is live.
        unsafe { sys::lu_instance_params(self.handle.as_ptr(), &mut params) };
        writer.instance(&wire::Instance {
            limit: params.limit,
            huge: params.huge,
            mode: params.mode,
            uid: params.uid,
            gid: params.gid,
            key: params.has_key.then_some(params.key),
        })
    }
}
