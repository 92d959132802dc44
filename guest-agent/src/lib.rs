//! The guest's side of Liveupdate Lab.
//!
//! One static executable in three roles. As PID 1 ([`run_init`]) it talks to the host, keeps the kernel's
//! affairs (log, memory, kexec) and outlives everything. On `Request::Open` it starts itself again as
//! the *holder* ([`run_holder`]), which owns what a user's live update agent would own: the open
//! interface, the memory files, the workload. The holder can be killed to see what the kernel does.
//! On `Request::Check` it starts itself as a *check* ([`run_check`]), which asks the kernel one thing. Besides it is
//! a few small commands ([`run_tool`]), and PID 1 of a guest that a person sits at ([`run_shell`]).

mod boot;
mod checker;
mod checks;
mod child;
mod failure;
mod frames;
mod handover;
mod holder;
mod interface;
mod kernel_log;
mod kexec;
mod locate;
mod luo;
mod mapping;
mod memory;
mod objects;
mod program;
mod reserved;
mod revival;
mod shell;
mod supervisor;
mod tool;
mod transport;
mod verify;
mod workload;

use std::{ffi::CStr, time::Duration};

use protocol::message::Tsc;

pub use tool::run as run_tool;

/// Argument that makes the executable the holder.
pub const HOLDER: &CStr = c"holder";

/// Argument that makes the executable a check.
pub const CHECK: &CStr = c"check";

/// Argument that gives PID 1 a person to talk to instead of a host.
pub const SHELL: &CStr = c"shell";

/// Least time between two `Reply::Progress` or `Reply::Busy`.
const PROGRESS: Duration = Duration::from_millis(250);

/// Reads the time stamp counter.
#[must_use]
pub fn now() -> Tsc {
    // SAFETY: every x86-64 processor has the instruction, and the guest's kernel does not forbid it.
    Tsc(unsafe { std::arch::x86_64::_rdtsc() })
}

/// Lives as PID 1. `started` is when the first instruction ran.
pub fn run_init(started: Tsc) -> ! {
    panic_in_one_line();
    supervisor::Supervisor::new(boot::boot(started)).run()
}

/// Lives as PID 1 of a guest that a person sits at.
pub fn run_shell() -> ! {
    panic_in_one_line();
    shell::run()
}

/// Lives as the holder, frames on standard input and output.
pub fn run_holder() -> ! {
    panic_in_one_line();
    holder::run()
}

/// Lives as a check, frames on standard input and output.
pub fn run_check() -> ! {
    panic_in_one_line();
    checks::run()
}

/// A panic is told on the console and aborts: in PID 1 that is a kernel panic which the host sees.
fn panic_in_one_line() {
    std::panic::set_hook(Box::new(|panic| eprintln!("guest-agent[{}]: {panic}", std::process::id())));
}
