// SPDX-License-Identifier: GPL-2.0

//! eventfds: counter and flags, as they are when everybody else is frozen.

use super::address;
use crate::{
    sys,
    wire::{self, BodyWriter, WireError},
};
use kernel::{error::to_result, fs::File, prelude::*, sync::aref::ARef};

pub(crate) const COMPATIBLE: &[u8] = b"liveupdate-lab,eventfd-v1";

/// A counted reference to an eventfd.
pub(crate) struct Eventfd(ARef<File>);

impl Eventfd {
    pub(super) fn is(file: &ARef<File>) -> bool {
        // SAFETY: The file is live.
        unsafe { sys::lu_eventfd_is(file.as_ptr()) }
    }

    pub(super) fn new(file: ARef<File>) -> Self {
        Self(file)
    }

    pub(super) fn identity(&self) -> u64 {
        address(&self.0)
    }

    pub(super) fn describe(
        &self,
        token: u64,
        session: u64,
        writer: &mut BodyWriter<'_>,
    ) -> Result<(), WireError> {
        let mut eventfd = sys::lu_eventfd::default();
        // SAFETY: The file is a live eventfd.
        let read = to_result(unsafe { sys::lu_eventfd_describe(self.0.as_ptr(), &mut eventfd) });
        if let Err(err) = read {
            pr_err!("the counter of an eventfd cannot be read: {:?}\n", err);
            return Err(WireError::Malformed);
        }
        writer.file(&wire::File {
            token,
            session,
            compatible: COMPATIBLE,
        })?;
        writer.eventfd(&wire::Eventfd {
            count: eventfd.count,
            flags: eventfd.flags,
        })
    }
}

/// Has the caller's new eventfd take this over; `scratch` is 8 bytes of the caller's memory.
pub(crate) fn adopt(file: &ARef<File>, eventfd: &wire::Eventfd, scratch: usize) -> Result {
    let eventfd = sys::lu_eventfd {
        count: eventfd.count,
        flags: eventfd.flags,
        reserved: 0,
    };
    // SAFETY: The file is live; C checks what it is, and user memory through the usual ways.
    to_result(unsafe { sys::lu_eventfd_adopt(file.as_ptr(), &eventfd, scratch) })
}
