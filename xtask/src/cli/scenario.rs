//! `scenario`, and what runs scenarios over and over.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use lab::kernel::{KernelSpec, Profile};
use lab::machine::accelerator::Wish;

use super::guests::Guests;
use super::parse::{interface, kernel, seconds};

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
