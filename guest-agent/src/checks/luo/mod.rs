//! The in-tree orchestrator, measured by what the thread asks of one, and by its own word.

pub(super) mod account;
pub(super) mod blocks;
pub(super) mod broker;
pub(super) mod contents;
pub(super) mod cost;
pub(super) mod crowd;
pub(super) mod fixed;
pub(super) mod hops;
pub(super) mod layout;
pub(super) mod lost;
pub(super) mod metadata;
pub(super) mod most;
pub(super) mod names;
pub(super) mod registration;
pub(super) mod retrieval;

use std::fs;

use rustix::{
    fd::OwnedFd,
    fs::{FallocateFlags, MemfdFlags, fallocate, ftruncate, memfd_create},
    process::{Resource, Rlimit, setrlimit},
};

use super::{
    context::{Finding, done, holds, works},
    seat::content,
};
use crate::frames::write_all;

const HUGE: u64 = 2 << 20;

/// Where the kernel says whether a memfd gets pages of 2 MiB.
const HUGE_SHMEM: &str = "/sys/kernel/mm/transparent_hugepage/shmem_enabled";

/// A memfd with bytes that follow from the seed.
fn filled(bytes: usize, seed: u64) -> Result<OwnedFd, Finding> {
    let file = works("memfd_create", memfd_create("check", MemfdFlags::CLOEXEC))?;
    works("write to a memfd", write_all(&file, &content(seed, bytes)))?;
    Ok(file)
}

/// Lets this process have more files open than it may by default.
fn many_files() -> Result<(), Finding> {
    works("setrlimit", setrlimit(Resource::Nofile, Rlimit { current: Some(8192), maximum: Some(8192) }))
}

/// Has memfds be filled in pages of 2 MiB while `fill` does that, and requires that this one was.
fn in_huge_pages(bytes: u64, fill: impl FnOnce() -> Result<OwnedFd, Finding>) -> Result<OwnedFd, Finding> {
    let shmem = |word| match fs::write(HUGE_SHMEM, word) {
        Ok(()) => Ok(()),
        Err(error) => Err(Finding::lacks(format!("{HUGE_SHMEM} takes no {word}: {error}"))),
    };
    shmem("always")?;
    let before = shmem_in_huge()?;
    let file = fill();
    shmem("never")?;
    let huge = shmem_in_huge()?.saturating_sub(before);
    holds("a memfd in pages of 2 MiB", huge >= bytes / HUGE * HUGE, format!("{huge} bytes in such"))?;
    file
}

/// A memfd of zeros in huge pages.
fn huge_memfd(bytes: u64) -> Result<OwnedFd, Finding> {
    in_huge_pages(bytes, || {
        let file = works("memfd_create", memfd_create("huge", MemfdFlags::CLOEXEC))?;
        works("ftruncate", ftruncate(&file, bytes))?;
        works("fallocate", fallocate(&file, FallocateFlags::empty(), 0, bytes))?;
        Ok(file)
    })
}

/// Bytes of shared memory in pages of 2 MiB.
fn shmem_in_huge() -> Result<u64, Finding> {
    let text = done("read of /proc/meminfo", fs::read_to_string("/proc/meminfo"))?;
    let value = text.lines().find_map(|line| line.strip_prefix("ShmemHugePages:")?.trim().strip_suffix(" kB"));
    let kilobytes: Option<u64> = value.and_then(|value| value.trim().parse().ok());
    Ok(kilobytes.ok_or_else(|| Finding::new("ShmemHugePages in /proc/meminfo", "none"))? << 10)
}
