//! The preserved page in which the workload ticks.
//!
//! The workload writes a rising counter and the time stamp counter (TSC) of each tick. After a live
//! update the page still tells when the old kernel's workload ticked last; the first tick under the
//! new kernel ends the blackout. Fields are 64-bit little-endian words at these indices.

/// Word that says that this is a heartbeat page: [`MAGIC`].
pub const WORD_MAGIC: usize = 0;
/// Word that counts ticks since the page was made, over all generations.
pub const WORD_COUNT: usize = 1;
/// Word that holds the TSC of the latest tick.
pub const WORD_TSC: usize = 2;

/// Word that holds the TSC of this generation's first tick.
pub const WORD_FIRST_TSC: usize = 3;
/// Word that holds the count of this generation's first tick.
pub const WORD_FIRST_COUNT: usize = 4;

/// `LABHEART`, as bytes.
pub const MAGIC: u64 = u64::from_le_bytes(*b"LABHEART");

/// Time between two ticks that the workload aims at, in nanoseconds. What it reaches depends on the
/// guest's timers; the page tells.
pub const PERIOD_NS: u64 = 100_000;

/// The page's size in bytes.
pub const BYTES: u64 = 4096;
