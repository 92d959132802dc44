//! What a preserved memfd can still do, what it cannot, and that this ends with its session or was never so.

use std::{
    os::fd::{AsFd as _, AsRawFd as _},
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use rustix::{
    event::{EventfdFlags, eventfd},
    fd::OwnedFd,
    fs::{FallocateFlags, Mode, OFlags, fallocate, ftruncate, open},
    io::{Errno, pwrite},
    mount::{MountFlags, mount},
    pipe::{PipeFlags, pipe_with},
};

use super::filled;
use crate::{
    checks::context::{Context, Finding, done, refused, same, works},
    luo::{Session, open_device},
};

const PAGE: u64 = 4096;
const BYTES: u64 = 4 * PAGE + 100;
/// How long a racer keeps the device.
const HELD: Duration = Duration::from_micros(60);
/// One page more than can be counted in 32 bits.
const TOO_LARGE: u64 = (1 << 44) + PAGE;

fn is_free(what: &str, file: &OwnedFd) -> Result<(), Finding> {
    works(&format!("to grow {what}"), ftruncate(file, BYTES + PAGE))?;
    works(&format!("to shrink {what}"), ftruncate(file, PAGE))?;
    works(&format!("to give {what} its size again"), ftruncate(file, BYTES))
}

fn is_fixed(file: &OwnedFd) -> Result<(), Finding> {
    for size in [0, BYTES - 1, BYTES + 1, BYTES + PAGE] {
        refused("ftruncate of a preserved memfd", Errno::PERM, ftruncate(file, size))?;
    }
    let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    refused("a hole in a preserved memfd", Errno::PERM, fallocate(file, punch, 0, PAGE))?;
    refused("a write beyond its end", Errno::PERM, pwrite(file, b"beyond", BYTES + PAGE))?;
    works("a write within it", pwrite(file, b"within", 0)).map(drop)
}

/// Size and holes are fixed from PRESERVE_FD until the session is closed, contents are not; who was refused is not fixed.
pub(in crate::checks) fn layout_is_fixed(_: &mut Context) -> Result<(), Finding> {
    let file = filled(BYTES as usize, 1)?;
    for _ in 0..2 {
        let session = works("CREATE_SESSION", Session::create("fixed"))?;
        works("PRESERVE_FD", session.preserve(&file, 1))?;
        is_fixed(&file)?;
        // Another opening of it is the same file.
        let other = open(format!("/proc/self/fd/{}", file.as_raw_fd()), OFlags::RDWR, Mode::empty());
        refused("PRESERVE_FD of another opening of it", Errno::BUSY, session.preserve(works("open", other)?, 2))?;
        refused("PRESERVE_FD of it once more", Errno::BUSY, session.preserve(&file, 2))?;
        refused("PRESERVE_FD of a token in use", Errno::EXIST, session.preserve(filled(1, 1)?, 1))?;
        is_fixed(&file)?;
        drop(session);
        is_free("a memfd whose session was closed", &file)?;
    }
    let session = works("CREATE_SESSION", Session::create("fixed"))?;
    works("ftruncate", ftruncate(&file, TOO_LARGE))?;
    refused("PRESERVE_FD of 16 TiB and a page", Errno::FBIG, session.preserve(&file, 1))?;
    is_free("a memfd that was too large", &file)?;
    works("PRESERVE_FD of it when it is smaller", session.preserve(&file, 1))?;
    let spare = filled(BYTES as usize, 2)?;
    refused("PRESERVE_FD of a token in use", Errno::EXIST, session.preserve(&spare, 1))?;
    is_free("a memfd whose token was in use", &spare)
}

/// Whatever is no memfd has no handler.
pub(in crate::checks) fn only_memfds(_: &mut Context) -> Result<(), Finding> {
    let session = works("CREATE_SESSION", Session::create("only"))?;
    let (reader, writer) = works("pipe2", pipe_with(PipeFlags::CLOEXEC))?;
    works("mount of a tmpfs", mount("check", "/dev", "tmpfs", MountFlags::empty(), c"size=1m"))?;
    let flags = OFlags::RDWR | OFlags::CREATE;
    let named = works("open of a file of a tmpfs", open("/dev/named", flags, Mode::RUSR | Mode::WUSR))?;
    works("write", pwrite(&named, b"named", 0))?;
    let others = [
        ("a pipe", reader),
        ("a pipe", writer),
        ("an eventfd", works("eventfd", eventfd(0, EventfdFlags::CLOEXEC))?),
        ("a file of a tmpfs", named),
        ("a directory", works("open", open("/dev", OFlags::RDONLY, Mode::empty()))?),
        ("a file of /proc", works("open", open("/proc/self/maps", OFlags::RDONLY, Mode::empty()))?),
        ("a session", works("dup", rustix::io::dup(session.as_fd()))?),
    ];
    for (what, file) in &others {
        refused(&format!("PRESERVE_FD of {what}"), Errno::NOENT, session.preserve(file, 1))?;
    }
    works("PRESERVE_FD of a memfd under the same token", session.preserve(filled(1, 1)?, 1))
}

/// One at a time, whoever tries and however often; also when processors race for it.
pub(in crate::checks) fn device_is_exclusive(_: &mut Context) -> Result<(), Finding> {
    let device = works("open of the device", open_device())?;
    for _ in 0..4 {
        refused("another open of the device", Errno::BUSY, open_device())?;
    }
    drop(device);
    let (inside, most, entered) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let until = Instant::now() + Duration::from_millis(800);
    let racer = || {
        while Instant::now() < until {
            for _ in 0..64 {
                let Ok(device) = open_device() else { continue };
                most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                entered.fetch_add(1, Ordering::SeqCst);
                // Long enough for one that got in beside it to be seen.
                let left = Instant::now() + HELD;
                while Instant::now() < left {
                    most.fetch_max(inside.load(Ordering::SeqCst), Ordering::SeqCst);
                }
                inside.fetch_sub(1, Ordering::SeqCst);
                drop(device);
            }
        }
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = (0..3).map(|_| scope.spawn(racer)).collect();
        racer();
        others.into_iter().try_for_each(|other| done("a thread", other.join().map_err(|_| "it panicked")))
    })?;
    same("those who had the device at once", 1, most.load(Ordering::SeqCst))?;
    works("open of the device when all have left", open_device()).map(drop)
}
