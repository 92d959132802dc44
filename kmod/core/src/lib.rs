// SPDX-License-Identifier: GPL-2.0

//! The pure logic of the kernel module: its state machine and its wire format.
//!
//! Nothing here allocates or calls the kernel. Kbuild compiles the same files into
//! `liveupdate_lab.ko`; this crate exists to test them on the host.
#![no_std]

pub mod state;
pub mod wire;
