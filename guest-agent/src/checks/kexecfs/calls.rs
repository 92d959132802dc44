//! The usual calls of files, on those of an instance.

use rustix::{
    fs::{
        FallocateFlags, OFlags, SeekFrom, XattrFlags, copy_file_range, fallocate, fcntl_getfl, fcntl_setfl, fdatasync,
        fsetxattr, fstatvfs, fsync, ftruncate, seek, sendfile,
    },
    io::Errno,
    pipe::{PipeFlags, SpliceFlags, pipe_with, splice},
};

use super::{content, named, put, reads, write_file};
use crate::checks::context::{Context, Finding, refused, same, works};

const PAGE: u64 = 4096;
const LIMIT: u64 = 64 * PAGE;
const BYTES: usize = 3 * 4096 + 77;

/// Splice in and out, sendfile, copies, appends, holes, syncs, and the space that is left. There are no extended
/// attributes: what the kernel has for them it exports to nobody.
pub(in crate::checks) fn are_taken(context: &mut Context) -> Result<(), Finding> {
    drop(context.device()?);
    let instance = named("calls").size(LIMIT).mount()?;
    let expected = content(1, BYTES);
    let source = write_file(&instance, "source", &expected)?;

    let target = instance.create("spliced")?;
    let (reader, writer) = works("pipe2", pipe_with(PipeFlags::CLOEXEC))?;
    let (mut from, mut to) = (0, 0);
    while (from as usize) < BYTES {
        let left = BYTES - from as usize;
        let taken =
            works("splice from a file", splice(&source, Some(&mut from), &writer, None, left, SpliceFlags::empty()))?;
        let given =
            works("splice to a file", splice(&reader, None, &target, Some(&mut to), taken, SpliceFlags::empty()))?;
        same("bytes that were spliced on", taken, given)?;
    }
    reads(&target, "what was spliced", &expected)?;

    let target = instance.create("sent")?;
    let mut from = 0;
    same("bytes of sendfile", BYTES, works("sendfile", sendfile(&target, &source, Some(&mut from), BYTES))?)?;
    reads(&target, "what was sent", &expected)?;
    let target = instance.create("copied")?;
    let copied = works("copy_file_range", copy_file_range(&source, None, &target, None, BYTES))?;
    same("bytes of copy_file_range", BYTES, copied)?;
    reads(&target, "what was copied", &expected)?;

    let flags = works("F_GETFL", fcntl_getfl(&target))?;
    works("F_SETFL", fcntl_setfl(&target, flags | OFlags::APPEND))?;
    works("seek", seek(&target, SeekFrom::Start(0)))?;
    works("write at the end", rustix::io::write(&target, &expected[..100]))?;
    reads(&target, "what was added to", &[&expected[..], &expected[..100]].concat())?;

    let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    works("a hole", fallocate(&source, punch, PAGE, PAGE))?;
    let mut holed = expected;
    holed[4096..8192].fill(0);
    reads(&source, "the file with a hole", &holed)?;
    same("where the hole begins", PAGE, works("SEEK_HOLE", seek(&source, SeekFrom::Hole(0)))?)?;
    same("where it ends", 2 * PAGE, works("SEEK_DATA", seek(&source, SeekFrom::Data(PAGE)))?)?;
    works("fsync", fsync(&source))?;
    works("fdatasync", fdatasync(&source))?;

    let space = works("fstatvfs", fstatvfs(&instance))?;
    same("the size that statfs tells", LIMIT, space.f_blocks * space.f_frsize)?;
    let all = instance.create("all")?;
    let left = space.f_bfree * space.f_frsize;
    refused("a page more than there is", Errno::NOSPC, fallocate(&all, FallocateFlags::empty(), 0, left + PAGE))?;
    works("all that is left", fallocate(&all, FallocateFlags::empty(), 0, left))?;
    same("what is left then", 0, works("fstatvfs", fstatvfs(&instance))?.f_bfree)?;
    refused("a write into the hole", Errno::NOSPC, rustix::io::pwrite(&source, b"x", PAGE))?;
    works("truncate", ftruncate(&all, 0))?;
    put(&source, PAGE, b"x")?;

    refused("an extended attribute", Errno::OPNOTSUPP, fsetxattr(&source, "user.name", b"value", XattrFlags::empty()))?;
    holed[4096] = b'x';
    reads(&source, "the file in the end", &holed)
}
