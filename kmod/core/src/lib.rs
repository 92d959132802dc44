// SPDX-License-Identifier: GPL-2.0

//! The pure logic of the kernel module: state machine, dependencies, sessions, the way through an
//! update, and the wire format.
//!
//! Nothing here calls the kernel; where something is kept, the caller brings the containers. Kbuild compiles the same files into
//! `liveupdate_lab.ko`; this crate exists to test them on the host.
#![no_std]

pub mod graph;
pub mod name;
pub mod orchestrator;
pub mod state;
pub mod store;
#[cfg(test)]
mod testing;
pub mod wire;
