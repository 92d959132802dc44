//! What a check is given, and the words in which it says what it found.

use std::{any::Any, fmt::Debug};

use liveupdate_client::Device;
use protocol::{
    check::{Dice, Figure, NotesError, Verdict, cut},
    message::{self, Failure, Span, Tsc},
};
use rustix::io::Errno;

use crate::{
    failure::Outcome,
    interface::{self, Interface},
    now,
};

/// What is kept open until a process ends.
pub(super) type Kept = Vec<Box<dyn Any>>;

/// What a check is given.
pub(crate) struct Context {
    face: message::Interface,
    dice: Dice,
    kept: Kept,
    figures: Vec<Figure>,
}

impl Context {
    pub(super) fn new(face: message::Interface, dice: Dice) -> Self {
        Self { face, dice, kept: Kept::new(), figures: Vec::new() }
    }

    /// The interface that it is asked of.
    pub(super) fn face(&self) -> message::Interface {
        self.face
    }

    /// Seed and rounds, for a check that throws dice.
    pub(super) fn dice(&self) -> Dice {
        self.dice
    }

    /// That interface, opened as the holder does; the module is loaded if there is need. Any number of times.
    pub(super) fn open(&self) -> Outcome<Box<dyn Interface>> {
        interface::open(self.face)
    }

    /// The module's device, to use it as a program would; the module is loaded if there is need.
    pub(super) fn device(&self) -> Result<Device, Finding> {
        drop(interface::open(message::Interface::Module)?);
        Ok(Device::open()?)
    }

    /// Keeps something (open files, a session, an [`super::aside::Aside`]) and the process with it until the
    /// kexec, for the half after it to find.
    pub(super) fn stay_with(&mut self, what: impl Any) {
        self.kept.push(Box::new(what));
    }

    /// Does `work` and reports, beside the verdict, how long it took.
    pub(super) fn timed<T>(&mut self, what: &str, work: impl FnOnce() -> Result<T, Finding>) -> Result<T, Finding> {
        let from = now();
        let done = work()?;
        self.report(what, from, now());
        Ok(done)
    }

    /// The same of giving something up.
    pub(super) fn timed_drop(&mut self, what: &str, given_up: impl Sized) {
        let from = now();
        drop(given_up);
        self.report(what, from, now());
    }

    /// Reports, beside the verdict, how long something took.
    pub(super) fn report(&mut self, what: &str, from: Tsc, to: Tsc) {
        self.figures.push(Figure { what: what.to_owned(), span: Span { from, to } });
    }

    pub(super) fn take_figures(&mut self) -> Vec<Figure> {
        std::mem::take(&mut self.figures)
    }

    /// Whether the process stays.
    pub(super) fn stays(&self) -> bool {
        !self.kept.is_empty()
    }
}

/// Why a check did not hold.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// Something is not as it must be.
    Contradicted {
        /// What had to be so: `the state to be normal`.
        expected: String,
        /// What was: `frozen`.
        came: String,
    },
    /// This kernel lacks what the check is about; the text says what.
    NotApplicable(String),
}

impl Finding {
    /// Something is not as it must be.
    pub(super) fn new(expected: impl Into<String>, came: impl Into<String>) -> Self {
        Self::Contradicted { expected: expected.into(), came: came.into() }
    }

    /// This kernel lacks what the check is about. Never for what the interface itself has to have.
    pub(super) fn lacks(what: impl Into<String>) -> Self {
        Self::NotApplicable(what.into())
    }
}

impl From<Finding> for Verdict {
    fn from(finding: Finding) -> Self {
        match finding {
            Finding::Contradicted { expected, came } => {
                Self::Contradicted { expected: cut(&expected), came: cut(&came) }
            }
            Finding::NotApplicable(reason) => Self::NotApplicable { reason: cut(&reason) },
        }
    }
}

impl From<Failure> for Finding {
    fn from(failure: Failure) -> Self {
        let errno = failure.errno.map_or(String::new(), |errno| format!("{}: ", errno_name(errno)));
        Self::new(format!("{} to work", failure.operation), format!("{errno}{}", failure.detail))
    }
}

impl From<liveupdate_client::Error> for Finding {
    fn from(error: liveupdate_client::Error) -> Self {
        Self::new("a call of the module's to work", format!("{}: {error}", errno_name(error.errno().raw_os_error())))
    }
}

impl From<NotesError> for Finding {
    fn from(error: NotesError) -> Self {
        Self::new("notes that both halves of the check understand", error.to_string())
    }
}

/// Requires that a value is the one that it must be.
pub(super) fn same<T: PartialEq + Debug>(what: &str, expected: T, came: T) -> Result<(), Finding> {
    if expected == came {
        return Ok(());
    }
    Err(Finding::new(format!("{what} to be {expected:?}"), format!("{came:?}")))
}

/// Requires that something is so.
pub(super) fn holds(expected: &str, so: bool, came: impl Into<String>) -> Result<(), Finding> {
    if so { Ok(()) } else { Err(Finding::new(expected, came)) }
}

/// Requires that a system call works.
pub(super) fn works<T>(what: &str, result: Result<T, Errno>) -> Result<T, Finding> {
    result.map_err(|errno| Finding::new(format!("{what} to work"), errno_name(errno.raw_os_error())))
}

/// Requires that what a library does works.
pub(super) fn done<T, E: Debug>(what: &str, result: Result<T, E>) -> Result<T, Finding> {
    result.map_err(|error| Finding::new(format!("{what} to work"), format!("{error:?}")))
}

/// Requires that a system call is refused with this errno.
pub(super) fn refused<T>(what: &str, with: Errno, result: Result<T, Errno>) -> Result<(), Finding> {
    let came = match result {
        Err(errno) if errno == with => return Ok(()),
        Err(errno) => errno_name(errno.raw_os_error()),
        Ok(_) => "it worked".to_owned(),
    };
    Err(Finding::new(format!("{what} to be refused with {}", errno_name(with.raw_os_error())), came))
}

/// An errno, as manuals name it where it is one that is met here, and as the system words it.
pub(super) fn errno_name(errno: i32) -> String {
    let known = [
        (libc::EPERM, "EPERM"),
        (libc::ENOENT, "ENOENT"),
        (libc::EIO, "EIO"),
        (libc::EBADF, "EBADF"),
        (libc::EAGAIN, "EAGAIN"),
        (libc::ENOMEM, "ENOMEM"),
        (libc::EACCES, "EACCES"),
        (libc::EFAULT, "EFAULT"),
        (libc::EBUSY, "EBUSY"),
        (libc::EEXIST, "EEXIST"),
        (libc::EXDEV, "EXDEV"),
        (libc::ENODEV, "ENODEV"),
        (libc::EINVAL, "EINVAL"),
        (libc::ENOTTY, "ENOTTY"),
        (libc::EFBIG, "EFBIG"),
        (libc::ENOSPC, "ENOSPC"),
        (libc::EROFS, "EROFS"),
        (libc::E2BIG, "E2BIG"),
        (libc::ELOOP, "ELOOP"),
        (libc::ENOSYS, "ENOSYS"),
        (libc::EPROTO, "EPROTO"),
        (libc::EOPNOTSUPP, "EOPNOTSUPP"),
    ];
    let words = std::io::Error::from_raw_os_error(errno);
    known
        .iter()
        .find(|(code, _)| *code == errno)
        .map_or_else(|| words.to_string(), |(_, name)| format!("{name} ({words})"))
}

#[cfg(test)]
mod tests {
    use protocol::check::MAX_TEXT;

    use super::*;

    fn texts(result: Result<(), Finding>) -> (String, String) {
        match Verdict::from(result.unwrap_err()) {
            Verdict::Contradicted { expected, came } => (expected, came),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn findings_say_what_was_expected_and_what_came() {
        assert_eq!(same("the state", 0, 0), Ok(()));
        assert_eq!(texts(same("the state", 0, 2)), ("the state to be 0".to_owned(), "2".to_owned()));
        assert_eq!(refused::<()>("open", Errno::BUSY, Err(Errno::BUSY)), Ok(()));
        let (expected, came) = texts(refused("open", Errno::BUSY, Ok(())));
        assert!(expected.contains("open to be refused with EBUSY") && came == "it worked", "{expected} {came}");
        let (_, came) = texts(refused::<()>("open", Errno::BUSY, Err(Errno::NOENT)));
        assert!(came.starts_with("ENOENT (No such file"), "{came}");
        let (expected, _) = texts(works::<()>("open", Err(Errno::PERM)));
        assert_eq!(expected, "open to work");
    }

    #[test]
    fn texts_are_bounded() {
        let (expected, came) = texts(Err(Finding::new("x".repeat(2 * MAX_TEXT), "\u{7}".repeat(2 * MAX_TEXT))));
        assert_eq!((expected.len(), came), (MAX_TEXT, " ".repeat(MAX_TEXT)));
    }
}
