//! What PREPARE and FREEZE take from the files of an instance, and CANCEL gives back.

use std::sync::atomic::Ordering::Relaxed;

use liveupdate_client::{
    Device, Drive as _, PageSize, Preserve as _,
    kexecfs::{Huge, Instance},
};
use rustix::{
    event::{EventfdFlags, eventfd},
    fd::{AsFd, OwnedFd},
    fs::{
        AtFlags, FallocateFlags, Mode, OFlags, RenameFlags, Timespec, Timestamps, fallocate, fchmod, fchown, ftruncate,
        futimens, mkdirat, openat, renameat, renameat_with, symlinkat, unlinkat,
    },
    io::Errno,
    mm::{MapFlags, MprotectFlags, ProtFlags, mmap, mprotect, munmap},
    process::{Gid, Uid},
};

use super::{content, denied, has_files, named, put, reads, write_file};
use crate::{
    checks::context::{Context, Finding, refused, same, works},
    mapping::Mapping,
};

const PAGE: u64 = 4096;

/// By what signal a fork of this process dies that does this.
fn dies_of(work: impl FnOnce()) -> Result<Option<i32>, Finding> {
    // SAFETY: a check has one thread.
    match unsafe { libc::fork() } {
        -1 => Err(Finding::new("fork to work", std::io::Error::last_os_error().to_string())),
        0 => {
            work();
            // SAFETY: the fork has nothing to tidy up.
            unsafe { libc::_exit(0) }
        }
        pid => {
            let mut status = 0;
            // SAFETY: the status is writable.
            let waited = unsafe { libc::waitpid(pid, &mut status, 0) };
            same("the process that has ended", pid, waited)?;
            Ok(libc::WIFSIGNALED(status).then(|| libc::WTERMSIG(status)))
        }
    }
}

/// An instance with a file of four pages and some bytes, the second page a hole, and one with another name.
struct Fixture {
    instance: Instance,
    file: OwnedFd,
    bytes: Vec<u8>,
    mapping: Mapping,
}

impl Fixture {
    fn new() -> Result<Self, Finding> {
        let instance = named("fixed").size(64 << 20).huge(Huge::Never).mount()?;
        let mut bytes = content(5, 4 * 4096 + 100);
        let file = write_file(&instance, "file", &bytes)?;
        works("punch", fallocate(&file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, PAGE, PAGE))?;
        bytes[4096..8192].fill(0);
        write_file(&instance, "other", b"other")?;
        let mapping = works("mmap", Mapping::new(&file, 2, 1, true))?;
        Ok(Self { instance, file, bytes, mapping })
    }

    fn same_bytes(&self, what: &str) -> Result<(), Finding> {
        reads(&self.file, what, &self.bytes)
    }

    /// By write(2), where there is a page.
    fn write(&mut self, byte: u8) -> Result<(), Errno> {
        let written = rustix::io::pwrite(&self.file, &[byte; 10], 4090 - 5)?;
        self.bytes[4085..4085 + written].fill(byte);
        Ok(())
    }

    /// Through the mapping, which is there already.
    fn write_mapped(&mut self, value: u64) {
        self.mapping.page(0)[3].store(value, Relaxed);
        self.bytes[2 * 4096 + 24..2 * 4096 + 32].copy_from_slice(&value.to_ne_bytes());
    }

    /// Everything that would change the layout.
    fn layout_operations(&self) -> Vec<(&'static str, Result<(), Errno>)> {
        let (file, root) = (&self.file, self.instance.as_fd());
        let flags = OFlags::RDWR | OFlags::CLOEXEC;
        let time = Timestamps {
            last_access: Timespec { tv_sec: 1, tv_nsec: 2 },
            last_modification: Timespec { tv_sec: 3, tv_nsec: 4 },
        };
        let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        let mode = Mode::RUSR | Mode::WUSR;
        vec![
            ("create", openat(root, "new", flags | OFlags::CREATE, mode).map(drop)),
            ("a nameless file", openat(root, ".", flags | OFlags::TMPFILE, mode).map(drop)),
            ("truncate to less", ftruncate(file, 4 * PAGE + 50)),
            ("truncate to more", ftruncate(file, 5 * PAGE)),
            ("open with O_TRUNC", openat(root, "other", flags | OFlags::TRUNC, mode).map(drop)),
            ("fallocate", fallocate(file, FallocateFlags::empty(), PAGE, PAGE)),
            ("punch", fallocate(file, punch, 2 * PAGE, PAGE)),
            ("write beyond the end", rustix::io::pwrite(file, b"x", 6 * PAGE).map(drop)),
            ("chmod", fchmod(file, Mode::from_raw_mode(0o640))),
            ("chown", fchown(file, Some(Uid::from_raw(5)), Some(Gid::from_raw(6)))),
            ("utimens", futimens(file, &time)),
            ("chmod of the root", rustix::fs::chmodat(root, ".", Mode::from_raw_mode(0o711), AtFlags::empty())),
            ("rename", renameat(root, "other", root, "another")),
            ("exchange", renameat_with(root, "file", root, "another", RenameFlags::EXCHANGE)),
            ("unlink", unlinkat(root, "another", AtFlags::empty())),
        ]
    }

    fn layout_is_fixed(&self, state: &str) -> Result<(), Finding> {
        for (what, result) in self.layout_operations() {
            // Names that are only there if an operation before was not refused.
            let with = if matches!(what, "exchange" | "unlink") { Errno::NOENT } else { Errno::BUSY };
            refused(&format!("{what} in {state}"), with, result)?;
        }
        let root = self.instance.as_fd();
        let gone = unlinkat(root, "other", AtFlags::empty());
        refused(&format!("unlink of a file in {state}"), Errno::BUSY, gone)?;
        let exchanged = renameat_with(root, "file", root, "other", RenameFlags::EXCHANGE);
        refused(&format!("exchange of two files in {state}"), Errno::BUSY, exchanged)?;
        refused(&format!("a write into a hole in {state}"), Errno::BUSY, rustix::io::pwrite(&self.file, b"x", PAGE))?;
        has_files(&self.instance, "the instance", &["file", "other"])?;
        let hole = works("mmap", Mapping::new(&self.file, 1, 1, false))?;
        let died = dies_of(|| {
            std::hint::black_box(hole.page(0)[0].load(Relaxed));
        })?;
        same(&format!("the signal of a fault in a hole in {state}"), Some(libc::SIGBUS), died)?;
        // What reads it otherwise sees zeros, and it stays one.
        self.same_bytes(&format!("the file in {state}"))?;
        denied(&format!("a new mount in {state}"), Errno::BUSY, named("late").mount())?;
        let counter = works("eventfd", eventfd(1, EventfdFlags::CLOEXEC))?;
        denied(&format!("preserve_fd in {state}"), Errno::BUSY, self.instance.preserve_fd(&counter))
    }
}

/// Runs with the machine PREPARED or FROZEN, and cancels whatever comes of it.
fn while_fixed(device: &Device, work: impl FnOnce() -> Result<(), Finding>) -> Result<(), Finding> {
    device.prepare()?;
    let found = work();
    device.cancel()?;
    found
}

/// A new mapping of the third page, and whether it can be written or made so.
fn map_anew(file: &OwnedFd, protection: ProtFlags) -> Result<Result<(), Errno>, Errno> {
    // SAFETY: the kernel chooses the place.
    let base = unsafe { mmap(std::ptr::null_mut(), 4096, protection, MapFlags::SHARED, file, 2 * PAGE)? };
    // SAFETY: it is that mapping, which nobody uses.
    let made = unsafe { mprotect(base, 4096, MprotectFlags::READ | MprotectFlags::WRITE) };
    // SAFETY: it is that mapping, which nobody uses any more.
    unsafe { munmap(base, 4096) }?;
    Ok(made)
}

/// From PREPARE on no layout changes, from FREEZE on no content but what is mapped, and CANCEL undoes both.
pub(in crate::checks) fn by_prepare_and_freeze(context: &mut Context) -> Result<(), Finding> {
    let device = context.device()?;
    let mut fixture = Fixture::new()?;
    fixture.same_bytes("the file in NORMAL")?;
    let writable = ProtFlags::READ | ProtFlags::WRITE;
    while_fixed(&device, || {
        fixture.layout_is_fixed("PREPARED")?;
        // The content is still the workload's.
        works("write in PREPARED", fixture.write(0xA1))?;
        fixture.write_mapped(0xA2A2);
        same("a new writable mapping in PREPARED", Ok(Ok(())), map_anew(&fixture.file, writable))?;
        let beyond = works("a write across the end", rustix::io::pwrite(&fixture.file, &[0xA3; 200], 4 * PAGE + 90))?;
        same("the bytes that it writes in PREPARED", 10, beyond)?;
        fixture.bytes[4 * 4096 + 90..].fill(0xA3);
        fixture.same_bytes("the file written in PREPARED")?;

        device.freeze()?;
        fixture.layout_is_fixed("FROZEN")?;
        refused("write in FROZEN", Errno::BUSY, fixture.write(0xB1))?;
        refused("a new writable mapping in FROZEN", Errno::BUSY, map_anew(&fixture.file, writable))?;
        let later = map_anew(&fixture.file, ProtFlags::READ);
        same("making a new mapping writable in FROZEN", Ok(Err(Errno::ACCESS)), later)?;
        fixture.write_mapped(0xB2B2);
        fixture.same_bytes("the file, written through its mapping in FROZEN")?;
        device.create_memory(4096, PageSize::Any)?;
        Ok(())
    })?;

    // As if nothing had been.
    works("write after CANCEL", fixture.write(0xC1))?;
    fixture.write_mapped(0xC2C2);
    fixture.same_bytes("the file after CANCEL")?;
    let root = fixture.instance.as_fd();
    put(&fixture.file, PAGE, &[0xC3; 4096])?;
    fixture.bytes[4096..8192].fill(0xC3);
    fixture.same_bytes("the file whose hole was filled after CANCEL")?;
    works("punch", fallocate(&fixture.file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, PAGE, PAGE))?;
    let hole = works("mmap", Mapping::new(&fixture.file, 1, 1, true))?;
    hole.page(0)[0].store(7, Relaxed);
    for (what, result) in fixture.layout_operations() {
        works(&format!("{what} after CANCEL"), result)?;
    }
    // The two have changed their names, and the second was removed.
    has_files(&fixture.instance, "the instance after CANCEL", &["file", "new"])?;
    let stat = works("fstat", rustix::fs::fstat(&fixture.file))?;
    same("its attributes", (0o100_640, 5, 6, 6 * 4096 + 1), (stat.st_mode, stat.st_uid, stat.st_gid, stat.st_size))?;

    // Never, in any state: an instance has one directory, and files.
    refused("mkdir", Errno::PERM, mkdirat(root, "directory", Mode::RWXU))?;
    refused("symlink", Errno::PERM, symlinkat("target", root, "symlink"))?;

    // And once more, with another content and another layout. What has no name any more is nobody's to hand over.
    let named = fixture.instance.open("file")?;
    put(&named, 0, &content(6, 5000))?;
    while_fixed(&device, || {
        refused("truncate in the second PREPARED", Errno::BUSY, ftruncate(&named, 1))?;
        put(&named, 4000, b"in the second PREPARED")?;
        works("truncate of a file that was unlinked", ftruncate(&fixture.file, 2))
    })?;
    works("truncate after the second CANCEL", ftruncate(&named, 1))?;
    reads(&named, "what is left of the file", &content(6, 5000)[..1])
}
