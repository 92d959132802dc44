//! The file system face: instances, what is in them, and the services that use them.

pub(super) mod calls;
pub(super) mod control;
pub(super) mod cycle;
pub(super) mod fixed;
pub(super) mod found;
pub(super) mod generations;
pub(super) mod huge;
pub(super) mod lifetime;
pub(super) mod link;
pub(super) mod mounting;
mod own;
pub(super) mod retried;
pub(super) mod service;
pub(super) mod special;
pub(super) mod state;
pub(super) mod through;

use std::{fs, path::Path};

use liveupdate_client::{
    Name,
    kexecfs::{Builder, Instance},
};
use rustix::{
    fd::{AsFd, OwnedFd},
    io::Errno,
};

use super::context::{Finding, done, holds, refused, works};

/// Bytes of an instance whose memory is counted.
const COUNTED: u64 = 300 << 20;

/// What comes and goes beside it.
const SLACK: u64 = 8 << 20;

/// An instance of this name, before it is mounted.
fn named(name: &str) -> Builder {
    match Name::new(name) {
        Ok(name) => Instance::builder().name(name),
        Err(_) => panic!("{name} is no name"),
    }
}

/// Requires that a call of the module's is refused with this errno.
fn denied<T>(what: &str, with: Errno, result: liveupdate_client::Result<T>) -> Result<(), Finding> {
    refused(what, with, result.map_err(|error| error.errno()))
}

/// Bytes that tell their place, and of which file they are.
fn content(seed: u64, bytes: usize) -> Vec<u8> {
    let word = |at: u64| (seed ^ at).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29).to_le_bytes();
    (0..bytes.div_ceil(8) as u64).flat_map(word).take(bytes).collect()
}

/// Writes all of it in one call.
fn put(file: impl AsFd, at: u64, bytes: &[u8]) -> Result<(), Finding> {
    let written = works("pwrite", rustix::io::pwrite(file, bytes, at))?;
    holds("a write to be whole", written == bytes.len(), format!("{written} bytes of {}", bytes.len()))
}

/// All that is in a file.
fn all(file: impl AsFd) -> Result<Vec<u8>, Finding> {
    let (mut found, mut piece) = (Vec::new(), vec![0; 1 << 20]);
    loop {
        match works("pread", rustix::io::pread(&file, &mut piece[..], found.len() as u64))? {
            0 => return Ok(found),
            length => found.extend_from_slice(&piece[..length]),
        }
    }
}

/// Requires that these are a file's bytes, all of them.
fn reads(file: impl AsFd, what: &str, expected: &[u8]) -> Result<(), Finding> {
    let found = all(file)?;
    let differs = found.iter().zip(expected).position(|(found, expected)| found != expected);
    let came = format!("{} bytes, the first other one at {differs:?}", found.len());
    holds(&format!("{what} to hold the {} bytes that were written", expected.len()), found == expected, came)
}

/// A file of that content.
fn write_file(instance: &Instance, name: &str, bytes: &[u8]) -> Result<OwnedFd, Finding> {
    let file = instance.create(name)?;
    put(&file, 0, bytes)?;
    Ok(file)
}

/// Requires that an instance has these files and no others.
fn has_files(instance: &Instance, what: &str, expected: &[&str]) -> Result<(), Finding> {
    let mut found = instance.files()?;
    found.sort();
    holds(&format!("the files of {what} to be {expected:?}"), found == expected, format!("{found:?}"))
}

/// Free bytes, once what was given back can be counted.
fn free() -> Result<u64, Finding> {
    Ok(crate::memory::settled()?.free)
}

/// Requires that [`COUNTED`] bytes are in use that were free before.
fn takes_memory(what: &str, before: u64) -> Result<(), Finding> {
    let now = free()?;
    let taken = before.saturating_sub(now);
    let near = taken + SLACK >= COUNTED && taken <= COUNTED + 2 * SLACK;
    holds(&format!("{what} to take {COUNTED} bytes"), near, format!("{taken} bytes are taken"))
}

/// Requires that they are free again.
fn gives_back(what: &str, before: u64) -> Result<(), Finding> {
    let now = free()?;
    let came = format!("{} bytes are not free again", before.saturating_sub(now));
    holds(&format!("the memory back from {what}"), now + SLACK >= before, came)
}

/// A directory for a mount, made if there is none.
fn place(path: &str) -> Result<&Path, Finding> {
    done("mkdir", fs::create_dir_all(path))?;
    Ok(Path::new(path))
}

/// How often kexecfs stands in the mountinfo of a process; none if that is gone.
fn mounts_of(process: &str) -> Option<usize> {
    let text = fs::read_to_string(format!("/proc/{process}/mountinfo")).ok()?;
    Some(text.lines().filter(|line| line.contains(" - kexecfs ")).count())
}
