//! The command line without a guest: what it teaches, what it refuses and how it says so.

#[path = "../common/mod.rs"]
mod common;
mod lacking;
mod mistakes;
mod teaching;
