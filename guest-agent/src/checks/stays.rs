//! What came back stays what it is: when the kernel drops what it may drop, and to the page when it is given up.

use std::os::fd::{AsFd as _, OwnedFd};

use liveupdate_client::{Preserve as _, PreserveFlags};
use protocol::check::Notes;
use rustix::fs::{
    FallocateFlags, MemfdFlags, OFlags, fallocate, fcntl_getfl, fcntl_setfl, fstat, fstatvfs, ftruncate, memfd_create,
};

use super::{
    context::{Context, Finding, holds, same, works},
    face::{Side, content, has_content},
    soil::Soil,
};
use crate::memory;

const NAME: &str = "stays";
const PAGE: usize = 4096;
/// Less than an instance may hold, and no multiple of a huge page.
const BYTES: usize = (12 << 20) + 5 * PAGE;
const SLACK: u64 = 1 << 20;
const RESERVED: usize = 64 * PAGE;
/// Where in the reserved memfd something is written.
const WRITTEN: std::ops::Range<usize> = 3 * PAGE..4 * PAGE;

/// A memfd of which most is reserved and was never written, open for appending.
fn reserved() -> Result<OwnedFd, Finding> {
    drop(Soil::new()?);
    let file = works("memfd_create", memfd_create("reserved", MemfdFlags::CLOEXEC))?;
    works("ftruncate", ftruncate(&file, RESERVED as u64))?;
    works("fallocate", fallocate(&file, FallocateFlags::empty(), 0, RESERVED as u64))?;
    works("write", rustix::io::pwrite(&file, &expected()[WRITTEN], WRITTEN.start as u64))?;
    works("F_SETFL", fcntl_setfl(&file, OFlags::APPEND | OFlags::NONBLOCK))?;
    Ok(file)
}

fn expected() -> Vec<u8> {
    let mut all = vec![0; RESERVED];
    all[WRITTEN].copy_from_slice(&content(7, WRITTEN.len()));
    all
}

/// Blocks of a file; and of its file system what is free, if it is an instance's.
fn books(side: &Side, file: &OwnedFd) -> Result<(u64, u64), Finding> {
    let free = match &side.instance {
        Some(instance) => works("fstatvfs", fstatvfs(instance))?.f_bfree,
        None => 0,
    };
    Ok((works("fstat", fstat(file))?.st_blocks as u64, free))
}

pub(super) fn leave(context: &mut Context) -> Result<Notes, Finding> {
    let side = Side::fresh(context, NAME)?;
    let (file, token) = side.file(NAME, BYTES as u64)?;
    works("write", crate::frames::write_all(&file, &content(1, BYTES)))?;
    let memfd = reserved()?;
    let other = side.preserve(memfd.as_fd(), PreserveFlags::MEMFD)?.get();
    let notes = Notes::of(&(token, other, books(&side, &file)?, works("fstat", fstat(&memfd))?.st_blocks))?;
    context.stay_with((side, file, memfd));
    Ok(notes)
}

pub(super) fn find(context: &mut Context, notes: &Notes) -> Result<(), Finding> {
    let (token, other, left, blocks): (u64, u64, (u64, u64), i64) = notes.read()?;
    let side = Side::retrieved(context, NAME)?;
    let (file, memfd) = (side.found(token, NAME)?, side.found(other, "")?);
    let flags = works("F_GETFL", fcntl_getfl(&memfd))?;
    same("how the memfd is open", OFlags::APPEND | OFlags::NONBLOCK, flags & (OFlags::APPEND | OFlags::NONBLOCK))?;
    for _ in 0..2 {
        has_content(&file, &content(1, BYTES))?;
        has_content(&memfd, &expected())?;
        same("the blocks of the file and what is free beside it", left, books(&side, &file)?)?;
        same("the blocks of the memfd", blocks, works("fstat", fstat(&memfd))?.st_blocks)?;
        memory::settled()?;
    }
    let before = memory::settled()?.free;
    if let Some(instance) = &side.instance {
        instance.remove(NAME)?;
    }
    drop((file, memfd));
    let back = memory::settled()?.free.saturating_sub(before);
    holds(&format!("what is closed to give back {BYTES} bytes"), back + SLACK >= BYTES as u64, format!("{back} bytes"))
}
