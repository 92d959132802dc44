//! What goes wrong.

use std::{fmt, io};

use rustix::io::Errno;

/// The result of a call.
pub type Result<T> = std::result::Result<T, Error>;

/// A call failed: which one, with which errno, and why, as far as anybody could tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    operation: &'static str,
    errno: Errno,
    reason: String,
}

impl Error {
    pub(crate) fn new(operation: &'static str, errno: Errno, reason: impl Into<String>) -> Self {
        Self { operation, errno, reason: reason.into() }
    }

    /// The call, in the kernel's words: `FD_PRESERVE`, `fsmount`.
    #[must_use]
    pub fn operation(&self) -> &'static str {
        self.operation
    }

    /// The errno.
    #[must_use]
    pub fn errno(&self) -> Errno {
        self.errno
    }

    /// What is known beyond the errno: mostly the kernel's own words. Often empty.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.operation, self.errno)?;
        match self.reason.as_str() {
            "" => Ok(()),
            reason => write!(f, ": {reason}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::new(io::Error::from(error.errno).kind(), error)
    }
}

/// Names the call that an errno came from.
pub(crate) trait Name<T> {
    fn of(self, operation: &'static str) -> Result<T>;
}

impl<T> Name<T> for std::result::Result<T, Errno> {
    fn of(self, operation: &'static str) -> Result<T> {
        self.map_err(|errno| Error::new(operation, errno, ""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_tells_call_errno_and_reason() {
        let bare = Error::new("FREEZE", Errno::BUSY, "");
        assert!(bare.to_string().starts_with("FREEZE: ") && !bare.to_string().ends_with(": "), "{bare}");
        let told = Error::new("FREEZE", Errno::BUSY, "subsystem `net` is missing");
        assert_eq!(told.to_string(), format!("{bare}: subsystem `net` is missing"));
        let io = io::Error::from(told.clone());
        assert_eq!((io.kind(), io.to_string()), (io::ErrorKind::ResourceBusy, told.to_string()));
    }
}
