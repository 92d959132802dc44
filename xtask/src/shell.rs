//! `cargo xtask shell`

use std::path::PathBuf;

use lab::cache::Cache;
use lab::host::{Cancel, Consent, ensure, ensure_for_shell};
use lab::report::terminal::Terminal;
use lab::run::Limits;
use lab::run::stage::Setup;
use lab::shell::{self, Seat};

use crate::cli::Shell;
use crate::exit::Exit;

type Failure = Box<dyn std::error::Error>;

pub(crate) fn run(options: &Shell, cancel: &Cancel) -> Exit {
    let terminal = Terminal::new(false);
    let seat = prepare(options, &terminal, cancel);
    terminal.clear();
    let ended = seat.and_then(|seat| {
        eprintln!("Linux {} from {}. Ctrl-A x leaves.", seat.kernel.release, seat.kernel.origin);
        Ok(shell::sit(&seat, cancel)?)
    });
    match ended {
        _ if cancel.is_cancelled() => Exit::Cancelled,
        Ok(status) if status.success() => Exit::Passed,
        Ok(status) => {
            eprintln!("error: QEMU ended ({status})");
            Exit::Infrastructure
        }
        Err(error) => {
            eprintln!("error: {error}");
            Exit::Infrastructure
        }
    }
}

fn prepare(options: &Shell, terminal: &Terminal, cancel: &Cancel) -> Result<Seat, Failure> {
    let cache = Cache::open()?;
    let booted = &options.booted;
    let consent = if booted.yes { Consent::Given } else { Consent::Ask };
    ensure(&cache, booted.profile.compiler(), consent, terminal, cancel)?;
    ensure_for_shell(&cache, consent, terminal, cancel)?;
    let setup = Setup {
        workspace: crate::workspace(),
        kernel: booted.kernel.clone(),
        profile: booted.profile,
        named: Default::default(),
        accelerator: booted.accel,
        limits: Limits::default(),
        // Nothing is kept of it.
        runs: PathBuf::new(),
    };
    Ok(shell::set(&setup, options.cpus, options.memory, &cache, terminal, cancel)?)
}
