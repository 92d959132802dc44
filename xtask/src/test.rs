//! `cargo xtask test`: every check, one after the other, and all of them even if one fails.

use lab::cache::Cache;
use lab::host::{Cancel, Consent, GUEST_TARGET, ensure, find_program};
use lab::kernel::{KernelSource, Profile, Provider, module};
use lab::report::terminal::Terminal;
use xshell::{Shell, cmd};

use crate::cli::Test;
use crate::exit::Exit;

type Failure = Box<dyn std::error::Error>;

/// The kernel that the module is linted against and the guests of the tests boot.
const KERNEL: &str = "7.3";

pub(crate) fn run(options: &Test, cancel: &Cancel) -> Exit {
    let terminal = Terminal::new(false);
    let ready = Cache::open().map_err(Failure::from).and_then(|cache| {
        let consent = if options.yes { Consent::Given } else { Consent::Ask };
        ensure(&cache, Profile::default().compiler(), consent, &terminal, cancel)?;
        let shell = Shell::new()?;
        shell.change_dir(crate::workspace());
        Ok((cache, shell))
    });
    terminal.clear();
    let (cache, shell) = match ready {
        Ok(ready) => ready,
        Err(error) => {
            eprintln!("error: {error}");
            return if cancel.is_cancelled() { Exit::Cancelled } else { Exit::Infrastructure };
        }
    };

    let mut checks = Checks { cancel, passed: 0, failed: Vec::new() };
    checks.check("format", || {
        cmd!(shell, "cargo fmt --all --check").run()?;
        // Built by kbuild, so cargo does not know of it.
        Ok(cmd!(shell, "rustfmt --check kmod/src/main.rs").run()?)
    });
    checks.check("lints", || {
        let lints = ["--", "-D", "warnings"];
        cmd!(shell, "cargo clippy --quiet --locked --workspace --all-targets {lints...}").run()?;
        Ok(cmd!(shell, "cargo clippy --quiet --locked --package guest-agent --target {GUEST_TARGET} {lints...}")
            .run()?)
    });
    checks.check("documentation", || {
        let _warnings = shell.push_env("RUSTDOCFLAGS", "-D warnings");
        Ok(cmd!(shell, "cargo doc --quiet --locked --no-deps --workspace").run()?)
    });
    if !options.no_guests {
        checks.check("module lints", || {
            let source: KernelSource = KERNEL.parse()?;
            let kernel = Provider::new(&cache).obtain(&source, &terminal, cancel)?;
            let linted = module::clippy(&cache, &kernel, &crate::workspace().join("kmod"), &terminal, cancel);
            terminal.clear();
            Ok(linted?)
        });
    }
    checks.check("tests", || tests(&shell, options));
    checks.conclude()
}

/// Host tests and guest tests alike; nextest where it is installed.
fn tests(shell: &Shell, options: &Test) -> Result<(), Failure> {
    if find_program("cargo-nextest").is_some() {
        let filter: &[&str] = if options.no_guests { &["-E", "not binary(guests)"] } else { &[] };
        return Ok(cmd!(shell, "cargo nextest run --locked --workspace {filter...}").run()?);
    }
    if options.no_guests {
        cmd!(shell, "cargo test --quiet --locked --workspace --lib --bins").run()?;
        return Ok(cmd!(shell, "cargo test --quiet --locked --test scenario_files --test cli --test seeds").run()?);
    }
    Ok(cmd!(shell, "cargo test --quiet --locked --workspace").run()?)
}

struct Checks<'a> {
    cancel: &'a Cancel,
    passed: usize,
    failed: Vec<&'static str>,
}

impl Checks<'_> {
    fn check(&mut self, name: &'static str, work: impl FnOnce() -> Result<(), Failure>) {
        if self.cancel.is_cancelled() {
            return;
        }
        println!("== {name}");
        match work() {
            Ok(()) => self.passed += 1,
            Err(error) => {
                eprintln!("error: {name}: {error}");
                self.failed.push(name);
            }
        }
    }

    fn conclude(self) -> Exit {
        if self.cancel.is_cancelled() {
            return Exit::Cancelled;
        }
        if !self.failed.is_empty() {
            println!("\nfailed: {}", self.failed.join(", "));
        }
        println!("{} passed, {} failed", self.passed, self.failed.len());
        if self.failed.is_empty() { Exit::Passed } else { Exit::Failed }
    }
}
