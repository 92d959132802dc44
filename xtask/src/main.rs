//! The command line of Liveupdate Lab: parses, calls the engine, prints, and says how it went.

mod bisect;
mod cli;
mod doctor;
mod exit;
mod fuzz;
mod kernel;
mod kselftest;
mod matrix;
mod merge;
mod mutants;
mod runs;
mod scenario;
mod shell;
mod test;
mod watch;

use std::path::Path;
use std::process::ExitCode;

use clap::Parser as _;
use lab::host::Cancel;

use exit::Exit;

/// This project's own sources.
fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

fn main() -> ExitCode {
    let command = cli::Cli::parse().command;
    let cancel = Cancel::new();
    if let Err(error) = listen(&cancel) {
        eprintln!("error: cannot listen for signals: {error}");
        return Exit::Infrastructure.into();
    }
    let exit = match command {
        cli::Command::Scenario(options) => scenario::run(&options, &cancel),
        cli::Command::Kernel(options) => kernel::run(&options, &cancel),
        cli::Command::Matrix(options) => matrix::run(&options, &cancel),
        cli::Command::Merge(options) => merge::run(&options),
        cli::Command::Kselftest(options) => kselftest::run(&options, &cancel),
        cli::Command::Shell(options) => shell::run(&options, &cancel),
        cli::Command::Bisect(options) => bisect::run(&options, &cancel),
        cli::Command::Watch(options) => watch::run(&options.scenario, &cancel),
        cli::Command::Doctor(options) => doctor::run(&options),
        cli::Command::Test(options) => test::run(&options, &cancel),
        cli::Command::Fuzz(options) => fuzz::run(&options, &cancel),
        cli::Command::Mutants(options) => mutants::run(&options, &cancel),
        cli::Command::Schema => {
            println!("{}", lab::report::json_schema());
            Exit::Passed
        }
    };
    exit.into()
}

/// The first signal asks everything to end; whoever is impatient and sends a second one gets the default.
fn listen(cancel: &Cancel) -> std::io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let cancel = cancel.clone();
    std::thread::spawn(move || {
        let mut signals = signals.forever();
        if signals.next().is_some() {
            eprintln!("\nstopping …");
            cancel.cancel();
        }
        if let Some(signal) = signals.next() {
            let _ = signal_hook::low_level::emulate_default_handler(signal);
        }
    });
    Ok(())
}
