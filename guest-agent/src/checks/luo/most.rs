//! Most of the machine's memory at once: whatever the next kernel has not been told to keep it uses.

use protocol::check::Notes;
use rustix::{
    fd::OwnedFd,
    fs::{MemfdFlags, fstat, ftruncate, memfd_create},
};

use super::huge_memfd;
use crate::{
    checks::context::{Context, Finding, holds, same, works},
    luo::Session,
    mapping::Mapping,
    memory,
};

const SESSION: &str = "most";
const PAGE: u64 = 4096;
const MIB: u64 = 1 << 20;
/// Pages mapped at a time.
const WINDOW: u64 = 4096;
/// So many small pages that the list of them is in several pieces: each names 511 pages of 170 entries.
const SMALL_BYTES: u64 = 352 * MIB;
/// And so many for a hundred of what is free in huge ones.
const HUGE_PART: u64 = 40;

fn marks(page: u64, seed: u64) -> u64 {
    seed.wrapping_add(page).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1
}

/// Asks `each` for each page of a file, mapped; it may write to one that is mapped for that.
fn over(
    file: &OwnedFd,
    bytes: u64,
    writable: bool,
    mut each: impl FnMut(u64, &std::sync::atomic::AtomicU64, &std::sync::atomic::AtomicU64) -> Result<(), Finding>,
) -> Result<(), Finding> {
    let pages = bytes / PAGE;
    for first in (0..pages).step_by(WINDOW as usize) {
        let count = (pages - first).min(WINDOW) as usize;
        let mapping = works("mmap", Mapping::new(file, first, count, writable))?;
        for at in 0..count {
            let page = mapping.page(at);
            each(first + at as u64, &page[0], &page[page.len() - 1])?;
        }
    }
    Ok(())
}

fn mark(file: &OwnedFd, bytes: u64, seed: u64) -> Result<(), Finding> {
    use std::sync::atomic::Ordering::Relaxed;
    over(file, bytes, true, |page, first, last| {
        first.store(marks(page, seed), Relaxed);
        last.store(!marks(page, seed), Relaxed);
        Ok(())
    })
}

fn is_marked(what: &str, file: &OwnedFd, bytes: u64, seed: u64) -> Result<(), Finding> {
    use std::sync::atomic::Ordering::Relaxed;
    same(&format!("the size of {what}"), bytes as i64, works("fstat", fstat(file))?.st_size)?;
    over(file, bytes, false, |page, first, last| {
        let found = (first.load(Relaxed), last.load(Relaxed));
        let so = found == (marks(page, seed), !marks(page, seed));
        holds(&format!("page {page} of {what} to hold its marks"), so, format!("{found:x?}"))
    })
}

/// One file in small pages and one in huge ones: together most of what is free.
pub(in crate::checks) fn leave(context: &mut Context) -> Result<Notes, Finding> {
    let free = memory::settled()?.available;
    let (small_bytes, huge_bytes) = (SMALL_BYTES, free / 100 * HUGE_PART / (2 * MIB) * (2 * MIB));
    let huge = huge_memfd(huge_bytes)?;
    mark(&huge, huge_bytes, 1)?;
    let small = works("memfd_create", memfd_create("most", MemfdFlags::CLOEXEC))?;
    works("ftruncate", ftruncate(&small, small_bytes))?;
    mark(&small, small_bytes, 2)?;
    let session = works("CREATE_SESSION", Session::create(SESSION))?;
    works("PRESERVE_FD of huge pages", session.preserve(&huge, 1))?;
    works("PRESERVE_FD of small pages", session.preserve(&small, 2))?;
    context.stay_with((session, huge, small));
    Ok(Notes::of(&(small_bytes, huge_bytes))?)
}

pub(in crate::checks) fn find(_: &mut Context, notes: &Notes) -> Result<(), Finding> {
    let (small_bytes, huge_bytes): (u64, u64) = notes.read()?;
    let session = works("RETRIEVE_SESSION", Session::retrieve(SESSION))?;
    let huge = works("RETRIEVE_FD of huge pages", session.retrieve_fd(1))?;
    let small = works("RETRIEVE_FD of small pages", session.retrieve_fd(2))?;
    works("FINISH", session.finish())?;
    drop(session);
    is_marked("the file in huge pages", &huge, huge_bytes, 1)?;
    is_marked("the file in small pages", &small, small_bytes, 2)
}
