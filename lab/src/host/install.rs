//! Installs what the doctor misses, where that can be done without surprising anyone.

use std::io::{self, IsTerminal as _, Write as _};
use std::process::Command;

use xshell::{Shell, cmd};

use super::compiler::Compiler;
use super::doctor::{CLANG, Check, Doctor, LIBCLANG, Remedy};
use super::process::{self, Watched};
use super::system::{Family, Package, cargo_home, find_program};
use super::{Cancel, Progress};
use crate::cache::Cache;

/// Whether things may be installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    /// Ask at a terminal; where nobody can answer, go ahead.
    Ask,
    /// Given beforehand (`--yes`).
    Given,
}

/// Why the machine is not ready.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Things are missing that only a person can install, or may.
    #[error("this machine lacks what the lab needs:\n{}\nInstall it with:\n{}", indent(missing), indent(commands))]
    Missing {
        /// What is missing, and why it is needed.
        missing: Vec<String>,
        /// What to type.
        commands: Vec<String>,
    },
    /// The person at the terminal said no.
    #[error("not installed, as you wished. By hand:\n{}", indent(.0))]
    Refused(Vec<String>),
    /// An installation failed.
    #[error("an installation failed: {0}")]
    Command(#[from] process::Error),
    /// Installed, and still not good.
    #[error("installed, and yet:\n{}", indent(.0))]
    StillMissing(Vec<String>),
    /// The terminal could not be used.
    #[error("cannot ask at the terminal: {0}")]
    Terminal(#[from] io::Error),
}

fn indent(lines: &[String]) -> String {
    lines.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

/// Sees to it that everything the doctor checks is there, for kernels whose C this one compiles. With nothing to do it
/// starts no process.
///
/// # Errors
/// Something is missing and cannot or may not be installed from here.
pub fn ensure(
    cache: &Cache,
    compiler: Compiler,
    consent: Consent,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Vec<Check>, Error> {
    ensure_all(&|| Doctor::new(cache).inspect(compiler), consent, progress, cancel)
}

/// The same for what fuzzing needs, which nothing else does.
///
/// # Errors
/// As for [`ensure`].
pub fn ensure_for_fuzzing(
    cache: &Cache,
    consent: Consent,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Vec<Check>, Error> {
    ensure_all(&|| Doctor::new(cache).inspect_for_fuzzing(), consent, progress, cancel)
}

/// The same for what a shell in a guest needs, which nothing else does.
///
/// # Errors
/// As for [`ensure`].
pub fn ensure_for_shell(
    cache: &Cache,
    consent: Consent,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Vec<Check>, Error> {
    ensure_all(&|| Doctor::new(cache).inspect_for_shell(), consent, progress, cancel)
}

fn ensure_all(
    inspect: &dyn Fn() -> Vec<Check>,
    consent: Consent,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Vec<Check>, Error> {
    let checks = inspect();
    let missing: Vec<&Check> = checks.iter().filter(|check| !check.is_good()).collect();
    if missing.is_empty() {
        return Ok(checks);
    }
    let family = Family::here();
    let needs: Vec<String> = missing.iter().map(ToString::to_string).collect();
    let commands = commands(&missing, family);
    let for_a_person = || Error::Missing { missing: needs.clone(), commands: commands.clone() };

    let unaided = |check: &&Check| matches!(check.remedy, Remedy::Person(_));
    let packages = missing.iter().any(|check| matches!(check.remedy, Remedy::Package(_)));
    if missing.iter().any(unaided) || (packages && family != Family::Apt) {
        return Err(for_a_person());
    }
    for need in &needs {
        progress.note(need);
    }
    let attended = io::stdin().is_terminal();
    if consent == Consent::Ask && attended && !agreed(&commands)? {
        return Err(Error::Refused(commands));
    }
    if packages {
        let Some(elevation) = Elevation::find(attended) else { return Err(for_a_person()) };
        install_packages(&missing, elevation, progress, cancel)?;
    }
    for check in missing {
        install_rust_part(&check.remedy, progress, cancel)?;
    }

    let checks = inspect();
    let still: Vec<String> = checks.iter().filter(|check| !check.is_good()).map(ToString::to_string).collect();
    if still.is_empty() { Ok(checks) } else { Err(Error::StillMissing(still)) }
}

/// What one would type, the packages in one command.
fn commands(missing: &[&Check], family: Family) -> Vec<String> {
    let packages: Vec<String> = missing
        .iter()
        .filter_map(|check| match check.remedy {
            Remedy::Package(package) if family == Family::Apt && NUMBERED.contains(&package) => {
                Some(format!("{}-19 (or newer)", package.apt))
            }
            Remedy::Package(package) => Some(package.name(family).to_owned()),
            _ => None,
        })
        .collect();
    let others = missing.iter().filter(|check| !matches!(check.remedy, Remedy::Package(_)));
    let first = (!packages.is_empty()).then(|| family.install_command(&packages));
    first.into_iter().chain(others.map(|check| check.remedy.command(family))).collect()
}

fn agreed(commands: &[String]) -> io::Result<bool> {
    let mut terminal = io::stderr().lock();
    writeln!(terminal, "To be run:\n{}", indent(commands))?;
    write!(terminal, "Go ahead? [Y/n] ")?;
    terminal.flush()?;
    let mut answer = String::new();
    // The end of input is no answer, and no answer is not consent.
    let read = io::stdin().read_line(&mut answer)?;
    Ok(read > 0 && matches!(answer.trim().to_ascii_lowercase().as_str(), "" | "y" | "yes"))
}

/// How to become root.
#[derive(Debug, Clone, Copy)]
enum Elevation {
    Root,
    Sudo,
}

impl Elevation {
    fn find(attended: bool) -> Option<Self> {
        if rustix::process::geteuid().is_root() {
            return Some(Self::Root);
        }
        find_program("sudo")?;
        let silent = Command::new("sudo").args(["-n", "true"]).output().is_ok_and(|output| output.status.success());
        // At a terminal sudo may ask for the password itself; it then remembers.
        let asked = || attended && Command::new("sudo").arg("-v").status().is_ok_and(|status| status.success());
        (silent || asked()).then_some(Self::Sudo)
    }

    fn apt(self, arguments: &[String]) -> Command {
        let mut command = match self {
            Self::Root => Command::new("env"),
            Self::Sudo => {
                let mut command = Command::new("sudo");
                command.args(["-n", "env"]);
                command
            }
        };
        command.args(["DEBIAN_FRONTEND=noninteractive", "LC_ALL=C", "apt-get"]).args(arguments);
        command
    }
}

fn install_packages(
    missing: &[&Check],
    elevation: Elevation,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<(), Error> {
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let install = || -> Result<Vec<String>, Error> {
        let mut arguments = words("install --yes --no-install-recommends -o APT::Status-Fd=1");
        for check in missing {
            match check.remedy {
                Remedy::Package(package) if NUMBERED.contains(&package) => arguments.push(newest(package)),
                Remedy::Package(package) => arguments.push(package.apt.to_owned()),
                _ => {}
            }
        }
        Ok(arguments)
    };
    progress.stage("install packages", Some(200));
    let run = |arguments: &[String]| {
        Watched::new(elevation.apt(arguments), cancel).run(|line| {
            if let Some(percent) = apt_percent(line) {
                progress.advance(percent);
            }
        })
    };
    // The lists that are there may do; only if not are new ones fetched.
    if run(&install()?)?.status.success() {
        return Ok(());
    }
    progress.stage("update package lists", None);
    run(&words("update"))?.success()?;
    progress.stage("install packages", Some(200));
    Ok(run(&install()?)?.success()?)
}

/// Progress from apt's status lines: downloads are the first hundred, installation the second.
pub(crate) fn apt_percent(line: &str) -> Option<u64> {
    let mut fields = line.split(':');
    let base = match fields.next()? {
        "dlstatus" => 0,
        "pmstatus" => 100,
        _ => return None,
    };
    let percent: u64 = fields.nth(1)?.split('.').next()?.parse().ok()?;
    Some(base + percent.min(100))
}

/// Packages that Debian numbers, several versions side by side.
const NUMBERED: [Package; 2] = [LIBCLANG, CLANG];

/// The newest of those; it is as good as any from 17 on.
fn newest(package: Package) -> String {
    let stem = format!("{}-", package.apt);
    let listed = Shell::new()
        .ok()
        .and_then(|shell| cmd!(shell, "apt-cache --names-only search ^{stem}[0-9]+$").quiet().read().ok())
        .unwrap_or_default();
    let newest = listed
        .lines()
        .filter_map(|line| line.split(' ').next()?.strip_prefix(&stem)?.parse::<u32>().ok())
        .max()
        .unwrap_or(19);
    format!("{stem}{newest}")
}

fn install_rust_part(remedy: &Remedy, progress: &dyn Progress, cancel: &Cancel) -> Result<(), Error> {
    let (program, arguments) = match remedy {
        Remedy::Cargo(name) => ("cargo", vec!["install", "--locked", "--force", name]),
        Remedy::RustupComponent(name) => ("rustup", vec!["component", "add", name]),
        Remedy::RustupTarget(name) => ("rustup", vec!["target", "add", name]),
        Remedy::Package(_) | Remedy::Person(_) => return Ok(()),
    };
    let place = cargo_home().map(|home| home.join("bin").join(program)).filter(|path| path.is_file());
    let mut command = Command::new(place.unwrap_or_else(|| program.into()));
    command.args(&arguments).env_remove("RUSTFLAGS").env_remove("CARGO_TARGET_DIR");
    progress.stage(&process::describe(&command), None);
    let mut done = 0;
    let outcome = Watched::new(command, cancel).run(|_| {
        done += 1;
        progress.advance(done);
    })?;
    Ok(outcome.success()?)
}

#[cfg(test)]
mod tests {
    use super::super::doctor::Found;
    use super::super::system::Package;
    use super::*;

    fn missing(name: &'static str, remedy: Remedy) -> Check {
        Check { name, found: Found::Missing, needed: "something", remedy }
    }

    #[test]
    fn packages_are_named_as_each_family_names_them_in_one_command() {
        let checks = [
            missing("gcc", Remedy::Package(Package::same("gcc"))),
            missing("libclang", Remedy::Package(LIBCLANG)),
            missing("bindgen", Remedy::Cargo("bindgen-cli@1.0.0")),
            missing("rust-src", Remedy::RustupComponent("rust-src")),
        ];
        let checks: Vec<&Check> = checks.iter().collect();
        let typed = commands(&checks, Family::Dnf);
        assert_eq!(typed[0], "sudo dnf install gcc clang-libs");
        assert_eq!(typed[1..], ["cargo install --locked bindgen-cli@1.0.0", "rustup component add rust-src"]);
        assert_eq!(commands(&checks, Family::Pacman)[0], "sudo pacman -S --needed gcc clang");
        assert!(commands(&checks, Family::Apt)[0].contains("gcc libclang1-19"));
        let clang = missing("clang", Remedy::Package(CLANG));
        assert_eq!(commands(&[&clang], Family::Zypper), ["sudo zypper install clang"]);
        assert!(commands(&[&clang], Family::Apt)[0].contains("clang-19 (or newer)"));
    }

    #[test]
    fn apts_status_lines_are_progress_and_its_words_are_not() {
        assert_eq!(apt_percent("dlstatus:1:12.3456:Retrieving file 1 of 2"), Some(12));
        assert_eq!(apt_percent("pmstatus:lz4:60.5:Installing lz4 (amd64)"), Some(160));
        assert_eq!(apt_percent("Setting up lz4 (1.9.4-1) ..."), None);
    }
}
