//! How guests are run, and what boots.

use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use lab::kernel::{KernelSpec, Profile};
use lab::machine::accelerator::Wish;

use super::parse::{kernel, seconds};

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
