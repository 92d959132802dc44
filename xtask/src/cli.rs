//! The words of the command line.

use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use lab::kernel::{Catalogue, KernelSpec, Profile};
use lab::machine::accelerator::Wish;
use lab::matrix::Partition;
use lab::scenario::size::Size;

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

const SCENARIO_EXAMPLES: &str = "\
Examples:
  cargo xtask scenario                          all shipped scenarios, on every interface
  cargo xtask scenario one-object               one of them
  cargo xtask scenario my.yaml --keep           a file of your own; keep console, logs and QEMU's command line
  cargo xtask scenario --filter hops -v         those with `hops` in their name, each step told
  cargo xtask scenario --tag conformance        what proves a requirement, and the table of them all
  cargo xtask scenario --skip-tag conformance   everything else
  cargo xtask scenario -j 1 --no-snapshot       one after the other, each booted: times that may be compared
  cargo xtask scenario --interface luo          through the in-tree orchestrator only
  cargo xtask scenario --kernel 7.3.4           an exact release
  cargo xtask scenario --kernel path:~/linux    your own tree, built in place, incrementally
  cargo xtask scenario --kernel git:~/linux#topic
  cargo xtask scenario --kernel 7.3-kho-string  a name from `kernels.yaml`
  cargo xtask scenario --profile debug          kernels that watch themselves: lockdep, poisoned memory, leaks
  cargo xtask scenario --profile kasan          kernels and a module whose every access to memory is checked
  cargo xtask scenario --json results.json      for machines; `cargo xtask schema` describes it

The first run installs what is missing and builds a kernel, which takes minutes; later ones start at once.";

/// Run scenarios: boot, preserve, live update, verify, measure.
#[derive(Debug, Args)]
#[command(after_help = SCENARIO_EXAMPLES)]
pub(crate) struct Scenario {
    /// Scenario files, or names of shipped ones. All shipped ones if none is named.
    #[arg(value_name = "FILE|NAME")]
    pub(crate) wanted: Vec<String>,
    /// List the scenarios and what they prove, and run none.
    #[arg(long)]
    pub(crate) list: bool,
    /// Only those whose name contains this.
    #[arg(long, value_name = "TEXT")]
    pub(crate) filter: Option<String>,
    /// Only those with this tag; given several times, those with any of them. `conformance` also shows which
    /// requirement is proven on which face, and fails if one is neither proven nor explained.
    #[arg(long, value_name = "TAG")]
    pub(crate) tag: Vec<String>,
    /// None of those with this tag.
    #[arg(long, value_name = "TAG")]
    pub(crate) skip_tag: Vec<String>,
    /// Only this interface: `luo` (in-tree), `module` (its device) or `kexecfs` (its file system).
    #[arg(long, value_parser = interface)]
    pub(crate) interface: Option<protocol::message::Interface>,
    /// The kernel to boot: a name from `kernels.yaml`, else 7.3, 7.3.4, path:DIR, git:REPOSITORY#REF, or a tarball's URL.
    #[arg(long, default_value = "7.3", value_parser = kernel, value_name = "KERNEL")]
    pub(crate) kernel: KernelSpec,
    #[command(flatten)]
    pub(crate) guests: Guests,
}

const MATRIX_EXAMPLES: &str = "\
Examples:
  cargo xtask matrix                              every pair of the kernels in kernels.yaml that have no patches
  cargo xtask matrix --kernels 7.2,7.3            two of them, four pairs
  cargo xtask matrix --kernels all                the synthetic ones too
  cargo xtask matrix --interfaces luo,module two-hops
  cargo xtask matrix --report out                 index.html with a heat map, matrix.svg, matrix.md, results.json
  cargo xtask matrix --partition 2/4 --json 2.json
  cargo xtask matrix --emit-github-matrix 4       the parts, for `strategy: matrix:` of a workflow
  cargo xtask merge 1.json 2.json 3.json 4.json --report out

A row hands over, a column takes. A cell is green if it comes to what the two kernels' own strings let expect, or to a hazard
that hazards.yaml knows; anything else fails the command, and the lines that prove it are shown.";

/// Run scenarios between every ordered pair of kernels, and compare what comes of it with what they promise.
#[derive(Debug, Args)]
#[command(after_help = MATRIX_EXAMPLES)]
pub(crate) struct Matrix {
    /// Scenario files, or names of shipped ones; none that names kernels itself.
    #[arg(value_name = "FILE|NAME", default_values = ["one-object", "plain-kho"])]
    pub(crate) wanted: Vec<String>,
    /// The kernels: names from `kernels.yaml`, or whatever else names one. Those of the file that have no patches if none
    /// is named; `all` takes those with patches too.
    #[arg(long, value_delimiter = ',', value_name = "KERNEL,…")]
    pub(crate) kernels: Vec<String>,
    /// The interfaces: `luo` (in-tree), `module`, `kexecfs`, and `kho` (plain Kexec HandOver). All of them if none is named.
    #[arg(long, value_delimiter = ',', value_parser = interface, value_name = "INTERFACE,…")]
    pub(crate) interfaces: Vec<protocol::message::Interface>,
    /// Only this part of the cells: 1/4 to 4/4. Parts hold pairs that need the same kernels.
    #[arg(long, default_value = "1/1", value_name = "N/OF")]
    pub(crate) partition: Partition,
    /// Print so many parts as JSON for `strategy.matrix` of GitHub Actions, and run nothing.
    #[arg(long, value_name = "PARTS")]
    pub(crate) emit_github_matrix: Option<NonZero<u16>>,
    /// Write a report to this folder, the runs' folders in it: a page with a heat map, its picture, Markdown, results.
    #[arg(long, value_name = "DIR")]
    pub(crate) report: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) guests: Guests,
}

/// Join the results of several machines' parts.
#[derive(Debug, Args)]
pub(crate) struct Merge {
    /// What `--json` wrote.
    #[arg(required = true, value_name = "RESULTS.json")]
    pub(crate) results: Vec<PathBuf>,
    /// Write all results to this file.
    #[arg(long, value_name = "PATH")]
    pub(crate) json: Option<PathBuf>,
    /// Write a report to this folder: a page with a heat map, its picture, Markdown, results.
    #[arg(long, value_name = "DIR")]
    pub(crate) report: Option<PathBuf>,
}

/// How guests are run.
#[derive(Debug, Args)]
pub(crate) struct Guests {
    /// What kernels are built for: `fast`, whose figures count; `tuned`, whose outage is shorter yet; `debug`, which checks locks, memory, lists and leaks; or
    /// `kasan`, which checks each access to memory, the module's C and Rust included, and is compiled by clang. The latter
    /// two are several times slower: they get five times the seconds of `--timeout` and `--silence`.
    #[arg(long, default_value = "fast", value_name = "fast|tuned|debug|kasan")]
    pub(crate) profile: Profile,
    /// What runs the guests. `auto` takes KVM only if a guest under it has booted and reported back. `icount` emulates
    /// and counts instructions instead of time: slower, and its figures do not depend on what else the host does.
    #[arg(long, default_value = "auto", value_name = "auto|kvm|tcg|icount")]
    pub(crate) accel: Wish,
    /// How many guests run at a time. As many as this machine has processors and memory for if it is not said; with 1
    /// each has the machine for itself, and times are as true as they get. More than there are processors for get
    /// several times the seconds of `--timeout` and `--silence`.
    #[arg(short, long, value_name = "N")]
    pub(crate) jobs: Option<NonZero<u32>>,
    /// Boot each guest. Otherwise those that begin alike are booted once and restored from then on, if there are three or
    /// more of them and TCG runs them (with KVM that is not proven).
    #[arg(long)]
    pub(crate) no_snapshot: bool,
    /// Seconds that one run may take.
    #[arg(long, default_value = "300", value_parser = seconds, value_name = "SECONDS")]
    pub(crate) timeout: Duration,
    /// Seconds without a sign of life after which a guest counts as hung.
    #[arg(long, default_value = "30", value_parser = seconds, value_name = "SECONDS")]
    pub(crate) silence: Duration,
    /// Keep the folder of green runs too; those of red ones are always kept.
    #[arg(long)]
    pub(crate) keep: bool,
    /// Where runs leave their folders.
    #[arg(long, default_value = "runs", value_name = "DIR")]
    pub(crate) runs: PathBuf,
    /// Write all results to this file.
    #[arg(long, value_name = "PATH")]
    pub(crate) json: Option<PathBuf>,
    /// Install what is missing without asking.
    #[arg(long)]
    pub(crate) yes: bool,
    /// Tell each step.
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

/// What boots, and on what.
#[derive(Debug, Args)]
pub(crate) struct Booted {
    /// The kernel to boot: a name from `kernels.yaml`, else 7.3, 7.3.4, path:DIR, git:REPOSITORY#REF, or a tarball's URL.
    #[arg(long, default_value = "7.3", value_parser = kernel, value_name = "KERNEL")]
    pub(crate) kernel: KernelSpec,
    /// What the kernel is built for: `fast`, `debug` or `kasan`.
    #[arg(long, default_value = "fast", value_name = "fast|debug|kasan")]
    pub(crate) profile: Profile,
    /// What runs the guests. `auto` takes KVM only if a guest under it has booted and reported back.
    #[arg(long, default_value = "auto", value_name = "auto|kvm|tcg|icount")]
    pub(crate) accel: Wish,
    /// Install what is missing without asking.
    #[arg(long)]
    pub(crate) yes: bool,
}

const KERNEL_EXAMPLES: &str = "\
Examples:
  cargo xtask kernel list                       all kernels of kernels.yaml: what is cached, how they hand memory on
  cargo xtask kernel fetch 7.2 7.1              download and unpack their sources
  cargo xtask kernel build 7.3-kho-string       build it now, not at its first run, and the module with it
  cargo xtask kernel build --profile debug 7.3
  cargo xtask kernel show 6.18                  its origin, its ABI by its source and as it runs, whether Rust builds
  cargo xtask kernel show path:~/linux
  cargo xtask kernel prune                      what is in the cache and of no use any more; asks, then removes it
  cargo xtask kernel prune 7.1 --yes            all that only 7.1 takes, without a question

Kernels are built one at a time. Whoever finds one being built says whom he waits for; an interrupted build goes on.";

/// The kernels: list, fetch, build, show and prune them.
#[derive(Debug, Args)]
#[command(after_help = KERNEL_EXAMPLES)]
pub(crate) struct Kernel {
    #[command(subcommand)]
    pub(crate) command: KernelCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KernelCommand {
    /// List the kernels of `kernels.yaml`: what each resolves to, what is cached, its size and its ABI.
    List,
    /// Download and unpack sources.
    Fetch(Named),
    /// Build kernels and the module for them.
    Build(Named),
    /// Show all of a kernel: origin, hashes, ABI by its source and as it runs, whether module and Rust build, and why not.
    Show(Named),
    /// Show what the cache holds in vain, and remove it. What someone uses stays.
    Prune {
        /// All that only these kernels take, instead.
        #[arg(value_name = "KERNEL", value_parser = kernel)]
        kernels: Vec<KernelSpec>,
        /// Remove it without asking.
        #[arg(long)]
        yes: bool,
    },
}

/// Kernels, and how they are to be had.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// Names from `kernels.yaml`, or sources: 7.3, 7.3.4, path:DIR, git:REPOSITORY#REF, a tarball's URL.
    #[arg(value_name = "KERNEL", required = true, value_parser = kernel)]
    pub(crate) kernels: Vec<KernelSpec>,
    /// What they are built for, unless `kernels.yaml` says it of them.
    #[arg(long, default_value = "fast", value_name = "fast|tuned|debug|kasan")]
    pub(crate) profile: Profile,
    /// Look for newer releases and commits now, not only when the last look is a week old.
    #[arg(long)]
    pub(crate) refresh: bool,
    /// Install what is missing without asking.
    #[arg(long)]
    pub(crate) yes: bool,
}

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

fn selftest(text: &str) -> Result<lab::selftest::Test, String> {
    use lab::selftest::Test;
    Test::by_name(text).ok_or_else(|| {
        let names: Vec<&str> = Test::ALL.iter().map(|test| test.name()).collect();
        format!("`{text}` is none of the kernel's own tests: {}", names.join(", "))
    })
}

const SHELL_EXAMPLES: &str = "\
Examples:
  cargo xtask shell                                  the default kernel
  cargo xtask shell --kernel path:~/linux            your tree, built in place, incrementally
  cargo xtask shell --cpus 4 --memory '2 GiB'        a larger machine

At the guest's prompt:
  echo hello >/tmp/f; preserve box /tmp/f; kexec     hand a file over to the next kernel
  retrieve box                                       print it there

Ctrl-A x, or `exit`, leaves; Ctrl-C goes to the guest. The initramfs is a busybox with this kernel, the module and the agent.";

/// Sit at a guest: a shell on its console, the interfaces ready, and a `kexec` by hand.
#[derive(Debug, Args)]
#[command(after_help = SHELL_EXAMPLES)]
pub(crate) struct Shell {
    #[command(flatten)]
    pub(crate) booted: Booted,
    /// Processors.
    #[arg(long, default_value = "1", value_parser = clap::value_parser!(u32).range(1..=8), value_name = "N")]
    pub(crate) cpus: u32,
    /// RAM: 512 MiB, 1 GiB.
    #[arg(long, default_value = "1 GiB", value_parser = memory, value_name = "SIZE")]
    pub(crate) memory: Size,
}

fn memory(text: &str) -> Result<Size, String> {
    let size: Size = text.parse()?;
    if !(256 << 20..=64 << 30).contains(&size.0) {
        return Err("between 256 MiB and 64 GiB".to_owned());
    }
    Ok(size)
}

const WATCH_EXAMPLES: &str = "\
Examples:
  cargo xtask watch --kernel path:~/linux one-object          your tree, built incrementally at each change
  cargo xtask watch --kernel path:~/linux --interface luo -j 1 my.yaml
  cargo xtask watch my.yaml                                   a scenario that you write

It runs again when the kernel's tree, the module, the agent or a scenario has changed and come to rest. Products of builds
do not count. Ctrl-C ends it.";

/// Run scenarios again whenever something changes that they are made of.
#[derive(Debug, Args)]
#[command(after_help = WATCH_EXAMPLES)]
pub(crate) struct Watch {
    #[command(flatten)]
    pub(crate) scenario: Scenario,
}

const BISECT_EXAMPLES: &str = "\
Examples:
  cargo xtask bisect --good v7.2 --bad HEAD one-object                in the repository of this folder
  cargo xtask bisect --good v7.2 --bad topic --repository ~/linux --interface luo one-object many-objects
  cargo xtask bisect --good HEAD~20 --bad HEAD my.yaml                a scenario of your own

Green is good, red is bad; what does not build or boot is skipped, as by `git bisect run`. It works in a clone of its own:
your checkout, your references and your own bisection stay as they are. Builds are incremental.

Exit codes: 0 if there is an answer, 1 if good is not good or bad is not bad, 69 if the lab could not find out.";

/// Find the commit that broke it: `git bisect`, with scenarios as the judge.
#[derive(Debug, Args)]
#[command(after_help = BISECT_EXAMPLES)]
pub(crate) struct Bisect {
    /// Scenario files, or names of shipped ones. A commit is good if all of them are green.
    #[arg(required = true, value_name = "FILE|NAME")]
    pub(crate) scenarios: Vec<String>,
    /// A commit at which they are green.
    #[arg(long, value_name = "REF")]
    pub(crate) good: String,
    /// A later one at which they are not.
    #[arg(long, value_name = "REF")]
    pub(crate) bad: String,
    /// The kernel's git repository.
    #[arg(long, default_value = ".", value_name = "DIR")]
    pub(crate) repository: PathBuf,
    /// Only this interface: `luo` (in-tree), `module` (its device) or `kexecfs` (its file system).
    #[arg(long, value_parser = interface)]
    pub(crate) interface: Option<protocol::message::Interface>,
    /// What kernels are built for: `fast`, `debug` or `kasan`.
    #[arg(long, default_value = "fast", value_name = "fast|debug|kasan")]
    pub(crate) profile: Profile,
    /// What runs the guests. `auto` takes KVM only if a guest under it has booted and reported back.
    #[arg(long, default_value = "auto", value_name = "auto|kvm|tcg|icount")]
    pub(crate) accel: Wish,
    /// Seconds that one run may take.
    #[arg(long, default_value = "300", value_parser = seconds, value_name = "SECONDS")]
    pub(crate) timeout: Duration,
    /// Seconds without a sign of life after which a guest counts as hung.
    #[arg(long, default_value = "30", value_parser = seconds, value_name = "SECONDS")]
    pub(crate) silence: Duration,
    /// Where the last bad run leaves its folder.
    #[arg(long, default_value = "runs", value_name = "DIR")]
    pub(crate) runs: PathBuf,
    /// Install what is missing without asking.
    #[arg(long)]
    pub(crate) yes: bool,
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

fn target(text: &str) -> Result<String, String> {
    let targets = crate::fuzz::targets().map_err(|error| error.to_string())?;
    if targets.iter().any(|target| target == text) {
        return Ok(text.to_owned());
    }
    Err(format!("`{text}` is no target: {}", targets.join(", ")))
}

fn kernel(text: &str) -> Result<KernelSpec, String> {
    let catalogue = Catalogue::read(crate::workspace()).map_err(|error| error.to_string())?;
    catalogue.find(text).map_err(|error| error.to_string())
}

fn interface(text: &str) -> Result<protocol::message::Interface, String> {
    match text {
        "luo" => Ok(protocol::message::Interface::Luo),
        "module" => Ok(protocol::message::Interface::Module),
        "kexecfs" => Ok(protocol::message::Interface::Kexecfs),
        "kho" => Ok(protocol::message::Interface::Kho),
        other => Err(format!("`{other}` is no interface: luo, module, kexecfs or kho")),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    if !(0.1..=86_400.0).contains(&seconds) {
        return Err("between 0.1 s and a day".to_owned());
    }
    Ok(Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_words_fit_together() {
        super::Cli::command().debug_assert();
    }
}
