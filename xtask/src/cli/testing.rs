//! What tests: the kernel, the lab, and the tests themselves.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use lab::kernel::{KernelSpec, Profile};
use lab::machine::accelerator::Wish;

use super::guests::Booted;
use super::parse::{kernel, seconds, selftest, target};

const KSELFTEST_EXAMPLES: &str = "\
Examples:
  cargo xtask kselftest                             all of them, on the default kernel
  cargo xtask kselftest --kernel 7.2                those that 7.2's tree has, on 7.2
  cargo xtask kselftest luo_kexec_simple test_kho   two of them
  cargo xtask kselftest --kernel path:~/linux       your tree's tests on your tree's kernel
  cargo xtask kselftest --tests-of 7.3 --kernel path:~/linux   the tests of 7.3 on your kernel
  cargo xtask kselftest --json results.json         for machines; `cargo xtask schema` describes it

A skip is a skip, with its reason, and never a pass. A test that this kernel's tree does not have is told as absent.
Neither makes the command fail.";

/// Run the kernel's own tests of live update, from its tree and unchanged, in the lab's machine.
#[derive(Debug, Args)]
#[command(after_help = KSELFTEST_EXAMPLES)]
pub(crate) struct Kselftest {
    /// Tests, as `--list` shows them. All of them if none is named.
    #[arg(value_name = "TEST", value_parser = selftest)]
    pub(crate) tests: Vec<lab::selftest::Test>,
    /// List the tests, and run none.
    #[arg(long)]
    pub(crate) list: bool,
    #[command(flatten)]
    pub(crate) booted: Booted,
    /// The kernel whose tree the tests are taken from, if not the one that boots.
    #[arg(long, value_parser = kernel, value_name = "KERNEL")]
    pub(crate) tests_of: Option<KernelSpec>,
    /// Seconds that one test may take, boots included.
    #[arg(long, default_value = "300", value_parser = seconds, value_name = "SECONDS")]
    pub(crate) timeout: Duration,
    /// Seconds without a sign of life after which a guest counts as hung.
    #[arg(long, default_value = "30", value_parser = seconds, value_name = "SECONDS")]
    pub(crate) silence: Duration,
    /// Keep the folders of tests that passed, too.
    #[arg(long)]
    pub(crate) keep: bool,
    /// Where tests leave their folders.
    #[arg(long, default_value = "runs", value_name = "DIR")]
    pub(crate) runs: PathBuf,
    /// Write all results to this file.
    #[arg(long, value_name = "PATH")]
    pub(crate) json: Option<PathBuf>,
    /// Tell each step.
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

/// Show what this machine has of what the lab needs, and how to get the rest.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// What kernels are to be built for: `kasan` needs clang besides.
    #[arg(long, default_value = "fast", value_name = "fast|tuned|debug|kasan")]
    pub(crate) profile: Profile,
}

/// Run everything that must pass: format, lints, documentation, host tests, and real guests.
#[derive(Debug, Args)]
pub(crate) struct Test {
    /// Install what is missing without asking.
    #[arg(long)]
    pub(crate) yes: bool,
    /// Leave out the tests that boot guests.
    #[arg(long)]
    pub(crate) no_guests: bool,
}

const MUTANT_EXAMPLES: &str = "\
Examples:
  cargo xtask mutants --list                    all mistakes, and how a user would meet each
  cargo xtask mutants --filter memfd            those with `memfd` in their name
  cargo xtask mutants --filter linux/ --all     do not stop at the first red run: who sees what
  cargo xtask mutants --scenario luo-contents   what this scenario alone catches
  cargo xtask mutants --json mutants.json       for machines; `--schema` describes it

Without a mistake the suite has to be green, which is tried first. A mutant of the kernel costs half a minute to build.";

/// Make mistakes on purpose, one at a time, and see which of them the scenarios catch.
#[derive(Debug, Args)]
#[command(after_help = MUTANT_EXAMPLES)]
pub(crate) struct Mutants {
    /// Only those whose name contains this; given several times, any of them.
    #[arg(long, value_name = "TEXT")]
    pub(crate) filter: Vec<String>,
    /// List them, and run none.
    #[arg(long)]
    pub(crate) list: bool,
    /// Go on after the first red run.
    #[arg(long)]
    pub(crate) all: bool,
    /// These scenarios only, by name or path; all shipped ones if none is named.
    #[arg(long, value_name = "FILE|NAME")]
    pub(crate) scenario: Vec<String>,
    /// The kernel to make mistakes in, and to boot.
    #[arg(long, default_value = "7.3.4", value_parser = kernel, value_name = "KERNEL")]
    pub(crate) kernel: KernelSpec,
    /// What kernels are built for.
    #[arg(long, default_value = "fast", value_name = "fast|debug|kasan")]
    pub(crate) profile: Profile,
    /// What runs the guests.
    #[arg(long, default_value = "auto", value_name = "auto|kvm|tcg|icount")]
    pub(crate) accel: Wish,
    /// Keep the folders of all runs; else only those that are red without a mutant are kept.
    #[arg(long)]
    pub(crate) keep: bool,
    /// Where runs leave their folders.
    #[arg(long, default_value = "runs", value_name = "DIR")]
    pub(crate) runs: PathBuf,
    /// Write all results to this file.
    #[arg(long, value_name = "PATH")]
    pub(crate) json: Option<PathBuf>,
    /// Print the JSON Schema of that file, and do nothing else.
    #[arg(long)]
    pub(crate) schema: bool,
    /// Install what is missing without asking.
    #[arg(long)]
    pub(crate) yes: bool,
    /// Tell each step.
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

/// Fuzz what reads untrusted bytes, guided by coverage: descriptions, frames, scenarios, consoles; and the orchestrator.
#[derive(Debug, Args)]
pub(crate) struct Fuzz {
    /// Targets, by the names of the programs in `fuzz/fuzz_targets`. All of them if none is named.
    #[arg(value_name = "TARGET", value_parser = target)]
    pub(crate) targets: Vec<String>,
    /// Seconds for each of them.
    #[arg(long, default_value = "60", value_name = "SECONDS")]
    pub(crate) seconds: u32,
    /// Install what is missing without asking.
    #[arg(long)]
    pub(crate) yes: bool,
}
