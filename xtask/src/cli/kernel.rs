//! `kernel`.

use clap::{Args, Subcommand};
use lab::kernel::{KernelSpec, Profile};

use super::parse::kernel;

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
