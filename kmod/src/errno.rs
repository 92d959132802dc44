// SPDX-License-Identifier: GPL-2.0

//! Error codes that the `kernel` crate names only since 7.3.

use kernel::{bindings, error::Error};

/// EOPNOTSUPP.
pub(crate) fn not_supported() -> Error {
    Error::from_errno(-(bindings::EOPNOTSUPP as i32))
}

/// Whether it is ESTALE.
pub(crate) fn is_stale(err: Error) -> bool {
    err.to_errno() == -(bindings::ESTALE as i32)
}
