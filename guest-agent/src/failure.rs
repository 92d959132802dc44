//! What goes wrong, in the host's words.

use protocol::message::Failure;
use rustix::io::Errno;

/// The result of carrying out a request, or a part of one.
pub(crate) type Outcome<T> = Result<T, Failure>;

/// Names the operation that a system call's error came from.
pub(crate) trait Tell<T> {
    /// `operation` is said with the errno.
    fn tell(self, operation: impl Into<String>) -> Outcome<T>;
}

impl<T> Tell<T> for Result<T, Errno> {
    fn tell(self, operation: impl Into<String>) -> Outcome<T> {
        self.map_err(|errno| system(operation, errno))
    }
}

impl<T> Tell<T> for std::io::Result<T> {
    fn tell(self, operation: impl Into<String>) -> Outcome<T> {
        self.map_err(|error| Failure {
            operation: operation.into(),
            errno: error.raw_os_error(),
            detail: error.to_string(),
        })
    }
}

impl<T> Tell<T> for liveupdate_client::Result<T> {
    fn tell(self, operation: impl Into<String>) -> Outcome<T> {
        self.map_err(|error| refused(operation, &error))
    }
}

/// The module refused.
pub(crate) fn refused(operation: impl Into<String>, error: &liveupdate_client::Error) -> Failure {
    let operation = operation.into();
    // What was wanted may take several calls, and then it matters which one failed.
    let mut detail = match operation.contains(error.operation()) {
        true => error.errno().to_string(),
        false => format!("{}: {}", error.operation(), error.errno()),
    };
    if !error.reason().is_empty() {
        detail = format!("{detail}: {}", error.reason());
    }
    Failure { operation, errno: Some(error.errno().raw_os_error()), detail }
}

/// The kernel refused.
pub(crate) fn system(operation: impl Into<String>, errno: Errno) -> Failure {
    Failure { operation: operation.into(), errno: Some(errno.raw_os_error()), detail: errno.to_string() }
}

/// The agent itself refuses.
pub(crate) fn refuse(operation: impl Into<String>, detail: impl Into<String>) -> Failure {
    Failure { operation: operation.into(), errno: None, detail: detail.into() }
}
