//! Releases from kernel.org. One signed list names every tarball of a major version, with its hash.

use std::path::Path;

use xshell::{Shell, cmd};

use super::super::{Error, Job};
use super::{Candidate, Place, Wanted};
use crate::host::process;

/// Replaced in tests, by a directory that looks the same.
const BASE: &str = "https://cdn.kernel.org/pub/linux/kernel";
const BASE_VARIABLE: &str = "LIVEUPDATE_LAB_KERNEL_ORG";

pub(super) fn candidates(wanted: Wanted, job: &Job<'_>) -> Result<Vec<Candidate>, Error> {
    let base = std::env::var(BASE_VARIABLE).unwrap_or_else(|_| BASE.to_owned());
    let directory = format!("{base}/v{}.x", wanted.series().major);
    let list = format!("{directory}/sha256sums.asc");
    let shell = shell()?;
    let mut text = String::new();
    job.run(
        cmd!(shell, "curl --fail --silent --show-error --location --connect-timeout 4 --max-time 60 {list}"),
        job.cache.root(),
        |line| {
            text.push_str(line);
            text.push('\n');
        },
    )?;
    let mut found: Vec<Candidate> = tarballs(&text)
        .filter(|(version, _)| wanted.takes(*version))
        .map(|(version, sha256)| Candidate {
            version,
            origin: "kernel.org".to_owned(),
            sha256: Some(sha256.to_owned()),
            place: Place::Url(format!("{directory}/linux-{version}.tar.xz")),
        })
        .collect();
    found.sort_by_key(|candidate| std::cmp::Reverse(candidate.version));
    Ok(found)
}

/// The releases in a list of hashes.
fn tarballs(list: &str) -> impl Iterator<Item = (super::super::Version, &str)> {
    list.lines().filter_map(|line| {
        let (hash, name) = line.split_once("  ")?;
        let version = name.strip_prefix("linux-")?.strip_suffix(".tar.xz")?.parse().ok()?;
        (hash.len() == 64).then_some((version, hash))
    })
}

/// Downloads, going on where an earlier attempt stopped.
pub(in super::super) fn download(url: &str, file: &Path, job: &Job<'_>) -> Result<(), Error> {
    let shell = shell()?;
    let partial = file.with_extension("partial");
    job.run(
        cmd!(
            shell,
            "curl --fail --show-error --location --connect-timeout 10 --retry 3 --speed-limit 1024 --speed-time 60
             --progress-bar --continue-at - --output {partial} {url}"
        ),
        &partial,
        |line| {
            if let Some(percent) = percent(line) {
                job.progress.advance(percent);
            }
        },
    )?;
    std::fs::rename(&partial, file).map_err(|source| Error::io("name the download", file, source))
}

/// The number in curl's bar, such as `####   42.0%`.
fn percent(line: &str) -> Option<u64> {
    line.trim().strip_suffix('%')?.rsplit([' ', '#']).next()?.split('.').next()?.parse().ok()
}

fn shell() -> Result<Shell, Error> {
    Shell::new().map_err(|error| {
        Error::Process(process::Error::Spawn { program: "curl".to_owned(), source: std::io::Error::other(error) })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_hashes_names_releases() {
        let hash = "a".repeat(64);
        let list = format!(
            "-----BEGIN PGP SIGNED MESSAGE-----\n{hash}  ChangeLog-7.3.4\n{hash}  linux-7.3.4.tar.gz\n\
             {hash}  linux-7.3.4.tar.xz\n{hash}  linux-7.3.tar.xz\n{hash}  patch-7.3.4.xz\n"
        );
        let versions: Vec<String> = tarballs(&list).map(|(version, _)| version.to_string()).collect();
        assert_eq!(versions, ["7.3.4", "7.3"]);
    }

    #[test]
    fn the_bar_tells_percents() {
        assert_eq!(percent("######                  12.7%"), Some(12));
        assert_eq!(percent("######################## 100.0%"), Some(100));
        assert_eq!(percent("curl: (6) Could not resolve host"), None);
    }
}
