//! How a command ended, for scripts.

use std::process::ExitCode;

/// What a command found out, as an exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// 0: all is well.
    Passed,
    /// 1: a run is red, or a check failed.
    Failed,
    /// 2, as everywhere: the command or a scenario file says what cannot be.
    Usage,
    /// 69, EX_UNAVAILABLE: the lab could not find out.
    Infrastructure,
    /// 130, as shells have it: stopped by the user.
    Cancelled,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Passed => 0u8,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Infrastructure => 69,
            Exit::Cancelled => 130,
        })
    }
}
