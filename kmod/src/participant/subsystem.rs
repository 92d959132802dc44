// SPDX-License-Identifier: GPL-2.0

//! Subsystems: other modules, each with one number to hand over.

use crate::{
    name::Name,
    sys,
    wire::{self, BodyWriter, WireError},
};
use kernel::{error::to_result, prelude::*};

/// A registered subsystem. Its module unregisters it before it goes.
pub(crate) struct Subsystem {
    name: Name,
    ops: *const sys::liveupdate_lab_subsystem,
    data: u64,
}

// SAFETY: A subsystem's operations may be called from any thread.
unsafe impl Send for Subsystem {}

impl Subsystem {
    /// # Safety
    ///
    /// The subsystem stays valid until this value is dropped.
    pub(crate) unsafe fn new(name: Name, ops: *const sys::liveupdate_lab_subsystem) -> Self {
        Self { name, ops, data: 0 }
    }

    /// Whether it is the one registered with these operations.
    pub(crate) fn is(&self, ops: *const sys::liveupdate_lab_subsystem) -> bool {
        core::ptr::eq(self.ops, ops)
    }

    pub(super) fn prepare(&mut self) -> Result {
        self.data = 0;
        // SAFETY: Registered, hence valid.
        if !unsafe { sys::lu_subsystem_hold(self.ops) } {
            return Err(ENODEV);
        }
        // SAFETY: As above.
        let done = to_result(unsafe { sys::lu_subsystem_prepare(self.ops, &mut self.data) });
        // SAFETY: Held above.
        done.inspect_err(|_| unsafe { sys::lu_subsystem_release(self.ops) })
    }

    pub(super) fn freeze(&mut self) -> Result {
        // SAFETY: Registered, hence valid.
        to_result(unsafe { sys::lu_subsystem_freeze(self.ops, &mut self.data) })
    }

    pub(super) fn cancel(&mut self) {
        // SAFETY: Registered, hence valid; held by `prepare`.
        unsafe {
            sys::lu_subsystem_cancel(self.ops, self.data);
            sys::lu_subsystem_release(self.ops);
        }
    }

    /// Ends what the previous kernel's subsystem of this name handed over.
    pub(crate) fn finish(&self, data: u64) {
        // SAFETY: Registered, hence valid.
        unsafe { sys::lu_subsystem_finish(self.ops, data) };
    }

    pub(super) fn describe(&self, writer: &mut BodyWriter<'_>) -> Result<(), WireError> {
        writer.subsystem(&wire::Subsystem {
            data: self.data,
            name: self.name.as_bytes(),
        })
    }
}
