//! memfds, and what comes back of them.

use std::os::fd::{AsFd, OwnedFd};

use liveupdate_client::{Drive as _, Kind, Preserve as _, PreserveFlags, State, Token};
use protocol::check::Notes;
use rustix::{
    fs::{
        FallocateFlags, MemfdFlags, OFlags, SealFlags, SeekFrom, fallocate, fcntl_add_seals, fcntl_get_seals, fstat,
        ftruncate, memfd_create, seek,
    },
    io::Errno,
};

use super::{
    context::{Context, Finding, holds, refused, same, works},
    face::{Side, content, declined, has_content},
};
use crate::mapping::Mapping;

const PAGE: usize = 4096;
/// The last page is not whole.
const BYTES: usize = 9 * PAGE + 100;
const POSITION: u64 = 12_345;

fn new(bytes: u64) -> Result<OwnedFd, Finding> {
    let file = works("memfd_create", memfd_create(c"check", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING))?;
    works("ftruncate", ftruncate(&file, bytes))?;
    Ok(file)
}

/// Not without the caller's word; and while it is prepared its layout is fixed, its contents are not.
pub(super) fn a_memfd_must_be_asked_for(context: &mut Context) -> Result<(), Finding> {
    let side = Side::fresh(context, "asked")?;
    let file = new(BYTES as u64)?;
    let reason =
        declined("a memfd without the flag", Errno::OPNOTSUPP, side.preserve(file.as_fd(), PreserveFlags::NONE))?;
    holds("the reason to name the flag", reason.contains("PRESERVE_MEMFD"), reason)?;
    let token = side.preserve(file.as_fd(), PreserveFlags::MEMFD)?;
    declined("the same memfd again", Errno::EXIST, side.preserve(file.as_fd(), PreserveFlags::MEMFD))?;
    works("ftruncate while nothing is prepared", ftruncate(&file, (BYTES + PAGE) as u64))?;
    works("ftruncate while nothing is prepared", ftruncate(&file, BYTES as u64))?;

    side.prepare()?;
    for frozen in [false, true] {
        if frozen {
            side.freeze()?;
        }
        for bytes in [0, BYTES + 1, BYTES - 1, BYTES - 2 * PAGE, 100 * PAGE] {
            refused("ftruncate of a prepared memfd", Errno::PERM, ftruncate(&file, bytes as u64))?;
        }
        let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        refused("a hole in a prepared memfd", Errno::PERM, fallocate(&file, punch, 0, PAGE as u64))?;
        let grow = fallocate(&file, FallocateFlags::empty(), BYTES as u64, PAGE as u64);
        refused("fallocate beyond the end of a prepared memfd", Errno::PERM, grow)?;
        let beyond = rustix::io::pwrite(&file, b"beyond", (BYTES + PAGE) as u64);
        refused("write beyond the end of a prepared memfd", Errno::PERM, beyond)?;
        works("write to a prepared memfd", rustix::io::pwrite(&file, b"within", 0))?;
    }
    same("its size", BYTES as i64, works("fstat", fstat(&file))?.st_size)?;
    side.cancel()?;
    works("ftruncate after CANCEL", ftruncate(&file, (BYTES + PAGE) as u64))?;
    same("its seals after CANCEL", SealFlags::empty(), works("F_GET_SEALS", fcntl_get_seals(&file))?)?;
    side.unpreserve(token)?;
    side.is(State::Normal)
}

/// Pages that are written to, the others are holes.
const WRITTEN: [usize; 4] = [0, 3, 4, 9];

/// What the file reads as: zeros, and some pages.
fn bytes(seed: u64) -> Vec<u8> {
    let mut all = vec![0; BYTES];
    let some = content(seed, BYTES);
    for page in WRITTEN {
        let range = page * PAGE..((page + 1) * PAGE).min(BYTES);
        all[range.clone()].copy_from_slice(&some[range]);
    }
    all
}

/// One with holes, seals and a position, and an empty one; where the pages lie is known once it is prepared.
pub(super) fn leave(context: &mut Context) -> Result<Notes, Finding> {
    let side = Side::fresh(context, "memfd")?;
    let file = new(BYTES as u64)?;
    let token = side.preserve(file.as_fd(), PreserveFlags::MEMFD)?;
    let all = bytes(token.get());
    for page in WRITTEN {
        let range = page * PAGE..((page + 1) * PAGE).min(BYTES);
        works("write", rustix::io::pwrite(&file, &all[range.clone()], range.start as u64))?;
    }
    works("lseek", seek(&file, SeekFrom::Start(POSITION)))?;
    works("F_ADD_SEALS", fcntl_add_seals(&file, SealFlags::GROW | SealFlags::SEAL))?;
    let empty = new(0)?;
    let nothing = side.preserve(empty.as_fd(), PreserveFlags::MEMFD)?;
    side.prepare()?;
    let frames = frames(&file)?;
    side.freeze()?;
    context.stay_with((side, file));
    Ok(Notes::of(&(token.get(), nothing.get(), frames))?)
}

/// The same bytes on the same pages, the same size, position and seals.
pub(super) fn find(context: &mut Context, notes: &Notes) -> Result<(), Finding> {
    let (token, nothing, left): (u64, u64, Vec<u64>) = notes.read()?;
    let side = Side::retrieved(context, "memfd")?;
    let Some(known) = Token::new(token) else { return Err(Finding::new("a token", "0")) };
    let info = side.info(known)?;
    same("its kind", Kind::Memfd, info.kind)?;
    same("its size", BYTES as u64, info.bytes)?;
    let file = side.restore(known)?;
    declined("a second restore", Errno::NOENT, side.restore(known))?;
    same("its position", POSITION, works("lseek", seek(&file, SeekFrom::Current(0)))?)?;
    same("its seals", SealFlags::GROW | SealFlags::SEAL, works("F_GET_SEALS", fcntl_get_seals(&file))?)?;
    same("its size", BYTES as i64, works("fstat", fstat(&file))?.st_size)?;
    has_content(&file, &bytes(token))?;
    same("where its pages lie", left, frames(&file)?)?;
    let access = works("F_GETFL", rustix::fs::fcntl_getfl(&file))? & OFlags::RWMODE;
    same("how it is open", OFlags::RDWR, access)?;
    refused("to grow what is sealed", Errno::PERM, ftruncate(&file, (BYTES + PAGE) as u64))?;
    refused("to seal what is sealed", Errno::PERM, fcntl_add_seals(&file, SealFlags::SHRINK))?;
    works("write to what came back", rustix::io::pwrite(&file, b"after", 0))?;
    works("to shrink what came back", ftruncate(&file, PAGE as u64))?;

    let empty = side.found(nothing, "")?;
    same("the size of the empty one", 0, works("fstat", fstat(&empty))?.st_size)?;
    same("the seals of the empty one", SealFlags::empty(), works("F_GET_SEALS", fcntl_get_seals(&empty))?)?;
    works("to grow the empty one", ftruncate(&empty, PAGE as u64))?;
    works("write to the empty one", rustix::io::pwrite(&empty, b"after", 0))?;
    side.finish()?;
    side.is(State::Normal)?;
    same("what was freed", 0, side.status()?.freed_pages)
}

/// The frame of each page.
fn frames(file: impl AsFd) -> Result<Vec<u64>, Finding> {
    let pages = BYTES.div_ceil(PAGE);
    let mapping = works("mmap", Mapping::new(file, 0, pages, false))?;
    let mut entries = vec![0; 8 * pages];
    let place = (mapping.address() / PAGE * 8) as u64;
    let read = std::fs::File::open("/proc/self/pagemap")
        .and_then(|pagemap| std::os::unix::fs::FileExt::read_exact_at(&pagemap, &mut entries, place));
    read.map_err(|error| Finding::new("the pagemap to be readable", error.to_string()))?;
    let (entries, _) = entries.as_chunks();
    let frames = entries.iter().map(|&entry| u64::from_ne_bytes(entry));
    let frames: Vec<u64> = frames.filter(|entry| entry >> 63 == 1).map(|entry| entry & ((1 << 55) - 1)).collect();
    same("the number of pages that are there", pages, frames.len())?;
    Ok(frames)
}
