//! Patches: read with care, and applied beside the tree, so that one that fails changes nothing.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use super::{Error, Job};
use crate::cache::digest::{self, Hasher};
use crate::host::process::Watched;

/// Longest patch, in bytes: those of the lab are a hundredth of it.
const MAX_BYTES: u64 = 1 << 20;
/// Lines of a hunk that an error repeats.
const LINES: usize = 24;

/// One patch, in the format of `diff -u` or git, with paths from the top of the tree and `a/` and `b/` before them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    name: String,
    text: String,
    files: BTreeSet<PathBuf>,
}

impl Patch {
    /// Reads a file; it is called by its name.
    ///
    /// # Errors
    /// It cannot be read, or is no patch.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let mut text = String::new();
        let read = File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_string(&mut text));
        read.map_err(|source| Error::io("read", path, source))?;
        Self::parse(&path.file_name().unwrap_or_default().to_string_lossy(), text)
    }

    /// A patch of this text.
    ///
    /// # Errors
    /// It is no patch, or reaches out of the tree.
    pub fn parse(name: &str, text: String) -> Result<Self, Error> {
        let refuse = |reason: &str| Error::Patch { patch: name.to_owned(), to: None, said: vec![reason.to_owned()] };
        if text.len() as u64 > MAX_BYTES {
            return Err(refuse("it is longer than a MiB"));
        }
        let mut files = BTreeSet::new();
        let mut before: Option<&str> = None;
        for line in text.lines() {
            if let (Some(old), Some(new)) = (before, line.strip_prefix("+++ ")) {
                for (path, side) in [(old, "a/"), (new, "b/")] {
                    let path = path.split('\t').next().unwrap_or_default().trim_end();
                    if path == "/dev/null" {
                        continue;
                    }
                    let path = path.strip_prefix(side).map(Path::new).unwrap_or(Path::new(""));
                    if path.as_os_str().is_empty() || !path.components().all(|it| matches!(it, Component::Normal(_))) {
                        return Err(refuse(&format!("`{line}`: paths begin with `a/` and `b/` and stay in the tree")));
                    }
                    files.insert(path.to_path_buf());
                }
            }
            before = line.strip_prefix("--- ");
        }
        if files.is_empty() {
            return Err(refuse("it changes no file: where are its `--- a/…` and `+++ b/…` lines?"));
        }
        Ok(Self { name: name.to_owned(), text, files })
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The hash of its text.
    #[must_use]
    pub fn sha256(&self) -> String {
        digest::bytes(&self.text)
    }

    /// The files that it touches.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(PathBuf::as_path)
    }
}

/// What a series of patches does is a function of this.
pub(super) fn content(patches: &[Patch]) -> String {
    let mut hasher = Hasher::new();
    for patch in patches {
        hasher.field(&patch.text);
    }
    hasher.finish()
}

/// Puts into `scratch` every file that the patches touch, as it is in `tree` and then as they want it.
pub(super) fn apply(patches: &[Patch], tree: &Path, what: &str, scratch: &Path, job: &Job<'_>) -> Result<(), Error> {
    for file in patches.iter().flat_map(Patch::files) {
        let (from, to) = (tree.join(file), scratch.join(file));
        let place = || {
            fs::create_dir_all(to.parent().unwrap_or(scratch))?;
            if from.is_file() { fs::copy(&from, &to).map(drop) } else { Ok(()) }
        };
        place().map_err(|source| Error::io("copy", &from, source))?;
    }
    for patch in patches {
        let (input, rejected) = (scratch.join(".patch"), scratch.join(".rejected"));
        fs::write(&input, &patch.text).map_err(|source| Error::io("write", &input, source))?;
        let mut command = Command::new("patch");
        // Lines may have moved, but must be those that the patch was made for.
        command
            .args(["--strip=1", "--force", "--fuzz=0", "--no-backup-if-mismatch", "--quoting-style=literal"])
            .arg(format!("--directory={}", scratch.display()))
            .arg(format!("--input={}", input.display()))
            .arg(format!("--reject-file={}", rejected.display()))
            .env("LC_ALL", "C");
        let mut said = Vec::new();
        let outcome = Watched::new(command, job.cancel).run(|line| said.push(line.to_owned()))?;
        if !outcome.status.success() {
            said.retain(|line| !line.contains("saving rejects"));
            // The hunk itself tells what was expected.
            let hunk = fs::read_to_string(&rejected).unwrap_or_default();
            said.extend(hunk.lines().take(LINES).map(str::to_owned));
            return Err(Error::Patch { patch: patch.name.clone(), to: Some(what.to_owned()), said });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::Cache;
    use crate::host::{Cancel, Silent};

    const BUMP: &str =
        "Says why.\n\n--- a/include/x.h\n+++ b/include/x.h\n@@ -1,3 +1,3 @@\n one\n-two\n+zwei\n three\n";

    fn patch(text: &str) -> Result<Patch, Error> {
        Patch::parse("bump.patch", text.to_owned())
    }

    #[test]
    fn a_patch_knows_its_files() {
        let files = |text| patch(text).unwrap().files().map(|it| it.display().to_string()).collect::<Vec<_>>();
        assert_eq!(files(BUMP), ["include/x.h"]);
        assert_eq!(files("--- /dev/null\n+++ b/new.c\t2026\n@@ -0,0 +1 @@\n+x\n"), ["new.c"]);
        assert_eq!(files("--- a/old.c\n+++ /dev/null\n"), ["old.c"]);
    }

    #[test]
    fn what_is_no_patch_or_reaches_out_is_refused() {
        for (text, told) in [
            ("", "changes no file"),
            ("--- a/x\n", "changes no file"),
            ("--- a/../x\n+++ b/../x\n", "stay in the tree"),
            ("--- a//etc/passwd\n+++ b//etc/passwd\n", "stay in the tree"),
            ("--- x.c\n+++ x.c\n", "begin with `a/`"),
        ] {
            let said = patch(text).unwrap_err().to_string();
            assert!(said.contains(told) && said.contains("bump.patch"), "{text}: {said}");
        }
        assert!(patch(&"x".repeat(2 << 20)).unwrap_err().to_string().contains("longer"));
    }

    #[test]
    fn it_is_applied_beside_the_tree_or_tells_its_hunk() {
        let dir = tempfile::tempdir().unwrap();
        let (tree, scratch) = (dir.path().join("tree"), dir.path().join("scratch"));
        fs::create_dir_all(tree.join("include")).unwrap();
        fs::write(tree.join("include/x.h"), "zero\none\ntwo\nthree\n").unwrap();
        let cache = Cache::at(&dir.path().join("cache")).unwrap();
        let (silent, cancel) = (Silent, Cancel::new());
        let job = Job { cache: &cache, progress: &silent, cancel: &cancel };
        let bump = patch(BUMP).unwrap();
        apply(std::slice::from_ref(&bump), &tree, "Linux 7.3.4", &scratch, &job).unwrap();
        assert_eq!(fs::read_to_string(scratch.join("include/x.h")).unwrap(), "zero\none\nzwei\nthree\n");
        assert_eq!(fs::read_to_string(tree.join("include/x.h")).unwrap(), "zero\none\ntwo\nthree\n");

        let said = apply(&[bump.clone(), bump], &tree, "Linux 7.3.4", &scratch, &job).unwrap_err().to_string();
        for word in ["bump.patch", "7.3.4", "include/x.h", "Hunk #1 FAILED at 1", "-two"] {
            assert!(said.contains(word), "{word}: {said}");
        }
        let gone = patch("--- a/gone.c\n+++ b/gone.c\n@@ -1 +1 @@\n-a\n+b\n").unwrap();
        let said = apply(&[gone], &tree, "Linux 7.3.4", &scratch, &job).unwrap_err().to_string();
        assert!(said.contains("gone.c") || said.contains("find file to patch"), "{said}");
    }
}
