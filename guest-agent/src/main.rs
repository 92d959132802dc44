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
    // SAFETY: index 1 is within `argc`, and the caller vouches for the string.
    let role = (argc > 1).then(|| unsafe { CStr::from_ptr(*argv.add(1)) });
    match role {
        Some(role) if role == guest_agent::HOLDER => guest_agent::run_holder(),
        Some(role) if role == guest_agent::CHECK => guest_agent::run_check(),
        // By hand it would mount over the files of a machine that is not its own, and reboot that.
        _ if std::process::id() != 1 => {
            eprintln!("guest-agent: this is /init of a lab guest, and runs as process 1 there");
            2
        }
        _ => guest_agent::run_init(started),
    }
}
