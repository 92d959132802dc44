//! The words of the command line.

mod guests;
mod kernel;
mod matrix;
mod parse;
mod scenario;
mod shell;
mod testing;

use clap::{Parser, Subcommand};

pub(crate) use kernel::{Kernel, KernelCommand, Named};
pub(crate) use matrix::{Matrix, Merge};
pub(crate) use scenario::{Bisect, Scenario, Watch};
pub(crate) use shell::Shell;
pub(crate) use testing::{Doctor, Fuzz, Kselftest, Mutants, Test};

const EXIT_CODES: &str = "\
Exit codes:
  0    everything is green
  1    something is red
  2    the command line or a scenario file says what cannot be
  69   the lab could not find out: a build, QEMU or the disk failed
  130  stopped by Ctrl-C";

/// If this machine kexecs from kernel A into kernel B: what survives, is it the same bit for bit, and how
/// long was the world dark?
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Scenario(Box<Scenario>),
    Matrix(Box<Matrix>),
    Merge(Merge),
    Kselftest(Box<Kselftest>),
    Shell(Box<Shell>),
    Kernel(Kernel),
    Bisect(Box<Bisect>),
    Watch(Box<Watch>),
    Doctor(Doctor),
    Test(Test),
    Fuzz(Fuzz),
    Mutants(Box<Mutants>),
    /// Print the JSON Schema of the results that `--json` writes.
    Schema,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_words_fit_together() {
        super::Cli::command().debug_assert();
    }
}
