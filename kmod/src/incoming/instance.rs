// SPDX-License-Identifier: GPL-2.0

//! One instance of the previous kernel, and how far its restoration has come.

use super::{Freed, Inherited};
use crate::{participant::instance::Handle, sys, wire};
use kernel::{error::to_result, prelude::*};

/// An instance of the previous kernel's: its files, and how far they are restored.
pub(crate) struct Instance {
    /// How it was mounted.
    pub(crate) params: wire::Instance,
    pub(super) files: KVVec<Inherited>,
    /// What an attempt that failed has restored so far. The next one goes on with it.
    pub(super) half: Option<Handle>,
    /// It was mounted: from then on it is its user's.
    pub(super) given: bool,
}

impl Instance {
    /// Whether it has not been mounted yet.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.given
    }

    /// The half restored one that an earlier attempt left.
    pub(crate) fn half(&self) -> Option<Handle> {
        self.half
    }

    /// Restores its files into the mounted instance. On failure what has been done is kept with
    /// that, for the next attempt.
    pub(crate) fn fill(&mut self, handle: Handle) -> Result {
        if self.given {
            return Ok(());
        }
        if self.half != Some(handle) {
            adopt(handle, &self.params)?;
        }
        let result = self
            .files
            .iter_mut()
            .try_for_each(|inherited| inherited.restore_into(handle));
        match (result, self.half) {
            (Ok(()), half) => {
                self.given = true;
                self.half = None;
                if let Some(half) = half {
                    half.put();
                }
                Ok(())
            }
            (Err(err), Some(_)) => Err(err),
            (Err(err), None) => {
                self.half = Some(handle).filter(|handle| handle.get());
                Err(err)
            }
        }
    }

    pub(super) fn free(self, freed: &mut Freed) {
        for inherited in self.files {
            if !self.given || inherited.stays_out() {
                inherited.free(freed);
            }
        }
        if let Some(half) = self.half {
            half.put();
        }
    }
}

/// Makes a mounted instance what it was, but for what its mount's options say otherwise.
fn adopt(handle: Handle, params: &wire::Instance) -> Result {
    let params = sys::lu_params {
        limit: params.limit,
        huge: params.huge,
        mode: params.mode,
        uid: params.uid,
        gid: params.gid,
        ..Default::default()
    };
    // SAFETY: The instance is live, and the parameters readable.
    to_result(unsafe { sys::lu_instance_adopt(handle.as_ptr(), &params) })
}
