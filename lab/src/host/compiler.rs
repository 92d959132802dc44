//! The C compilers of this machine.

use std::fs;
use std::path::{Path, PathBuf};

use super::system::find_program;
use super::versions::{Versions, number_in};

/// A compiler of C.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compiler {
    /// GNU's.
    Gcc,
    /// LLVM's.
    Clang,
}

impl Compiler {
    /// Its name, as a program has it where there is but one version.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gcc => "gcc",
            Self::Clang => "clang",
        }
    }

    /// Its program here, and what that says of itself. Some distributions have several versions of clang, and number
    /// the programs: the newest is taken.
    #[must_use]
    pub fn find(self, versions: &Versions) -> Option<(PathBuf, String)> {
        let candidates = match self {
            Self::Gcc => find_program(self.name()).into_iter().collect(),
            Self::Clang => {
                let path = std::env::var_os("PATH").unwrap_or_default();
                std::env::split_paths(&path).flat_map(|dir| clangs_in(&dir)).collect::<Vec<_>>()
            }
        };
        let answers = candidates.into_iter().filter_map(|program| {
            let said = versions.of_file(&program)?;
            Some((program, said))
        });
        // Of equals the first: that is how `PATH` is read.
        answers.rev().max_by_key(|(_, said)| number_in(said))
    }
}

/// `clang` and `clang-19`, and neither `clang++` nor `clang-format`.
fn clangs_in(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries
        .filter(|entry| {
            let name = entry.file_name();
            let rest = name.to_str().and_then(|name| name.strip_prefix("clang"));
            rest.is_some_and(|rest| rest.strip_prefix('-').map_or(rest.is_empty(), |rest| rest.parse::<u32>().is_ok()))
        })
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clang_is_known_by_its_name() {
        let dir = tempfile::TempDir::new().unwrap();
        for name in ["clang", "clang-19", "clang-14", "clang++", "clang-format", "clang-format-19", "clang-", "gcc"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let names: Vec<PathBuf> = ["clang", "clang-14", "clang-19"].iter().map(|name| dir.path().join(name)).collect();
        assert_eq!(clangs_in(dir.path()), names);
        assert!(clangs_in(Path::new("/nonexistent")).is_empty());
    }
}
