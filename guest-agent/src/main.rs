//! The executable: `/init` of a lab guest, and the processes that it starts from itself: the holder, and checks.

// The standard library's start-up opens /dev/null when a standard stream is closed, and aborts where
// /dev is not yet mounted. PID 1 begins before there is a /dev.
#![no_main]

use std::ffi::{CStr, c_char, c_int};

/// Where the C start-up code comes in.
///
/// # Safety
/// `argv` must hold `argc` pointers to NUL-terminated strings, as the C start-up code passes them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn main(argc: c_int, argv: *const *const c_char) -> c_int {
    let started = guest_agent::now();
    // SAFETY: each index is below `argc`, and the caller vouches for the strings.
    let words: Vec<&CStr> = (0..argc.max(0) as usize).map(|at| unsafe { CStr::from_ptr(*argv.add(at)) }).collect();
    match words.get(1) {
        Some(&role) if role == guest_agent::HOLDER => guest_agent::run_holder(),
        Some(&role) if role == guest_agent::CHECK => guest_agent::run_check(),
        Some(&role) if role == guest_agent::SHELL && std::process::id() == 1 => guest_agent::run_shell(),
        _ if std::process::id() == 1 => guest_agent::run_init(started),
        // By hand it would mount over the files of a machine that is not its own, and reboot that.
        _ => guest_agent::run_tool(&words).unwrap_or_else(|| {
            eprintln!("guest-agent: this is /init of a lab guest, and runs as process 1 there");
            2
        }),
    }
}
