// SPDX-License-Identifier: GPL-2.0

//! Arguments of ioctls, by the size-first convention.

use crate::sys;
use core::mem::size_of;
use kernel::{error::to_result, prelude::*};

/// A structure of the interface.
///
/// # Safety
///
/// Any bytes are a value of the type, and it has no padding.
pub(crate) unsafe trait Plain: Default {}

macro_rules! plain {
    ($($name:ident),*) => {$(
        // SAFETY: Integers and arrays of bytes, laid out without padding.
        unsafe impl Plain for sys::$name {}
        const _: () = assert!(size_of::<sys::$name>() % 8 == 0);
    )*};
}

plain!(
    liveupdate_lab_event,
    liveupdate_lab_get_state,
    liveupdate_lab_fd_preserve,
    liveupdate_lab_fd_unpreserve,
    liveupdate_lab_fd_restore,
    liveupdate_lab_session,
    liveupdate_lab_depend,
    liveupdate_lab_fd_info,
    liveupdate_lab_reason,
    liveupdate_lab_status,
    liveupdate_lab_mem_create
);

/// Reads the argument of an ioctl: EFAULT, EINVAL (too short), E2BIG (unknown and not zero).
pub(crate) fn read<T: Plain>(arg: usize) -> Result<T> {
    read_from(arg, size_of::<T>())
}

/// The same for a structure that was `first` bytes long when it was first published.
pub(crate) fn read_from<T: Plain>(arg: usize, first: usize) -> Result<T> {
    let mut value = T::default();
    // SAFETY: `value` is writable for its size, and any bytes make a value of it, as it is
    // `Plain`. `arg` needs no trust: C copies through the checks for user addresses.
    to_result(unsafe { sys::lu_args_in((&raw mut value).cast(), first, size_of::<T>(), arg) })?;
    Ok(value)
}

/// Writes results back over an argument that [`read`] has taken, as much as it has room for.
pub(crate) fn write<T: Plain>(arg: usize, value: &T) -> Result {
    // SAFETY: `value` is readable for its size and has no padding, as it is `Plain`.
    to_result(unsafe { sys::lu_args_out(arg, core::ptr::from_ref(value).cast(), size_of::<T>()) })
}
