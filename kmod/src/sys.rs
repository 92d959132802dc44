// SPDX-License-Identifier: GPL-2.0

//! What bindgen made of `shim/shim.h`.

#![allow(
    missing_docs,
    non_camel_case_types,
    unreachable_pub,
    unused_imports,
    dead_code,
    clippy::all,
    clippy::undocumented_unsafe_blocks,
    // Kernel structures hold zero-sized members; only pointers to them cross here.
    improper_ctypes
)]

include!(env!("LU_BINDINGS"));
