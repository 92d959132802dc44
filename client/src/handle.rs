//! The open files that take the calls.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};

use crate::{
    Drive, Preserve, Result,
    error::Name as _,
    operations::sealed::{Driver, Takes},
};

/// The open device `/dev/liveupdate_lab`: a session without a name, with power over the machine.
///
/// Closing it gives up what it has registered, unless an update is prepared.
#[derive(Debug)]
pub struct Device(OwnedFd);

impl Device {
    /// Where it is.
    pub const PATH: &str = "/dev/liveupdate_lab";

    /// Opens it.
    ///
    /// # Errors
    /// ENOENT if the module is not loaded, EACCES without `CAP_SYS_ADMIN`.
    pub fn open() -> Result<Self> {
        let flags = OFlags::RDWR | OFlags::CLOEXEC;
        rustix::fs::open(Self::PATH, flags, Mode::empty()).map(Self).of("open /dev/liveupdate_lab")
    }
}

/// The file of a named session: can do everything but drive the machine, and needs no privileges.
///
/// [`Drive::create_session`] and [`Drive::retrieve_session`] open one, and it can be handed to a service as
/// any descriptor can: [`OwnedFd::from`] and [`Session::from_fd`]. Closing it gives up what it has
/// registered, unless an update is prepared; what was retrieved with it and not restored can be retrieved
/// again until FINISH.
#[derive(Debug)]
pub struct Session(OwnedFd);

impl Session {
    /// Takes over a session file that another process has opened.
    ///
    /// # Errors
    /// ENOTTY if it is not the orchestrator's.
    pub fn from_fd(file: OwnedFd) -> Result<Self> {
        checked(Self(file))
    }

    pub(crate) fn opened(file: OwnedFd) -> Self {
        Self(file)
    }
}

/// The open file `control` of a kexecfs instance, which is a session too.
///
/// It drives the machine if who opened it had `CAP_SYS_ADMIN`. What is registered through it belongs to the
/// instance, and is found again through the `control` of the instance in the next kernel.
#[derive(Debug)]
pub struct Control(OwnedFd);

impl Control {
    /// Takes over a `control` that another process has opened.
    ///
    /// # Errors
    /// ENOTTY if it is not the orchestrator's.
    pub fn from_fd(file: OwnedFd) -> Result<Self> {
        checked(Self(file))
    }

    pub(crate) fn opened(file: OwnedFd) -> Self {
        Self(file)
    }

    /// The instance as a whole needs something else to be prepared and frozen first.
    ///
    /// # Errors
    /// As [`Preserve::depend`].
    pub fn depend_as_a_whole(&self, need: crate::Need) -> Result<()> {
        crate::operations::depend(self.as_fd(), 0, need)
    }
}

fn checked<T: Preserve>(file: T) -> Result<T> {
    file.state()?;
    Ok(file)
}

macro_rules! file {
    ($($name:ident),*) => {
        $(
            impl AsFd for $name {
                fn as_fd(&self) -> BorrowedFd<'_> {
                    self.0.as_fd()
                }
            }

            impl From<$name> for OwnedFd {
                fn from(file: $name) -> Self {
                    file.0
                }
            }

            impl Takes for $name {}
            impl Preserve for $name {}
        )*
    };
}
file!(Device, Session, Control);

impl Driver for Device {}
impl Drive for Device {}
impl Driver for Control {}
impl Drive for Control {}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn a_foreign_file_is_refused() {
        let null = || OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        assert_eq!(Session::from_fd(null()).unwrap_err().errno(), Errno::NOTTY);
        assert_eq!(Control::from_fd(null()).unwrap_err().operation(), "GET_STATE");
    }
}
