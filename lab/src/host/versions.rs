//! Which versions the tools have. Asking a program costs a process, so answers are remembered
//! for as long as the program's file stays the same.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde::{Deserialize, Serialize};
use xshell::{Shell, cmd};

use super::system::{find_program, home_or};
use crate::cache::{Cache, write_atomically};

/// An answer, and the file that gave it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Answer {
    size: u64,
    modified: (i64, i64),
    inode: u64,
    text: String,
}

/// The tools' versions, remembered in the cache.
#[derive(Debug)]
pub struct Versions {
    file: PathBuf,
    known: Mutex<BTreeMap<PathBuf, Answer>>,
}

impl Versions {
    /// What is remembered. A missing or unreadable memory is an empty one.
    #[must_use]
    pub fn recall(cache: &Cache) -> Self {
        let file = cache.root().join("tools.json");
        let known = fs::read(&file).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        Self { file, known: Mutex::new(known) }
    }

    /// The first line that the program prints for `--version`; `None` if it is not there.
    #[must_use]
    pub fn of(&self, program: &str) -> Option<String> {
        self.of_file(&find_program(program)?)
    }

    /// The same for a program whose place is known.
    #[must_use]
    pub fn of_file(&self, program: &Path) -> Option<String> {
        let file = program.canonicalize().ok()?;
        let meta = file.metadata().ok()?;
        let stamp = (meta.len(), (meta.mtime(), meta.mtime_nsec()), meta.ino());
        let mut known = self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(answer) = known.get(&file)
            && (answer.size, answer.modified, answer.inode) == stamp
        {
            return Some(answer.text.clone());
        }
        let shell = Shell::new().ok()?;
        let said = cmd!(shell, "{program} --version").quiet().ignore_stderr().env("LC_ALL", "C").read().ok()?;
        let text = said.lines().next().unwrap_or_default().trim().to_owned();
        // rustup's proxies are one file that answers for many toolchains: not theirs to remember.
        if file.file_name().is_none_or(|name| name != "rustup") {
            known.insert(file, Answer { size: stamp.0, modified: stamp.1, inode: stamp.2, text: text.clone() });
            // A memory that cannot be written is only slow.
            if let Ok(bytes) = serde_json::to_vec_pretty(&*known) {
                let _ = write_atomically(&self.file, &bytes);
            }
        }
        Some(text)
    }
}

/// The Rust toolchain that builds kernels: the one that `rustc` in `PATH` stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toolchain {
    /// Its directory, holding `bin` and `lib`.
    pub sysroot: PathBuf,
}

impl Toolchain {
    /// Finds it, without asking `rustc` if the environment tells.
    #[must_use]
    pub fn locate() -> Option<Self> {
        let rustc = find_program("rustc")?;
        let named = std::env::var_os("RUSTUP_TOOLCHAIN").and_then(|name| {
            // An absolute name is a toolchain of its own.
            Some(home_or("RUSTUP_HOME", ".rustup")?.join("toolchains").join(name))
        });
        if let Some(sysroot) = named.filter(|dir| dir.join("bin/rustc").is_file()) {
            return Some(Self { sysroot });
        }
        let shell = Shell::new().ok()?;
        let sysroot = cmd!(shell, "{rustc} --print sysroot").quiet().ignore_stderr().read().ok()?;
        Some(Self { sysroot: sysroot.trim().into() })
    }

    /// Its compiler.
    #[must_use]
    pub fn rustc(&self) -> PathBuf {
        self.sysroot.join("bin/rustc")
    }

    /// Whether the standard library's source is there, from which a kernel builds `core`.
    #[must_use]
    pub fn has_source(&self) -> bool {
        self.sysroot.join("lib/rustlib/src/rust/library/core/src/lib.rs").is_file()
    }

    /// Whether it can build for `target`.
    #[must_use]
    pub fn has_target(&self, target: &str) -> bool {
        self.sysroot.join("lib/rustlib").join(target).join("lib").is_dir()
    }
}

/// The first `major.minor` in a text, such as `7.2` in `QEMU emulator version 7.2.22`.
#[must_use]
pub(super) fn number_in(text: &str) -> Option<(u32, u32)> {
    text.split(|c: char| !(c.is_ascii_digit() || c == '.')).find_map(|word| {
        let mut parts = word.split('.');
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn numbers_are_found_in_what_programs_say() {
        assert_eq!(number_in("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)"), Some((7, 2)));
        assert_eq!(number_in("rustc 1.95.0 (59807616e 2026-04-14)"), Some((1, 95)));
        assert_eq!(number_in("bindgen 0.73.2"), Some((0, 73)));
        assert_eq!(number_in("no number"), None);
    }

    #[test]
    fn an_answer_is_remembered_until_the_program_changes() {
        let dir = tempfile::TempDir::new().unwrap();
        let cache = Cache::at(dir.path()).unwrap();
        let program = dir.path().join("tool");
        let asked = dir.path().join("asked");
        let install = |version: &str| {
            fs::write(&program, format!("#!/bin/sh\necho x >> {}\necho tool {version}\n", asked.display())).unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        };
        install("1.2");
        for _ in 0..2 {
            assert_eq!(Versions::recall(&cache).of_file(&program).unwrap(), "tool 1.2");
        }
        assert_eq!(fs::read_to_string(&asked).unwrap().lines().count(), 1);
        install("1.10");
        assert_eq!(Versions::recall(&cache).of_file(&program).unwrap(), "tool 1.10");
    }
}
