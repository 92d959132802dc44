//! Who has released kernels: kernel.org first, Debian's packages where it cannot be reached.

mod debian;
mod kernel_org;

use std::path::Path;

use super::{Error, Job, Series, Version};

pub(super) use debian::{Package, fetch_package, image_package};
pub(super) use kernel_org::download;

/// Which releases are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Any of a series, the newest first.
    Series(Series),
    /// This one.
    Exact(Version),
}

impl Wanted {
    fn series(self) -> Series {
        match self {
            Self::Series(series) => series,
            Self::Exact(version) => version.series,
        }
    }

    fn takes(self, version: Version) -> bool {
        match self {
            Self::Series(series) => version.series == series,
            Self::Exact(exact) => version == exact,
        }
    }
}

/// A release that someone says they have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    /// Which release.
    pub(super) version: Version,
    /// Who has it, for the record: a name, never a host.
    pub(super) origin: String,
    /// The tarball's published hash, where one is published for it rather than for its package.
    pub(super) sha256: Option<String>,
    place: Place,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Url(String),
    DebianBinary { package: String, version: String },
    DebianSource { version: String },
}

/// Someone who may have releases: asked in turn, and only if those before had none.
pub(super) type Asked = fn(Wanted, &Job<'_>) -> Result<Vec<Candidate>, Error>;

/// Everyone who can be asked, with their names.
pub(super) const ORIGINS: [(&str, Asked); 3] = [
    ("kernel.org", kernel_org::candidates),
    ("Debian's linux-source packages", debian::binary_candidates),
    ("Debian's source packages", debian::source_candidates),
];

impl Candidate {
    /// Puts the tarball at `tarball`; `scratch` is for what comes before it, kept so that a download can be resumed.
    pub(super) fn fetch(&self, tarball: &Path, scratch: &Path, job: &Job<'_>) -> Result<(), Error> {
        job.progress.stage(&format!("download Linux {} from {}", self.version, self.origin), Some(100));
        match &self.place {
            Place::Url(url) => download(url, tarball, job),
            Place::DebianBinary { package, version } => debian::fetch_binary(package, version, tarball, scratch, job),
            Place::DebianSource { version } => debian::fetch_source(version, tarball, scratch, job),
        }
    }
}
