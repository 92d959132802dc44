//! What a guest needs that was restored from a snapshot: all others that were have its memory.

use std::fs::File;

use protocol::message::Revival;
use rustix::{
    fd::AsRawFd,
    time::{ClockId, Timespec, clock_settime},
};

use crate::failure::{Outcome, Tell, refuse};

/// `_IOW('R', 0x03, int [2])`: adds to the pool what is worth as many bits as are said.
const RNDADDENTROPY: libc::Ioctl = 0x4008_5203u32 as libc::Ioctl;
/// `_IO('R', 0x07)`: what is given out next is made of the pool as it is now.
const RNDRESEEDCRNG: libc::Ioctl = 0x5207;

/// `struct rand_pool_info`.
#[repr(C)]
struct PoolInfo {
    bits: libc::c_int,
    bytes: libc::c_int,
    entropy: [u8; 32],
}

/// Makes the kernel's random numbers this guest's own, and its time of day the true one.
pub(crate) fn take(revival: &Revival) -> Outcome<()> {
    let random = File::open("/dev/urandom").tell("open /dev/urandom")?;
    let bytes = revival.entropy.len() as libc::c_int;
    let info = PoolInfo { bits: bytes * 8, bytes, entropy: revival.entropy };
    // SAFETY: the argument is what the call reads: two numbers, and as many bytes as the second says.
    let added = unsafe { libc::ioctl(random.as_raw_fd(), RNDADDENTROPY, &raw const info) };
    if added != 0 {
        return Err(std::io::Error::last_os_error()).tell("RNDADDENTROPY");
    }
    // SAFETY: the call has no argument.
    if unsafe { libc::ioctl(random.as_raw_fd(), RNDRESEEDCRNG) } != 0 {
        return Err(std::io::Error::last_os_error()).tell("RNDRESEEDCRNG");
    }
    let operation = "set the time of day";
    let seconds = i64::try_from(revival.unix_ns / 1_000_000_000).map_err(|_| refuse(operation, "not in this age"))?;
    let nanoseconds = (revival.unix_ns % 1_000_000_000) as i64;
    clock_settime(ClockId::Realtime, Timespec { tv_sec: seconds, tv_nsec: nanoseconds }).tell(operation)
}
