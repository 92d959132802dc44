//! Which kind of system this is: how it names its packages and who may install them.

use std::fs;
use std::path::{Path, PathBuf};

/// A family of distributions that share package names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Debian, Ubuntu and their kin.
    Apt,
    /// Fedora, RHEL and their kin.
    Dnf,
    /// Arch and its kin.
    Pacman,
    /// openSUSE and SLE.
    Zypper,
    /// Something else.
    Unknown,
}

impl Family {
    /// This machine's, judged by the package manager that it has.
    #[must_use]
    pub fn here() -> Self {
        [("apt-get", Self::Apt), ("dnf", Self::Dnf), ("pacman", Self::Pacman), ("zypper", Self::Zypper)]
            .into_iter()
            .find(|(program, _)| find_program(program).is_some())
            .map_or(Self::Unknown, |(_, family)| family)
    }

    /// The command that installs these packages, for someone to type.
    #[must_use]
    pub fn install_command(self, packages: &[String]) -> String {
        let packages = packages.join(" ");
        match self {
            Self::Apt => format!("sudo apt-get install --no-install-recommends {packages}"),
            Self::Dnf => format!("sudo dnf install {packages}"),
            Self::Pacman => format!("sudo pacman -S --needed {packages}"),
            Self::Zypper => format!("sudo zypper install {packages}"),
            Self::Unknown => format!("(your package manager) install {packages}"),
        }
    }
}

/// One thing under the names that the families give it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Package {
    pub(super) apt: &'static str,
    pub(super) dnf: &'static str,
    pub(super) pacman: &'static str,
    pub(super) zypper: &'static str,
}

impl Package {
    /// Named alike everywhere.
    #[must_use]
    pub const fn same(name: &'static str) -> Self {
        Self { apt: name, dnf: name, pacman: name, zypper: name }
    }

    /// Its name in a family.
    #[must_use]
    pub fn name(&self, family: Family) -> &'static str {
        match family {
            Family::Apt | Family::Unknown => self.apt,
            Family::Dnf => self.dnf,
            Family::Pacman => self.pacman,
            Family::Zypper => self.zypper,
        }
    }
}

/// Where a program is: in `PATH`, or where cargo puts what it installs.
#[must_use]
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(cargo_home().map(|home| home.join("bin")))
        .map(|dir| dir.join(name))
        .find(|candidate| is_executable(candidate))
}

pub(super) fn cargo_home() -> Option<PathBuf> {
    home_or("CARGO_HOME", ".cargo")
}

/// A directory named by the environment, else below the home directory.
pub(super) fn home_or(variable: &str, below_home: &str) -> Option<PathBuf> {
    std::env::var_os(variable)
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(below_home)))
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}
