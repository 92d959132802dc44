//! How a person names a kernel.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::version::{Series, Version};

/// The forms that are taken, for messages.
const FORMS: &str = "one of: `7.3` (the newest patch release of a series), `7.3.4` (exactly that release), \
    `path:~/linux` (a directory), `git:URL#REF` or `git:/directory#REF` (a commit, branch or tag), \
    `https://….tar.xz` (a tarball; also .tar.gz and .tar.zst, optionally with `#sha256=…`), \
    `debian:linux-image-amd64` (the image of a package, as Debian built it)";

/// A kernel as it is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum KernelSource {
    /// The newest patch release of a series that can be had.
    Series(Series),
    /// Exactly this release.
    Exact(Version),
    /// A directory, built as it stands, again after every edit.
    Path(PathBuf),
    /// A commit of a repository.
    Git {
        /// A URL, or a directory.
        repository: String,
        /// A commit, branch or tag.
        reference: String,
    },
    /// The image of one of Debian's packages, which is not built here.
    Package(String),
    /// A tarball.
    Tarball {
        /// Where it is.
        url: String,
        /// What its hash has to be.
        sha256: Option<String>,
    },
}

/// Why a text names no kernel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` names no kernel: {reason}; expected {FORMS}")]
pub struct ParseError {
    text: String,
    reason: &'static str,
}

impl FromStr for KernelSource {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let text = text.trim();
        parse(text).map_err(|reason| ParseError { text: text.to_owned(), reason })
    }
}

fn parse(text: &str) -> Result<KernelSource, &'static str> {
    if text.is_empty() {
        return Err("it is empty");
    }
    if text.contains(|c: char| c.is_control()) {
        return Err("it contains control characters");
    }
    if let Some(path) = text.strip_prefix("path:") {
        return if path.is_empty() { Err("the path is empty") } else { Ok(KernelSource::Path(path.into())) };
    }
    if let Some(rest) = text.strip_prefix("git:") {
        return parse_git(rest);
    }
    if let Some(name) = text.strip_prefix("debian:") {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c);
        let is_image =
            name.strip_prefix("linux-image-").is_some_and(|rest| !rest.is_empty() && rest.chars().all(plain));
        return if is_image { Ok(KernelSource::Package(name.to_owned())) } else { Err("it is no `linux-image-…`") };
    }
    if text.contains("://") {
        return parse_tarball(text);
    }
    if text.starts_with(['/', '~', '.']) {
        return Err("a directory is written with `path:` before it");
    }
    if text.contains("-rc") {
        return Err("release candidates have no tarball of their own, take them from git");
    }
    if let Ok(series) = text.parse() {
        return Ok(KernelSource::Series(series));
    }
    text.parse().map(KernelSource::Exact).map_err(|_| "it is no version number and has no known prefix")
}

fn parse_git(text: &str) -> Result<KernelSource, &'static str> {
    let Some((repository, reference)) = text.rsplit_once('#') else {
        return Err("the reference after `#` is missing");
    };
    if repository.is_empty() || reference.is_empty() {
        return Err("the repository or the reference is empty");
    }
    // git would take them for options.
    if repository.starts_with('-') || reference.starts_with('-') {
        return Err("neither repository nor reference may begin with a dash");
    }
    if reference.contains([' ', '~', '^', ':', '?', '*', '[', '\\']) || reference.contains("..") {
        return Err("the reference is no name of a commit, branch or tag");
    }
    Ok(KernelSource::Git { repository: repository.to_owned(), reference: reference.to_owned() })
}

fn parse_tarball(text: &str) -> Result<KernelSource, &'static str> {
    let (url, fragment) = match text.split_once('#') {
        Some((url, fragment)) => (url, Some(fragment)),
        None => (text, None),
    };
    let sha256 = match fragment {
        None => None,
        Some(fragment) => {
            let hash = fragment.strip_prefix("sha256=").ok_or("after `#` only `sha256=` is known")?;
            if hash.len() != 64 || !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err("a sha256 has 64 hexadecimal digits");
            }
            Some(hash.to_ascii_lowercase())
        }
    };
    // What anyone on the way could change needs a hash; a file of one's own does not.
    match url.split_once("://") {
        Some(("https" | "file", _)) => {}
        Some(("http", _)) if sha256.is_some() => {}
        Some(("http", _)) => return Err("plain http is taken only with `#sha256=`"),
        _ => return Err("the URL is neither https nor file; a repository is written with `git:` before it"),
    }
    if ![".tar.xz", ".tar.gz", ".tgz", ".tar.zst"].iter().any(|ending| url.ends_with(ending)) {
        return Err("the URL does not end like a tarball");
    }
    Ok(KernelSource::Tarball { url: url.to_owned(), sha256 })
}

impl fmt::Display for KernelSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Series(series) => series.fmt(f),
            // The zero tells the first release from its series.
            Self::Exact(version) if version.patch == 0 => write!(f, "{}.0", version.series),
            Self::Exact(version) => version.fmt(f),
            Self::Path(path) => write!(f, "path:{}", path.display()),
            Self::Git { repository, reference } => write!(f, "git:{repository}#{reference}"),
            Self::Package(name) => write!(f, "debian:{name}"),
            Self::Tarball { url, sha256: None } => f.write_str(url),
            Self::Tarball { url, sha256: Some(hash) } => write!(f, "{url}#sha256={hash}"),
        }
    }
}

impl TryFrom<String> for KernelSource {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl From<KernelSource> for String {
    fn from(source: KernelSource) -> Self {
        source.to_string()
    }
}

/// Replaces a leading `~` by the home directory.
#[must_use]
pub fn expand_home(path: &Path) -> PathBuf {
    match (path.strip_prefix("~"), std::env::var_os("HOME")) {
        (Ok(rest), Some(home)) => Path::new(&home).join(rest),
        _ => path.to_path_buf(),
    }
}
