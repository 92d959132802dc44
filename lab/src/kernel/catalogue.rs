//! `kernels.yaml`: the kernels of a project, by name.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Deserialize;

use super::fragment::Fragment;
use super::patch::Patch;
use super::{Error, KernelSource, KernelSpec, ParseError, Profile};
use crate::scenario::diagnostic::{Diagnostic, Place, nearest};
use crate::scenario::locate::{self, Turn};

/// The file's name, at the project's root.
pub const FILE: &str = "kernels.yaml";
/// Where patches are, beside the file.
pub const PATCHES: &str = "kernels/patches";
/// Longest file, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// One kernel, as it stands in the file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Entry {
    source: String,
    #[serde(default)]
    about: String,
    #[serde(default)]
    patches: Vec<String>,
    #[serde(default)]
    options: Vec<String>,
    profile: Option<Profile>,
}

/// The kernels that have names.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    path: PathBuf,
    named: BTreeMap<String, Named>,
}

/// A kernel that has a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// What it is.
    pub spec: KernelSpec,
    /// What it is for.
    pub about: String,
}

/// Why a name means no kernel.
#[derive(Debug, thiserror::Error)]
pub enum UnknownKernel {
    /// The file says something that cannot be.
    #[error(transparent)]
    Catalogue(#[from] Diagnostic),
    /// It is neither a name nor a source.
    #[error("{source}; nor does {FILE} name it{}", meant.as_ref().map_or(String::new(), |meant| format!(": did you mean `{meant}`?")))]
    Name {
        /// Why it is no source.
        source: ParseError,
        /// What that may have meant.
        meant: Option<String>,
    },
}

impl Catalogue {
    /// Reads the file of a project, and the patches that it names; without one, nothing has a name.
    ///
    /// # Errors
    /// What it says that cannot be, with its place.
    pub fn read(project: &Path) -> Result<Self, Diagnostic> {
        let path = project.join(FILE);
        let shown = path.to_string_lossy();
        let about = |message: String| Diagnostic::about(&shown, message);
        let text = match fs::metadata(&path) {
            Ok(meta) if meta.len() > MAX_BYTES => return Err(about(format!("it is longer than {MAX_BYTES} bytes"))),
            Ok(_) => fs::read_to_string(&path).map_err(|error| about(format!("cannot be read: {error}")))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self { path, ..Self::default() }),
            Err(error) => return Err(about(format!("cannot be read: {error}"))),
        };
        Self::parse(&path, &text, &project.join(PATCHES))
    }

    /// Reads the file's text.
    ///
    /// # Errors
    /// What it says that cannot be, with its place.
    pub fn parse(path: &Path, text: &str, patches: &Path) -> Result<Self, Diagnostic> {
        let shown = path.to_string_lossy();
        let entries: Option<BTreeMap<String, Entry>> = serde_yaml::from_str(text).map_err(|error| {
            let place = error.location().map(|at| Place { line: at.line(), column: at.column() });
            let message = error.to_string();
            let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(head, _)| head).to_owned();
            let help = crate::scenario::diagnostic::suggest(&message, &[]);
            Diagnostic::new(&shown, text, place, message, help)
        })?;
        let mut named = BTreeMap::new();
        for (name, entry) in entries.unwrap_or_default() {
            let about = entry.about.clone();
            let spec = entry.spec(&name, patches).map_err(|wrong| {
                let turns = [vec![Turn::Name(name.clone())], wrong.turns].concat();
                Diagnostic::new(&shown, text, locate::find(text, &turns), wrong.message, wrong.help)
            })?;
            named.insert(name, Named { spec, about });
        }
        Ok(Self { path: path.to_path_buf(), named })
    }

    /// What someone means by a word: a name, else a source.
    ///
    /// # Errors
    /// It is neither.
    pub fn find(&self, word: &str) -> Result<KernelSpec, UnknownKernel> {
        let word = word.trim();
        if let Some(named) = self.named.get(word) {
            return Ok(named.spec.clone());
        }
        KernelSource::from_str(word).map(KernelSpec::plain).map_err(|source| {
            let meant = nearest(word, self.named.keys().map(String::as_str)).map(str::to_owned);
            UnknownKernel::Name { source, meant }
        })
    }

    /// All that have a name, by it.
    pub fn named(&self) -> impl Iterator<Item = &Named> {
        self.named.values()
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// What is wrong with an entry, and where in it.
struct Wrong {
    turns: Vec<Turn>,
    message: String,
    help: Option<String>,
}

impl Entry {
    fn spec(self, name: &str, folder: &Path) -> Result<KernelSpec, Wrong> {
        let wrong = |turns: Vec<Turn>, message: String| Wrong { turns, message, help: None };
        let harmless = |c: char| c.is_ascii_alphanumeric() || "-._+".contains(c);
        if name.is_empty() || name.len() > 64 || !name.chars().all(harmless) {
            return Err(wrong(vec![], format!("`{name}` is no name: letters, digits and `-._+`, 64 at most")));
        }
        let source: KernelSource =
            self.source.parse().map_err(|error: ParseError| wrong(vec![Turn::Key("source")], error.to_string()))?;
        let why = match &source {
            KernelSource::Path(_) => {
                Some("a directory is built as it stands: patch it there, or name a commit by `git:`")
            }
            KernelSource::Package(_) => Some("a package's image is taken as it is"),
            _ => None,
        };
        if let Some(why) = why.filter(|_| !self.patches.is_empty()) {
            return Err(wrong(vec![Turn::Key("patches")], why.to_owned()));
        }
        let mut patches = Vec::new();
        for (index, file) in self.patches.iter().enumerate() {
            let turns = vec![Turn::Key("patches"), Turn::Item(index)];
            let plain = !file.is_empty() && !file.starts_with('.') && file.chars().all(harmless);
            if !plain {
                return Err(wrong(turns, format!("`{file}` is no file's name: patches are in {PATCHES}/")));
            }
            let patch = Patch::read(&folder.join(file)).map_err(|error| Wrong {
                help: nearest(file, files(folder).iter().map(String::as_str)).map(|it| format!("did you mean `{it}`?")),
                ..wrong(turns, error.to_string())
            })?;
            patches.push(patch);
        }
        for (index, line) in self.options.iter().enumerate() {
            Fragment::parse(line).map_err(|error| {
                let reason = match error {
                    Error::Fragment { reason, .. } => reason,
                    other => other.to_string(),
                };
                wrong(vec![Turn::Key("options"), Turn::Item(index)], reason)
            })?;
        }
        let options = self.options.iter().map(|line| format!("{line}\n")).collect();
        Ok(KernelSpec { name: name.to_owned(), source, patches, options, profile: self.profile })
    }
}

fn files(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUMP: &str = "--- a/x.h\n+++ b/x.h\n@@ -1 +1 @@\n-a\n+b\n";

    fn parse(text: &str) -> Result<Catalogue, Diagnostic> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("bump.patch"), BUMP).unwrap();
        Catalogue::parse(Path::new("kernels.yaml"), text, folder.path())
    }

    #[test]
    fn a_name_wins_and_a_source_needs_none() {
        let text = "7.3: {source: 7.3.4, about: pinned}\n7.3-kho:\n  source: 7.3\n  patches: [bump.patch]\n  \
                    options: [CONFIG_X=y, '# CONFIG_Y is not set # since 7.1']\n  profile: debug\n";
        let catalogue = parse(text).unwrap();
        assert_eq!(catalogue.find("7.3").unwrap().source.to_string(), "7.3.4");
        let patched = catalogue.find(" 7.3-kho ").unwrap();
        assert_eq!((patched.source.to_string().as_str(), patched.profile), ("7.3", Some(Profile::Debug)));
        assert_eq!(patched.patches[0].name(), "bump.patch");
        assert_eq!(patched.options, "CONFIG_X=y\n# CONFIG_Y is not set # since 7.1\n");
        assert_eq!(catalogue.find("7.2").unwrap(), KernelSpec::plain("7.2".parse().unwrap()));
        assert_eq!(catalogue.named().map(|named| named.about.as_str()).collect::<Vec<_>>(), ["pinned", ""]);
        let said = catalogue.find("7.3-kh").unwrap_err().to_string();
        assert!(said.contains("names no kernel") && said.contains("did you mean `7.3-kho`?"), "{said}");
    }

    #[test]
    fn what_cannot_be_is_told_with_its_place() {
        for (text, told, place) in [
            ("a: {source: 7.x}\n", "names no kernel", "kernels.yaml:1:"),
            ("a: {}\n", "missing field `source`", "kernels.yaml:1:"),
            ("a:\n  source: 7.3\n  patch: [x]\n", "unknown field `patch`", "kernels.yaml:3:3"),
            ("a:\n  source: 7.3\n  patches:\n    - bumb.patch\n", "did you mean `bump.patch`?", "kernels.yaml:4:7"),
            ("a: {source: 7.3, patches: [../bump.patch]}\n", "no file's name", "kernels.yaml:1:28"),
            ("a: {source: 'path:/x', patches: [bump.patch]}\n", "built as it stands", "kernels.yaml:1:"),
            ("a: {source: 7.3, options: [CONFIG_X=y, X=y]}\n", "`X=y` is no option", "kernels.yaml:1:40"),
            ("a: {source: 7.3, profile: quick}\n", "unknown variant `quick`", "kernels.yaml:1:"),
            ("a b: {source: 7.3}\n", "`a b` is no name", "kernels.yaml:1:"),
        ] {
            let said = parse(text).unwrap_err().to_string();
            assert!(said.contains(told) && said.contains(place), "{text}{said}");
        }
        assert!(parse("# nothing\n").unwrap().named().next().is_none());
    }

    #[test]
    fn the_shipped_file_is_sound() {
        let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let catalogue = Catalogue::read(&project).unwrap();
        assert!(catalogue.named().count() >= 6 && catalogue.path().is_file());
    }
}
