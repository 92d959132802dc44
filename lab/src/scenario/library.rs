//! Finds scenario files: by path, by name in a folder, or all of them.

use std::fs;
use std::path::{Path, PathBuf};

use super::Document;
use super::diagnostic::{Diagnostic, nearest};
use super::raw::MAX_BYTES;

/// Why a scenario could not be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file says something that no scenario can say.
    #[error(transparent)]
    Invalid(#[from] Diagnostic),
    /// Neither a file nor a name.
    #[error("there is no scenario `{name}`{}", meant.as_ref().map_or(String::new(), |meant| format!("; did you mean `{meant}`?")))]
    Unknown {
        /// What was asked for.
        name: String,
        /// What that may have meant.
        meant: Option<String>,
    },
    /// The file system refused.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Folders in a library's folder whose scenarios belong to it. Those in others are run by path.
const SUBJECTS: [&str; 3] = [crate::conformance::TAG, "luo", "stress"];

/// A folder of scenarios.
#[derive(Clone, Debug)]
pub struct Library {
    folder: PathBuf,
}

impl Library {
    /// The scenarios in `folder`.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// All of them, by name.
    ///
    /// # Errors
    /// If the folder or a file in it cannot be read, or a file is no scenario.
    pub fn all(&self) -> Result<Vec<Document>, Error> {
        self.files()?.iter().map(|path| read(path)).collect()
    }

    /// The one that `wanted` names: a path to a file, or the name of one in the folder.
    ///
    /// # Errors
    /// If there is none, or it is no scenario.
    pub fn find(&self, wanted: &str) -> Result<Document, Error> {
        if Path::new(wanted).is_file() {
            return read(Path::new(wanted));
        }
        let files = self.files()?;
        let found = files.iter().find(|path| stem(path) == wanted);
        match found {
            Some(path) => read(path),
            None => {
                let names: Vec<String> = files.iter().map(|path| stem(path)).collect();
                let meant = nearest(wanted, names.iter().map(String::as_str)).map(str::to_owned);
                Err(Error::Unknown { name: wanted.to_owned(), meant })
            }
        }
    }

    fn files(&self) -> Result<Vec<PathBuf>, Error> {
        let mut files = scenarios_in(&self.folder)?;
        for subject in SUBJECTS.map(|subject| self.folder.join(subject)) {
            if subject.is_dir() {
                files.extend(scenarios_in(&subject)?);
            }
        }
        Ok(files)
    }

    /// The file of what is declared not to apply.
    #[must_use]
    pub fn declarations(&self) -> PathBuf {
        self.folder.join(crate::conformance::TAG).join(crate::conformance::FILE)
    }
}

fn scenarios_in(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let unreadable = |source| Error::Unreadable { path: folder.to_owned(), source };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let yaml = path.extension().is_some_and(|extension| extension == "yaml");
        if yaml && !path.ends_with(crate::conformance::FILE) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn read(path: &Path) -> Result<Document, Error> {
    let unreadable = |source| Error::Unreadable { path: path.to_owned(), source };
    let length = fs::metadata(path).map_err(unreadable)?.len();
    if length > MAX_BYTES as u64 {
        let source = std::io::Error::new(
            std::io::ErrorKind::FileTooLarge,
            format!("{length} bytes; a scenario is at most {MAX_BYTES}"),
        );
        return Err(Error::Unreadable { path: path.to_owned(), source });
    }
    let text = fs::read_to_string(path).map_err(unreadable)?;
    Ok(Document::parse(&stem(path), &path.to_string_lossy(), &text)?)
}
