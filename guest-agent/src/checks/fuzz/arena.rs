//! Memory for arguments, good and bad.

use std::os::fd::OwnedFd;

use rustix::{
    fs::{MemfdFlags, ftruncate, memfd_create},
    mm::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap},
};

use crate::checks::{
    context::{Finding, works},
    dice::Dice,
};

const PAGE: usize = 4096;
/// Pages of the memory itself; as many that are not there follow.
const PAGES: usize = 2;
const BYTES: usize = PAGES * PAGE;

/// Where an argument lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) address: usize,
    /// Bytes there until memory ends; 0 where there is none.
    pub(super) readable: usize,
    pub(super) writable: bool,
}

/// Two pages that can be written by one address and only be read by another; behind both lies nothing.
pub(super) struct Arena {
    writable: usize,
    read_only: usize,
}

impl Arena {
    pub(super) fn new() -> Result<Self, Finding> {
        let file = works("memfd_create", memfd_create("arena", MemfdFlags::CLOEXEC))?;
        works("ftruncate", ftruncate(&file, BYTES as u64))?;
        let (writable, read_only) =
            (window(&file, ProtFlags::READ | ProtFlags::WRITE)?, window(&file, ProtFlags::READ)?);
        Ok(Self { writable, read_only })
    }

    /// A place for this many bytes, or for some of them.
    pub(super) fn place(&self, dice: &mut Dice, bytes: usize) -> Place {
        let bytes = bytes.clamp(1, PAGE);
        let (base, writable) = if dice.once_in(5) { (self.read_only, false) } else { (self.writable, true) };
        let offset = match dice.below(10) {
            // It ends where memory does, or beyond.
            0 => BYTES - bytes,
            1 => BYTES - dice.below(bytes) - 1,
            2 => dice.below(64),
            _ => 8 * dice.below(64),
        };
        match dice.below(24) {
            0 => Place { address: 0, readable: 0, writable: false },
            1 => Place { address: base + BYTES, readable: 0, writable: false },
            2 => Place {
                address: dice.pick(&[usize::MAX, 0xFFFF_8880_0000_0000, 1 << 47, 7]),
                readable: 0,
                writable: false,
            },
            _ => Place { address: base + offset, readable: BYTES - offset, writable },
        }
    }

    /// The same place where nothing can be written.
    pub(super) fn read_only(&self, place: Place) -> Place {
        if place.readable == 0 {
            return place;
        }
        Place { address: self.read_only + BYTES - place.readable, writable: false, ..place }
    }

    /// A good place.
    pub(super) fn good(&self) -> Place {
        Place { address: self.writable, readable: BYTES, writable: true }
    }

    /// The memory at a place, as much as there is; empty where there is none.
    pub(super) fn bytes(&mut self, place: Place) -> &mut [u8] {
        if place.readable == 0 {
            return &mut [];
        }
        let start = self.writable + BYTES - place.readable;
        // SAFETY: the window lives as long as this value, which is borrowed; nobody else writes to it but the
        // kernel during a call.
        unsafe { std::slice::from_raw_parts_mut(start as *mut u8, place.readable) }
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        for base in [self.writable, self.read_only] {
            // SAFETY: `window` mapped it, and nobody has it borrowed any more.
            let _ = unsafe { munmap(base as *mut _, 2 * BYTES) };
        }
    }
}

/// Maps the file, and nothing behind it.
fn window(file: &OwnedFd, protection: ProtFlags) -> Result<usize, Finding> {
    let nothing = ProtFlags::empty();
    // SAFETY: a new mapping, wherever the kernel sees fit.
    let base = works("mmap", unsafe { mmap_anonymous(std::ptr::null_mut(), 2 * BYTES, nothing, MapFlags::PRIVATE) })?;
    // SAFETY: the first half of that mapping, which nobody uses.
    works("mmap", unsafe { mmap(base, BYTES, protection, MapFlags::SHARED | MapFlags::FIXED, file, 0) })?;
    Ok(base as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_what_they_say() {
        let mut arena = Arena::new().unwrap();
        let mut dice = Dice::new(1, 1);
        let mut seen = [0; 4];
        let zero = std::fs::File::open("/dev/zero").unwrap();
        for _ in 0..2000 {
            let place = arena.place(&mut dice, 24);
            assert_eq!(arena.bytes(place).len(), place.readable);
            // The kernel's own opinion.
            let read = |bytes| {
                // SAFETY: whether there is memory is what is asked.
                unsafe { libc::read(std::os::fd::AsRawFd::as_raw_fd(&zero), place.address as *mut _, bytes) }
            };
            assert_eq!(read(1) == 1, place.writable && place.readable > 0, "{place:?}");
            if place.writable && place.readable < 24 {
                assert!(read(24) <= place.readable as isize);
            }
            seen[usize::from(place.readable > 0) + usize::from(place.readable >= 24) + usize::from(place.writable)] +=
                1;
        }
        assert!(seen.iter().all(|&times| times > 20), "{seen:?}");
    }
}
