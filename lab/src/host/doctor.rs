//! What this machine has and lacks for the work.

use std::fs;
use std::path::{Path, PathBuf};

use super::compiler::Compiler;
use super::system::{Family, Package, find_program};
use super::versions::{Toolchain, Versions, number_in};
use crate::cache::Cache;

/// The target that the guest agent is built for.
pub const GUEST_TARGET: &str = "x86_64-unknown-linux-musl";
/// The `bindgen` that is installed where there is none.
const BINDGEN: &str = "bindgen-cli@0.73.2";

/// How a check came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// There, and good enough; the text is its version or place.
    Good(String),
    /// There, but too old; the text is its version.
    TooOld(String),
    /// Not there.
    Missing,
}

/// What would mend it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remedy {
    /// A package of the distribution.
    Package(Package),
    /// `cargo install`, as `crate@version`.
    Cargo(&'static str),
    /// `rustup component add`.
    RustupComponent(&'static str),
    /// `rustup target add`.
    RustupTarget(&'static str),
    /// Something for a person to do.
    Person(&'static str),
}

impl Remedy {
    /// The remedy as a person would type it.
    #[must_use]
    pub fn command(&self, family: Family) -> String {
        match self {
            Self::Package(package) => family.install_command(&[package.name(family).to_owned()]),
            Self::Cargo(name) => format!("cargo install --locked {name}"),
            Self::RustupComponent(name) => format!("rustup component add {name}"),
            Self::RustupTarget(name) => format!("rustup target add {name}"),
            Self::Person(text) => (*text).to_owned(),
        }
    }
}

/// One thing that the work needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Its name.
    pub name: &'static str,
    /// How it is here.
    pub found: Found,
    /// What is needed, and why.
    pub needed: &'static str,
    /// What would mend it.
    pub remedy: Remedy,
}

impl Check {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_good(&self) -> bool {
        matches!(self.found, Found::Good(_))
    }
}

impl std::fmt::Display for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.found {
            Found::Good(what) => write!(f, "{}: {what}", self.name),
            Found::TooOld(what) => write!(f, "{}: {what} is too old; {}", self.name, self.needed),
            Found::Missing => write!(f, "{}: missing; {}", self.name, self.needed),
        }
    }
}

/// Programs that only have to be there.
const PROGRAMS: &[(&str, &str, Package)] = &[
    ("make", "drives the kernel's build", Package::same("make")),
    ("gcc", "compiles the kernel's C", Package::same("gcc")),
    ("ld", "links the kernel", Package::same("binutils")),
    ("flex", "generates the parser of Kconfig files", Package::same("flex")),
    ("bison", "generates the parser of Kconfig files", Package::same("bison")),
    ("bc", "computes the kernel's time constants", Package::same("bc")),
    ("perl", "runs scripts of the kernel's build", Package::same("perl")),
    ("lz4", "compresses the kernel: the fastest to unpack during the outage", Package::same("lz4")),
    ("xz", "unpacks kernel sources", Package { apt: "xz-utils", ..Package::same("xz") }),
    ("tar", "unpacks kernel sources", Package::same("tar")),
    ("curl", "downloads kernel sources, and resumes downloads", Package::same("curl")),
    ("git", "reads kernel sources from repositories", Package::same("git")),
    ("patch", "applies the patches that `kernels.yaml` names", Package::same("patch")),
];

/// Headers that the kernel's own build tools are compiled with.
const HEADERS: &[(&str, &str, &str, Package)] = &[
    (
        "libc headers",
        "stdio.h",
        "the kernel's build tools are C programs",
        Package { apt: "libc6-dev", dnf: "glibc-devel", pacman: "glibc", zypper: "glibc-devel" },
    ),
    (
        "libelf headers",
        "gelf.h",
        "the kernel's objtool reads ELF files",
        Package { apt: "libelf-dev", dnf: "elfutils-libelf-devel", pacman: "libelf", zypper: "libelf-devel" },
    ),
];

/// The package of libclang; on apt systems the newest numbered one is chosen at installation.
pub(super) const LIBCLANG: Package =
    Package { apt: "libclang1", dnf: "clang-libs", pacman: "clang", zypper: "libclang13" };

/// The package of clang; likewise.
pub(super) const CLANG: Package = Package::same("clang");

const QEMU: Package =
    Package { apt: "qemu-system-x86", dnf: "qemu-system-x86-core", pacman: "qemu-system-x86", zypper: "qemu-x86" };

/// Looks at this machine.
#[derive(Debug)]
pub struct Doctor {
    versions: Versions,
}

impl Doctor {
    /// A doctor who remembers versions in this cache.
    #[must_use]
    pub fn new(cache: &Cache) -> Self {
        Self { versions: Versions::recall(cache) }
    }

    /// Checks everything that kernels take whose C this one compiles. Where nothing changed since the last time, no
    /// process is started.
    #[must_use]
    pub fn inspect(&self, compiler: Compiler) -> Vec<Check> {
        let mut checks = vec![self.qemu()];
        checks.extend(PROGRAMS.iter().map(|&(name, needed, package)| Check {
            name,
            found: find_program(name).map_or(Found::Missing, |path| Found::Good(path.display().to_string())),
            needed,
            remedy: Remedy::Package(package),
        }));
        checks.extend(HEADERS.iter().map(|&(name, header, needed, package)| Check {
            name,
            found: header_dir(header).map_or(Found::Missing, |dir| Found::Good(dir.display().to_string())),
            needed,
            remedy: Remedy::Package(package),
        }));
        // gcc is needed in any case, for what a build itself runs.
        checks.extend((compiler == Compiler::Clang).then(|| self.clang()));
        checks.push(libclang());
        checks.push(self.bindgen());
        checks.extend(self.rust());
        checks
    }

    fn qemu(&self) -> Check {
        Check {
            name: "qemu-system-x86_64",
            found: at_least(self.versions.of("qemu-system-x86_64"), (7, 2)),
            needed: "QEMU 7.2 or later runs the guest",
            remedy: Remedy::Package(QEMU),
        }
    }

    fn clang(&self) -> Check {
        Check {
            name: "clang",
            found: at_least(Compiler::Clang.find(&self.versions).map(|(_, said)| said), (17, 0)),
            needed: "clang 17 or later compiles C that is checked together with Rust",
            remedy: Remedy::Package(CLANG),
        }
    }

    fn bindgen(&self) -> Check {
        Check {
            name: "bindgen",
            found: at_least(self.versions.of("bindgen"), (0, 71)),
            needed: "bindgen 0.71 or later makes the kernel's C visible to Rust",
            remedy: Remedy::Cargo(BINDGEN),
        }
    }

    fn rust(&self) -> Vec<Check> {
        let toolchain = Toolchain::locate();
        let part = |there: bool| if there { Found::Good("installed".to_owned()) } else { Found::Missing };
        vec![
            Check {
                name: "rustc",
                found: at_least(toolchain.as_ref().and_then(|it| self.versions.of_file(&it.rustc())), (1, 85)),
                needed: "rustc 1.85 or later compiles the kernel's Rust",
                remedy: Remedy::Person("install Rust with rustup, https://rustup.rs, or run `rustup update stable`"),
            },
            Check {
                name: "rust-src",
                found: part(toolchain.as_ref().is_some_and(Toolchain::has_source)),
                needed: "a kernel builds Rust's core library from source",
                remedy: Remedy::RustupComponent("rust-src"),
            },
            Check {
                name: GUEST_TARGET,
                found: part(toolchain.as_ref().is_some_and(|it| it.has_target(GUEST_TARGET))),
                needed: "the guest agent is one static file",
                remedy: Remedy::RustupTarget(GUEST_TARGET),
            },
        ]
    }
}

fn at_least(version: Option<String>, needed: (u32, u32)) -> Found {
    match version {
        None => Found::Missing,
        Some(text) if number_in(&text).is_some_and(|number| number >= needed) => Found::Good(text),
        Some(text) => Found::TooOld(text),
    }
}

fn header_dir(header: &str) -> Option<PathBuf> {
    ["/usr/include", "/usr/local/include"].into_iter().map(PathBuf::from).find(|dir| dir.join(header).is_file())
}

fn libclang() -> Check {
    let newest = library_dirs().iter().flat_map(|dir| libclang_in(dir)).max();
    Check {
        name: "libclang",
        found: match newest {
            None => Found::Missing,
            Some(version) if version >= 17 => Found::Good(format!("version {version}")),
            Some(version) => Found::TooOld(format!("version {version}")),
        },
        needed: "libclang 17 or later: bindgen reads the kernel's headers with it, and older ones fail on kernel 7.3",
        remedy: Remedy::Package(LIBCLANG),
    }
}

fn library_dirs() -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> =
        ["/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/lib/x86_64-linux-gnu"].iter().map(PathBuf::from).collect();
    let installed = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    dirs.extend(
        installed
            .filter(|entry| entry.file_name().to_string_lossy().starts_with("llvm"))
            .flat_map(|entry| [entry.path().join("lib"), entry.path().join("lib64")]),
    );
    dirs
}

/// The versions of libclang in a directory: its file is called `libclang-19.so.1`, `libclang.so.19.1.7` and the like.
fn libclang_in(dir: &Path) -> Vec<u32> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let versions = entries.filter_map(|entry| {
        let name = entry.file_name();
        let rest = name.to_str()?.strip_prefix("libclang")?;
        rest.strip_prefix('-').or_else(|| rest.strip_prefix(".so.")).and_then(leading_number)
    });
    // `.so.13` is the ABI's number since LLVM 13, not a version; the file behind that link has the version.
    versions.filter(|&version| version != 13).collect()
}

fn leading_number(text: &str) -> Option<u32> {
    let digits = text.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libclang_is_known_by_its_files() {
        let dir = tempfile::TempDir::new().unwrap();
        for name in
            ["libclang-14.so.14.0.6", "libclang-19.so.19", "libclang.so.13", "libclang-cpp.so.21", "libclangAST.a"]
        {
            fs::write(dir.path().join(name), "").unwrap();
        }
        assert_eq!(libclang_in(dir.path()).into_iter().max(), Some(19));
        fs::write(dir.path().join("libclang.so.20.1.8"), "").unwrap();
        assert_eq!(libclang_in(dir.path()).into_iter().max(), Some(20));
    }

    #[test]
    fn old_and_missing_are_told_apart_and_say_what_to_do() {
        assert_eq!(at_least(None, (7, 2)), Found::Missing);
        assert_eq!(at_least(Some("version 6.9".to_owned()), (7, 2)), Found::TooOld("version 6.9".to_owned()));
        let good = "version 10.0".to_owned();
        assert_eq!(at_least(Some(good.clone()), (7, 2)), Found::Good(good));
        let check = Check {
            name: "qemu",
            found: Found::TooOld("version 6.9".to_owned()),
            needed: "QEMU 7.2 or later",
            remedy: Remedy::Package(QEMU),
        };
        assert_eq!(check.to_string(), "qemu: version 6.9 is too old; QEMU 7.2 or later");
        assert_eq!(check.remedy.command(Family::Dnf), "sudo dnf install qemu-system-x86-core");
        assert_eq!(Remedy::Cargo(BINDGEN).command(Family::Apt), "cargo install --locked bindgen-cli@0.73.2");
    }
}
