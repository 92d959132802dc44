//! The shell that a guest has for a person.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::doctor::{Check, Doctor, Found, Remedy};
use super::system::{Package, find_program};

const BUSYBOX: Package = Package { apt: "busybox-static", dnf: "busybox", pacman: "busybox", zypper: "busybox-static" };

/// A busybox that needs no libraries: a guest has none.
#[must_use]
pub fn busybox() -> Option<PathBuf> {
    find_program("busybox").filter(|path| is_static(path))
}

impl Doctor {
    /// Checks what `cargo xtask shell` alone needs.
    #[must_use]
    pub fn inspect_for_shell(&self) -> Vec<Check> {
        vec![Check {
            name: "busybox",
            found: busybox().map_or(Found::Missing, |path| Found::Good(path.display().to_string())),
            needed: "a busybox without libraries is the guest's shell",
            remedy: Remedy::Package(BUSYBOX),
        }]
    }
}

/// Whether an ELF file asks for no interpreter, which would load its libraries.
fn is_static(path: &Path) -> bool {
    let mut begin = Vec::new();
    let read = File::open(path).and_then(|file| file.take(4096).read_to_end(&mut begin));
    read.is_ok() && asks_for_interpreter(&begin) == Some(false)
}

/// What the program headers say, if they are all there.
fn asks_for_interpreter(elf: &[u8]) -> Option<bool> {
    const INTERPRETER: u32 = 3;
    let word = |at: usize| Some(u16::from_le_bytes(elf.get(at..at + 2)?.try_into().ok()?).into());
    let long = |at: usize| Some(u64::from_le_bytes(elf.get(at..at + 8)?.try_into().ok()?));
    if elf.get(..5)? != b"\x7fELF\x02" {
        return None;
    }
    let (table, size, count): (usize, usize, usize) = (long(32)?.try_into().ok()?, word(54)?, word(56)?);
    let kind = |index: usize| {
        let at = table.checked_add(index.checked_mul(size)?)?;
        Some(u32::from_le_bytes(elf.get(at..at.checked_add(4)?)?.try_into().ok()?))
    };
    (0..count).try_fold(false, |asks, index| Some(asks || kind(index)? == INTERPRETER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_needs_libraries_is_known() {
        // This test is such a program, and a script is none at all.
        assert!(!is_static(&std::env::current_exe().unwrap()));
        assert_eq!(asks_for_interpreter(b"#!/bin/sh\n"), None);
        let mut elf = vec![0; 64 + 56];
        elf[..5].copy_from_slice(b"\x7fELF\x02");
        (elf[32], elf[54], elf[56]) = (64, 56, 1);
        assert_eq!(asks_for_interpreter(&elf), Some(false));
        elf[64] = 3;
        assert_eq!(asks_for_interpreter(&elf), Some(true));
        assert_eq!(asks_for_interpreter(&elf[..80]), Some(true));
        assert_eq!(asks_for_interpreter(&elf[..64]), None);
        elf[32..40].fill(0xff);
        assert_eq!(asks_for_interpreter(&elf), None);
    }
}
