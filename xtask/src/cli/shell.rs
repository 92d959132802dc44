//! `shell`.

use clap::Args;
use lab::scenario::size::Size;

use super::guests::Booted;
use super::parse::memory;

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
