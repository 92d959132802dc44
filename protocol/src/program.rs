//! Programs of others that the agent runs: the kernel's own tests.

use serde::{Deserialize, Serialize};

/// Most bytes that a program may say, on both its streams together.
pub const MAX_OUTPUT: usize = 1 << 20;

/// A program to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Its file in the initramfs, and what it is told.
    pub words: Vec<String>,
    /// Milliseconds until it is killed.
    pub limit_ms: u32,
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// By itself, with this status.
    Exited(i32),
    /// By this signal, that the agent did not send.
    Signalled(i32),
    /// Killed when its time was up.
    OutOfTime,
    /// Killed when it had said more than [`MAX_OUTPUT`].
    Flooded,
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exited(status) => write!(f, "it exited with status {status}"),
            Self::Signalled(signal) => write!(f, "it was ended by signal {signal}"),
            Self::OutOfTime => f.write_str("it was killed when its time was up"),
            Self::Flooded => write!(f, "it was killed when it had said more than {} KiB", MAX_OUTPUT >> 10),
        }
    }
}
