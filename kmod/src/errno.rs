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

/// ELOOP.
pub(crate) fn too_many_links() -> Error {
    Error::from_errno(-(bindings::ELOOP as i32))
}

/// EPROTO.
pub(crate) fn protocol() -> Error {
    Error::from_errno(-(bindings::EPROTO as i32))
}
