// SPDX-License-Identifier: GPL-2.0

//! Arguments of ioctls, by the size-first convention.

use crate::sys;
use kernel::{error::to_result, prelude::*};

/// A structure of the interface.
///
/// # Safety
///
/// Any bytes are a value of the type, and it has no padding.
pub(crate) unsafe trait Plain: Default {}

// SAFETY: Two `u32`, or a `u32`, an `s32` and an aligned `u64`: integers without padding.
unsafe impl Plain for sys::liveupdate_lab_event {}
// SAFETY: As above.
unsafe impl Plain for sys::liveupdate_lab_get_state {}
// SAFETY: As above.
unsafe impl Plain for sys::liveupdate_lab_fd_preserve {}
// SAFETY: As above.
unsafe impl Plain for sys::liveupdate_lab_fd_unpreserve {}
// SAFETY: As above.
unsafe impl Plain for sys::liveupdate_lab_fd_restore {}
// SAFETY: As above.
unsafe impl Plain for sys::liveupdate_lab_mem_create {}

/// Reads the argument of an ioctl: EFAULT, EINVAL (too short), E2BIG (unknown and not zero).
pub(crate) fn read<T: Plain>(arg: usize) -> Result<T> {
    let mut value = T::default();
    // SAFETY: `value` is writable for its size, and any bytes make a value of it, as it is
    // `Plain`. `arg` needs no trust: C copies through the checks for user addresses.
    to_result(unsafe { sys::lu_args_in((&raw mut value).cast(), core::mem::size_of::<T>(), arg) })?;
    Ok(value)
}

/// Writes results back over an argument that [`read`] has taken.
pub(crate) fn write<T: Plain>(arg: usize, value: &T) -> Result {
    // SAFETY: `value` is readable for its size and has no padding, as it is `Plain`.
    to_result(unsafe {
        sys::lu_args_out(
            arg,
            core::ptr::from_ref(value).cast(),
            core::mem::size_of::<T>(),
        )
    })
}
