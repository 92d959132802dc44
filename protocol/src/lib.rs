//! What the host and the guest agent say to each other, and the page content that both can compute.
//!
//! - [`frame`]: how a message travels over a byte stream that a kexec may cut anywhere.
//! - [`check`]: the checks that can be asked for by name.
//! - [`message`]: the requests that the host makes and the replies that the agent gives.
//! - [`pattern`]: the content of a preserved page, a function of seed and page index alone.
//! - [`heartbeat`]: the layout of the page in which the workload ticks.
//! - [`program`]: programs of others that the agent runs.
//!
//! The agent treats the host's bytes as untrusted, and the host the agent's: every length is bounded
//! by [`frame::MAX_FRAME`] before anything is allocated.

pub mod check;
pub mod frame;
pub mod heartbeat;
pub mod message;
pub mod pattern;
pub mod program;

/// Raised whenever a frame or a message changes shape. Both sides refuse another version.
pub const VERSION: u8 = 4;

/// Name of the virtio-serial port that carries frames, as it stands in `/sys/class/virtio-ports/*/name`.
pub const CONTROL_PORT: &str = "lab.control";

/// Name of the virtio-serial port that carries kernel images as bare bytes.
pub const BULK_PORT: &str = "lab.bulk";
