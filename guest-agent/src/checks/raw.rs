//! The ioctls by number, with arguments that no sane program makes.

use std::{ffi::c_void, ptr};

use rustix::{
    fd::{AsFd, AsRawFd as _},
    io::Errno,
    mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect, munmap},
};

use super::context::{Finding, works};

/// The interface's type, and that of the in-tree orchestrator.
pub(super) const TYPE: u32 = 0xBB;
pub(super) const IN_TREE: u32 = 0xBA;

pub(super) const FD_RESTORE: u32 = 0x02;

/// Makes the call `_IO(0xBB, number)`, whose argument is at this address.
pub(super) fn call(file: impl AsFd, number: u32, argument: usize) -> Result<(), Errno> {
    any_call(file, TYPE << 8 | number, argument)
}

/// Makes any call. The address comes from an [`Argument`], or is one that the kernel has to refuse.
pub(super) fn any_call(file: impl AsFd, command: u32, argument: usize) -> Result<(), Errno> {
    // SAFETY: the kernel writes at most as much as the first field at the address says, which an `Argument` has
    // behind it or in front of a page that cannot be touched.
    let result = unsafe { libc::ioctl(file.as_fd().as_raw_fd(), command as libc::Ioctl, argument) };
    match result {
        -1 => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)),
        _ => Ok(()),
    }
}

const PAGE: usize = 4096;
/// Pages that can be used; the one after them cannot.
const PAGES: usize = 2;

/// Memory for an argument, that ends where nothing can be read or written.
pub(super) struct Argument {
    start: *mut c_void,
}

impl Argument {
    pub(super) fn new() -> Result<Self, Finding> {
        let size = (PAGES + 1) * PAGE;
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address that the kernel chooses.
        let start = unsafe { mmap_anonymous(ptr::null_mut(), size, access, MapFlags::PRIVATE) };
        let new = Self { start: works("mmap", start)? };
        // SAFETY: the last page of that mapping, of which nothing is a Rust object.
        let guarded = unsafe { mprotect(new.at(PAGES * PAGE), PAGE, MprotectFlags::empty()) };
        works("mprotect", guarded)?;
        Ok(new)
    }

    fn at(&self, offset: usize) -> *mut c_void {
        self.start.wrapping_byte_add(offset)
    }

    /// Puts bytes at the very end, and tells where they begin.
    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<usize, Finding> {
        self.put_before_end(bytes, bytes.len())
    }

    /// Puts bytes so far before the end; what does not fit is left out.
    pub(super) fn put_before_end(&mut self, bytes: &[u8], before: usize) -> Result<usize, Finding> {
        let place = self.at(PAGES * PAGE - before);
        // SAFETY: the first pages of the mapping, which the kernel may have been told to protect otherwise.
        works("mprotect", unsafe { mprotect(self.start, PAGES * PAGE, MprotectFlags::READ | MprotectFlags::WRITE) })?;
        // SAFETY: so many bytes lie before the end of what can be written, and `bytes` is memory of its own.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), place.cast(), bytes.len().min(before)) };
        Ok(place.addr())
    }

    /// The last bytes, as they are now.
    pub(super) fn last(&self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        // SAFETY: so many bytes lie before the end of what can be read.
        unsafe { ptr::copy_nonoverlapping(self.at(PAGES * PAGE - count).cast(), bytes.as_mut_ptr(), count) };
        bytes
    }

    /// From now on the kernel can read it but not write to it.
    pub(super) fn read_only(&mut self) -> Result<(), Finding> {
        // SAFETY: the first pages of the mapping; who writes to them again makes them writable first.
        works("mprotect", unsafe { mprotect(self.start, PAGES * PAGE, MprotectFlags::READ) })
    }

    /// An address in the page that cannot be touched.
    pub(super) fn nowhere(&self) -> usize {
        self.at(PAGES * PAGE).addr()
    }
}

impl Drop for Argument {
    fn drop(&mut self) {
        // SAFETY: the mapping of `new`, to which nothing refers any more.
        let _ = unsafe { munmap(self.start, (PAGES + 1) * PAGE) };
    }
}
