//! The in-tree orchestrator, measured by what the thread asks of one.

pub(super) mod broker;
pub(super) mod layout;
pub(super) mod registration;
pub(super) mod retrieval;

use rustix::{
    fd::OwnedFd,
    fs::{MemfdFlags, memfd_create},
};

use super::{
    context::{Finding, works},
    seat::content,
};
use crate::frames::write_all;

/// A memfd with bytes that follow from the seed.
fn filled(bytes: usize, seed: u64) -> Result<OwnedFd, Finding> {
    let file = works("memfd_create", memfd_create("check", MemfdFlags::CLOEXEC))?;
    works("write to a memfd", write_all(&file, &content(seed, bytes)))?;
    Ok(file)
}
