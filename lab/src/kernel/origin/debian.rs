//! Releases from Debian's packages, read through apt with a state of our own: the host's configuration lends
//! its mirror and stays as it is. apt verifies signatures and hashes.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use xshell::{Shell, cmd};

use super::super::{Error, Job, Version};
use super::{Candidate, Place, Wanted};
use crate::cache::digest::Key;
use crate::cache::{self, Lock, disk, write_atomically};
use crate::host::apt_percent;
use crate::host::{find_program, process};

/// Where kernels of every age are found, beside the host's own suite. A mirror need not have all of them.
const SUITES: [&str; 4] = ["trixie-backports", "sid", "forky", "trixie"];
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Containers turn apt's index off to stay small; without it every question takes seconds.
const KEEP_INDEX: [&str; 4] =
    ["-o", "Dir::Cache::pkgcache=pkgcache.bin", "-o", "Dir::Cache::srcpkgcache=srcpkgcache.bin"];
/// What package lists and their index take on the disk.
const LISTS_BYTES: u64 = 300_000_000;
/// Package lists older than this are fetched again.
const FRESH: Duration = Duration::from_secs(24 * 60 * 60);

/// Packages made to be compiled: the newest releases have them.
pub(super) fn binary_candidates(wanted: Wanted, job: &Job<'_>) -> Result<Vec<Candidate>, Error> {
    let apt = Apt::prepare("deb", job)?;
    let package = format!("linux-source-{}", wanted.series());
    let listed = apt.read("apt-cache", &["madison", &package])?;
    // `linux-source-7.3 | 7.3.4-1~bpo13+1 | mirror suite/main amd64 Packages`
    let versions = listed.lines().filter_map(|line| line.split('|').nth(1)).map(str::trim);
    Ok(newest_first(versions.filter_map(|debian| {
        let version = upstream(debian).filter(|&version| wanted.takes(version))?;
        Some(Candidate {
            version,
            origin: format!("Debian package {package} {debian}"),
            sha256: None,
            place: Place::DebianBinary { package: package.clone(), version: debian.to_owned() },
        })
    })))
}

/// Source packages: older releases are kept while something in the archive was built from them.
pub(super) fn source_candidates(wanted: Wanted, job: &Job<'_>) -> Result<Vec<Candidate>, Error> {
    let apt = Apt::prepare("deb-src", job)?;
    let listed = apt.read("apt-cache", &["showsrc", "--only-source", "linux"])?;
    Ok(newest_first(source_packages(&listed).filter_map(|(debian, sha256)| {
        let version = upstream(debian).filter(|&version| wanted.takes(version))?;
        Some(Candidate {
            version,
            origin: format!("Debian source package linux {debian}"),
            sha256: Some(sha256.to_owned()),
            place: Place::DebianSource { version: debian.to_owned() },
        })
    })))
}

pub(super) fn fetch_binary(
    package: &str,
    version: &str,
    tarball: &Path,
    scratch: &Path,
    job: &Job<'_>,
) -> Result<(), Error> {
    let apt = Apt::prepare("deb", job)?;
    apt.fetch(&["download", &format!("{package}={version}")], scratch, job)?;
    let deb = only_file(scratch, ".deb")?;
    let shell = shell()?;
    let name = format!("./usr/src/{package}.tar.xz");
    // Under its own name only when it is whole: what is there is taken to be good.
    let partial = tarball.with_extension("partial");
    let script = "dpkg-deb --fsys-tarfile \"$1\" | tar --extract --to-stdout \"$2\" > \"$3\"";
    job.run(cmd!(shell, "sh -c {script} sh {deb} {name} {partial}"), tarball, |_| {})?;
    let keep = || {
        fs::rename(&partial, tarball)?;
        fs::remove_file(&deb)
    };
    keep().map_err(|source| Error::io("keep", tarball, source))
}

pub(super) fn fetch_source(version: &str, tarball: &Path, scratch: &Path, job: &Job<'_>) -> Result<(), Error> {
    let apt = Apt::prepare("deb-src", job)?;
    // apt ends in an error when the package's description has gone from the archive; the tarball tells by itself.
    let fetched = apt.fetch(
        &["source", "--download-only", "--only-source", "--tar-only", &format!("linux={version}")],
        scratch,
        job,
    );
    match only_file(scratch, ".orig.tar.xz") {
        Ok(found) => fs::rename(&found, tarball).map_err(|source| Error::io("keep", tarball, source)),
        Err(missing) => Err(fetched.err().unwrap_or(missing)),
    }
}

/// A package that holds a kernel's image, or leads to those that hold its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Package {
    pub(in super::super) name: String,
    pub(in super::super) version: String,
    pub(in super::super) sha256: String,
    /// Others of the same build that it needs.
    parts: Vec<String>,
}

/// The newest package of this name; of one that only names another, as `linux-image-amd64` does, that one.
pub(in super::super) fn image_package(name: &str, job: &Job<'_>) -> Result<Package, Error> {
    let apt = Apt::prepare("deb", job)?;
    let show = |name: &str| apt.read("apt-cache", &["show", "--no-all-versions", name]);
    let listed = show(name)?;
    let found = match field(&listed, "Depends").and_then(image_in) {
        Some(real) => package(&show(real)?),
        None => package(&listed),
    };
    found.ok_or_else(|| Error::NotAvailable {
        requested: format!("debian:{name}"),
        tried: vec!["Debian's packages: none has this name, or it leads to no image".to_owned()],
    })
}

/// Downloads all its parts into a folder.
pub(in super::super) fn fetch_package(package: &Package, folder: &Path, job: &Job<'_>) -> Result<(), Error> {
    let apt = Apt::prepare("deb", job)?;
    let names = package.parts.iter().chain([&package.name]);
    let wanted: Vec<String> = names.map(|name| format!("{name}={}", package.version)).collect();
    let arguments: Vec<&str> = ["download"].into_iter().chain(wanted.iter().map(String::as_str)).collect();
    apt.fetch(&arguments, folder, job)
}

fn field<'a>(stanza: &'a str, name: &str) -> Option<&'a str> {
    stanza.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// The image that a list of needs names.
fn image_in(depends: &str) -> Option<&str> {
    depends
        .split([',', '|'])
        .filter_map(|need| need.split_whitespace().next())
        .find(|it| it.starts_with("linux-image-"))
}

fn package(stanza: &str) -> Option<Package> {
    let text = |name| field(stanza, name).map(str::to_owned);
    let (name, version) = (text("Package")?, text("Version")?);
    // A newer kernel comes in parts, whose names end alike.
    let build = name.strip_prefix("linux-image-")?;
    let needs = field(stanza, "Depends").unwrap_or_default().split([',', '|']);
    let parts = needs
        .filter_map(|need| need.split_whitespace().next())
        .filter(|need| need.strip_suffix(build).is_some_and(|kind| kind.starts_with("linux-") && *need != name));
    let parts = parts.map(str::to_owned).collect();
    Some(Package { name, version, sha256: text("SHA256")?, parts })
}

fn gone(what: &str) -> Error {
    Error::NotAvailable { requested: what.to_owned(), tried: vec!["the package is not what it was".to_owned()] }
}

fn newest_first(candidates: impl Iterator<Item = Candidate>) -> Vec<Candidate> {
    let mut found: Vec<Candidate> = candidates.collect();
    found.sort_by_key(|candidate| std::cmp::Reverse(candidate.version));
    found.dedup_by(|a, b| a.origin == b.origin);
    found
}

/// `7.3.4` in `1:7.3.4-1~bpo13+1`.
fn upstream(debian: &str) -> Option<Version> {
    let version = debian.rsplit_once('-').map_or(debian, |(version, _)| version);
    version.rsplit(':').next()?.parse().ok()
}

/// Version and tarball hash of each source package in apt's listing.
fn source_packages(listed: &str) -> impl Iterator<Item = (&str, &str)> {
    listed.split("\n\n").filter_map(|stanza| {
        let version = stanza.lines().find_map(|line| line.strip_prefix("Version: "))?;
        let sha256 = stanza.lines().find_map(|line| {
            let mut words = line.split_whitespace();
            let (hash, _size, name) = (words.next()?, words.next()?, words.next()?);
            (line.starts_with(' ') && hash.len() == 64 && name.ends_with(".orig.tar.xz")).then_some(hash)
        })?;
        Some((version, sha256))
    })
}

/// apt with a state of its own.
struct Apt {
    config: PathBuf,
    shell: Shell,
}

impl Apt {
    /// Lists of `kind` (`deb` or `deb-src`), fetched if they are old.
    fn prepare(kind: &str, job: &Job<'_>) -> Result<Self, Error> {
        if find_program("apt-get").is_none() || !Path::new(KEYRING).is_file() {
            return Err(Error::NoOrigin("this machine has no apt, or not Debian's keyring"));
        }
        let shell = shell()?;
        let format = "$(ORIGIN)|$(LABEL)|$(REPO_URI)|$(CODENAME)";
        let targets = cmd!(shell, "apt-get indextargets --format {format}").quiet().ignore_stderr().read();
        let targets = targets.unwrap_or_default();
        let Some((mirror, codename)) =
            targets.lines().find_map(|line| line.strip_prefix("Debian|Debian|")?.split_once('|'))
        else {
            return Err(Error::NoOrigin("this machine's apt knows no mirror of Debian"));
        };
        let dir = job.cache.root().join("apt").join(kind);
        let apt = Self { config: dir.join("apt.conf"), shell };
        let key = Key::of([("apt lists", kind)]);
        let _lock = Lock::take(&job.cache.lock_path("apt", &key), "reads package lists", job.progress, job.cancel)?;
        let stamp = dir.join("updated");
        let fresh = fs::metadata(&stamp)
            .and_then(|meta| meta.modified())
            .is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age < FRESH));
        if !fresh {
            disk::require(&dir, LISTS_BYTES).map_err(cache::Error::NoSpace)?;
            apt.configure(kind, &dir, mirror, codename)?;
            apt.update(&dir, job)?;
            write_atomically(&stamp, b"")?;
        }
        Ok(apt)
    }

    fn configure(&self, kind: &str, dir: &Path, mirror: &str, codename: &str) -> Result<(), Error> {
        for name in ["lists/partial", "cache/archives/partial"] {
            let path = dir.join(name);
            fs::create_dir_all(&path).map_err(|source| Error::io("create", &path, source))?;
        }
        let mut suites = vec![codename];
        suites.extend(SUITES.iter().filter(|&&suite| suite != codename));
        let sources: String =
            suites.iter().map(|suite| format!("{kind} [signed-by={KEYRING}] {mirror} {suite} main\n")).collect();
        write_atomically(&dir.join("sources.list"), sources.as_bytes())?;
        let dir = dir.display();
        let sandbox = if rustix::process::geteuid().is_root() { "APT::Sandbox::User \"root\";\n" } else { "" };
        let config = format!(
            "Dir::Etc::sourcelist \"{dir}/sources.list\";\nDir::Etc::sourceparts \"-\";\n\
             Dir::State::Lists \"{dir}/lists\";\nDir::Cache \"{dir}/cache\";\nAcquire::Languages \"none\";\n\
             Acquire::IndexTargets::deb::DEP-11::DefaultEnabled \"false\";\n{sandbox}"
        );
        Ok(write_atomically(&self.config, config.as_bytes())?)
    }

    /// A suite that the mirror lacks makes apt fail, and leaves the lists of the others: those decide.
    fn update(&self, dir: &Path, job: &Job<'_>) -> Result<(), Error> {
        job.progress.stage("read Debian's package lists", None);
        let result = self.fetch(&["update"], dir, job);
        let lists = dir.join("lists");
        let any = fs::read_dir(&lists).is_ok_and(|mut entries| {
            entries.any(|entry| entry.is_ok_and(|entry| entry.file_name().to_string_lossy().contains("_main_")))
        });
        if any { Ok(()) } else { result }
    }

    fn fetch(&self, arguments: &[&str], directory: &Path, job: &Job<'_>) -> Result<(), Error> {
        let config = &self.config;
        self.shell.change_dir(directory);
        let command = cmd!(self.shell, "apt-get {KEEP_INDEX...} -o APT::Status-Fd=1 {arguments...}")
            .env("APT_CONFIG", config)
            .env("LC_ALL", "C");
        job.run(command, directory, |line| {
            if let Some(percent) = apt_percent(line) {
                job.progress.advance(percent.min(100));
            }
        })?;
        Ok(())
    }

    fn read(&self, program: &str, arguments: &[&str]) -> Result<String, Error> {
        let command = cmd!(self.shell, "{program} {KEEP_INDEX...} {arguments...}")
            .quiet()
            .ignore_stderr()
            .ignore_status()
            .env("LC_ALL", "C");
        command.env("APT_CONFIG", &self.config).read().map_err(spawn)
    }
}

fn only_file(directory: &Path, ending: &str) -> Result<PathBuf, Error> {
    let entries = fs::read_dir(directory).map_err(|source| Error::io("list", directory, source))?;
    entries
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.to_string_lossy().ends_with(ending))
        .ok_or_else(|| gone(&format!("*{ending}")))
}

fn shell() -> Result<Shell, Error> {
    Shell::new().map_err(spawn)
}

fn spawn(error: xshell::Error) -> Error {
    Error::Process(process::Error::Spawn { program: "apt".to_owned(), source: std::io::Error::other(error) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_versions_hold_upstream_ones() {
        assert_eq!(upstream("7.3.4-1~bpo13+1").unwrap().to_string(), "7.3.4");
        assert_eq!(upstream("1:6.12.107-1").unwrap().to_string(), "6.12.107");
        assert_eq!(upstream("7.4~rc2-1~exp1"), None);
    }

    #[test]
    fn a_package_may_only_name_another() {
        let stanza = "Package: linux-image-amd64\nVersion: 6.12.9-1\nDepends: linux-image-6.12.9-amd64 (= 6.12.9-1)\n\
                      SHA256: ab\n";
        assert_eq!(field(stanza, "Depends").and_then(image_in), Some("linux-image-6.12.9-amd64"));
        assert_eq!(image_in("kmod, linux-base (>= 4.3~), initramfs-tools | linux-initramfs-tool"), None);
        assert_eq!(package(stanza).unwrap().version, "6.12.9-1");
        assert_eq!(package("Package: x\n"), None);
        let parted = "Package: linux-image-7.2-amd64\nVersion: 7.2-1\nSHA256: ab\nDepends: kmod | x, \
                      linux-binary-7.2-amd64 (= 7.2-1), linux-modules-7.2-amd64 (= 7.2-1), linux-base (>= 4)\n";
        assert_eq!(package(parted).unwrap().parts, ["linux-binary-7.2-amd64", "linux-modules-7.2-amd64"]);
    }

    #[test]
    fn source_stanzas_give_version_and_hash() {
        let hash = "b".repeat(64);
        let listed = format!(
            "Package: linux\nVersion: 6.18.15-1\nChecksums-Sha256:\n {hash} 157422084 linux_6.18.15.orig.tar.xz\n \
             {hash} 1234 linux_6.18.15-1.dsc\n\nPackage: linux\nVersion: 9.9.9-1\n"
        );
        assert_eq!(source_packages(&listed).collect::<Vec<_>>(), [("6.18.15-1", hash.as_str())]);
    }
}
