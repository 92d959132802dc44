//! A mistake that could be made, as a patch with a header that tells of it.

use std::fs;
use std::path::{Path, PathBuf};

use protocol::message::Interface;

use crate::kernel::{self, Patch};

/// Where they are, from the project's root: a folder for each of what they are made to.
pub const FOLDER: &str = "ci/mutants";

/// The first words of what the header says.
const MISTAKE: &str = "Mistake:";
const MET_AS: &str = "Met as:";

/// What is patched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// The kernel's tree.
    Linux,
    /// This project's module: paths in the patch begin with `kmod/`.
    Module,
}

impl Target {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Linux, Self::Module];

    /// The folder's name.
    #[must_use]
    pub const fn folder(self) -> &'static str {
        match self {
            Self::Linux => "linux",
            Self::Module => "module",
        }
    }
}

/// A mistake that could be made.
#[derive(Clone, Debug)]
pub struct Mutant {
    /// `linux/memfd-size-in-pages`.
    pub name: String,
    /// What is patched.
    pub target: Target,
    /// What the mistake is.
    pub mistake: String,
    /// How a user would meet it.
    pub met_as: String,
    /// The mistake.
    pub patch: Patch,
}

/// Why there are none.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A folder or file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is no patch.
    #[error(transparent)]
    Patch(#[from] kernel::Error),
    /// A file does not say what it is.
    #[error("{}: before the patch there must be a line `{line} …`, and words in it", path.display())]
    Header {
        /// Which.
        path: PathBuf,
        /// The line that is missing.
        line: &'static str,
    },
    /// A module's patch that patches something else.
    #[error("{}: it changes {file}, and those in this folder change kmod/", path.display())]
    Astray {
        /// Which.
        path: PathBuf,
        /// What it changes.
        file: String,
    },
}

/// All in the project's folder, by name; those of the kernel first.
///
/// # Errors
/// A file that is none.
pub fn all(project: &Path) -> Result<Vec<Mutant>, Error> {
    let mut mutants = Vec::new();
    for target in Target::ALL {
        let folder = project.join(FOLDER).join(target.folder());
        let unreadable = |source| Error::Unreadable { path: folder.clone(), source };
        let mut files = Vec::new();
        for entry in fs::read_dir(&folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if path.extension().is_some_and(|extension| extension == "patch") {
                files.push(path);
            }
        }
        files.sort();
        for file in files {
            mutants.push(read(&file, target)?);
        }
    }
    Ok(mutants)
}

fn read(path: &Path, target: Target) -> Result<Mutant, Error> {
    let text = fs::read_to_string(path).map_err(|source| Error::Unreadable { path: path.to_owned(), source })?;
    let said = |line: &'static str| {
        let words = paragraph(&text, line).filter(|words| !words.is_empty());
        words.ok_or_else(|| Error::Header { path: path.to_owned(), line })
    };
    let (mistake, met_as) = (said(MISTAKE)?, said(MET_AS)?);
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let patch = Patch::parse(&stem, text)?;
    if target == Target::Module
        && let Some(astray) = patch.files().find(|file| !file.starts_with("kmod"))
    {
        return Err(Error::Astray { path: path.to_owned(), file: astray.display().to_string() });
    }
    Ok(Mutant { name: format!("{}/{stem}", target.folder()), target, mistake, met_as, patch })
}

/// The words behind `first` and in the lines that go on with them, up to an empty line or the next beginning.
fn paragraph(text: &str, first: &str) -> Option<String> {
    let header = text.lines().take_while(|line| !line.starts_with("--- "));
    let mut lines = header.skip_while(|line| !line.starts_with(first));
    let mut words = lines.next()?.strip_prefix(first)?.trim().to_owned();
    for line in lines.take_while(|line| !line.is_empty() && ![MISTAKE, MET_AS].iter().any(|it| line.starts_with(it))) {
        words.push(' ');
        words.push_str(line.trim());
    }
    Some(words)
}

impl Mutant {
    /// The interfaces that can be affected, the nearest first.
    #[must_use]
    pub fn interfaces(&self) -> &'static [Interface] {
        use Interface::{Kexecfs, Luo, Module};
        let orchestrator = |file: &Path| {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            name.contains("luo") || name == "kho_block.c"
        };
        match self.target {
            Target::Module => &[Module, Kexecfs],
            Target::Linux if self.patch.files().all(orchestrator) => &[Luo],
            // All of them rest on Kexec HandOver.
            Target::Linux => &[Luo, Module, Kexecfs],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mutant(target: Target, file: &str) -> Result<Mutant, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.patch");
        let text = format!(
            "Mistake: One\n  two.\nMet as: Three.\n\nMore.\n--- a/{file}\n+++ b/{file}\n@@ -1 +1 @@\n-Met as: x\n+y\n"
        );
        fs::write(&path, text).unwrap();
        read(&path, target)
    }

    #[test]
    fn a_header_tells_of_the_mistake() {
        let mutant = mutant(Target::Linux, "mm/memfd_luo.c").unwrap();
        assert_eq!((mutant.mistake.as_str(), mutant.met_as.as_str()), ("One two.", "Three."));
        assert_eq!(mutant.name, "linux/a");
    }

    #[test]
    fn what_is_patched_tells_what_can_be_affected() {
        use Interface::{Kexecfs, Luo, Module};
        let of = |target, file| mutant(target, file).unwrap().interfaces();
        assert_eq!(of(Target::Linux, "mm/memfd_luo.c"), [Luo]);
        assert_eq!(of(Target::Linux, "kernel/liveupdate/kho_block.c"), [Luo]);
        assert_eq!(of(Target::Linux, "kernel/liveupdate/kexec_handover.c"), [Luo, Module, Kexecfs]);
        assert_eq!(of(Target::Module, "kmod/shim/kho.c"), [Module, Kexecfs]);
        assert!(matches!(mutant(Target::Module, "mm/memfd_luo.c"), Err(Error::Astray { .. })));
    }

    #[test]
    fn one_that_says_nothing_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.patch");
        fs::write(&path, "Mistake: x\nMet as:\n--- a/mm/x.c\n+++ b/mm/x.c\n").unwrap();
        assert!(matches!(read(&path, Target::Linux), Err(Error::Header { line: MET_AS, .. })));
    }

    #[test]
    fn those_that_are_shipped_can_be_read() {
        let project = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let mutants = all(project).unwrap();
        let of = |target| mutants.iter().filter(|mutant| mutant.target == target).count();
        assert!(of(Target::Linux) >= 25 && of(Target::Module) >= 10);
    }
}
