//! A process beside the check: another user, another namespace, or one that is to be killed.

use std::{
    io::Read as _,
    marker::PhantomData,
    os::fd::{AsFd as _, OwnedFd},
};

use rustix::{
    io::Errno,
    pipe::{PipeFlags, pipe_with},
    process::{Pid, Signal, WaitOptions, kill_process, waitpid},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::context::{Finding, Kept, works};
use crate::frames::write_all;

/// What it says to the check that forked it.
#[derive(Serialize, Deserialize)]
enum Word<T> {
    Done(T),
    Contradicted { expected: String, came: String },
    NotApplicable(String),
}

/// A forked process that has done its work and waits, with all that it has open, until this value is dropped.
pub(super) struct Aside {
    pid: Pid,
}

impl Aside {
    /// Forks, lets the new process do `work` and gives what that gave. All that `work` wants to keep open it puts
    /// into [`Kept`].
    pub(super) fn start<T, F>(work: F) -> Result<(Self, T), Finding>
    where
        T: Serialize + DeserializeOwned,
        F: FnOnce(&mut Kept) -> Result<T, Finding>,
    {
        Self::begin(work)?.wait()
    }

    /// The same, of several at once: it does not wait until the work is done.
    pub(super) fn begin<T, F>(work: F) -> Result<Beginning<T>, Finding>
    where
        T: Serialize + DeserializeOwned,
        F: FnOnce(&mut Kept) -> Result<T, Finding>,
    {
        let (reader, writer) = works("pipe2", pipe_with(PipeFlags::CLOEXEC))?;
        // SAFETY: a check has one thread, so that the new process finds every lock as this one left it.
        match unsafe { libc::fork() } {
            -1 => Err(Finding::new("fork to work", std::io::Error::last_os_error().to_string())),
            0 => {
                drop(reader);
                let mut kept = Kept::new();
                let word = match work(&mut kept) {
                    Ok(value) => Word::Done(value),
                    Err(Finding::Contradicted { expected, came }) => Word::Contradicted { expected, came },
                    Err(Finding::NotApplicable(reason)) => Word::NotApplicable(reason),
                };
                let said = postcard::to_allocvec(&word).unwrap_or_default();
                let _ = write_all(writer.as_fd(), &said);
                drop(writer);
                loop {
                    // SAFETY: it only waits for a signal.
                    unsafe { libc::pause() };
                }
            }
            pid => {
                drop(writer);
                let Some(pid) = Pid::from_raw(pid) else { return Err(Finding::new("a process id", pid.to_string())) };
                Ok(Beginning { aside: Self { pid }, said: reader, work: PhantomData })
            }
        }
    }

    /// Forks a process that serves others, and does not wait for it.
    pub(super) fn serving(work: impl FnOnce()) -> Result<Self, Finding> {
        // SAFETY: a check has one thread, so that the new process finds every lock as this one left it.
        match unsafe { libc::fork() } {
            -1 => Err(Finding::new("fork to work", std::io::Error::last_os_error().to_string())),
            0 => {
                work();
                // SAFETY: what has to be tidied up is this process's own.
                unsafe { libc::_exit(0) }
            }
            pid => match Pid::from_raw(pid) {
                Some(pid) => Ok(Self { pid }),
                None => Err(Finding::new("a process id", pid.to_string())),
            },
        }
    }

    /// As [`Aside::start`] for work that leaves nothing open: the process is gone when this returns.
    pub(super) fn run<T: Serialize + DeserializeOwned>(
        work: impl FnOnce() -> Result<T, Finding>,
    ) -> Result<T, Finding> {
        let (aside, value) = Self::start(|_| work())?;
        aside.kill()?;
        Ok(value)
    }

    /// Its process id, as /proc has it.
    pub(super) fn number(&self) -> String {
        self.pid.as_raw_nonzero().to_string()
    }

    /// Kills it with SIGKILL and waits until it is gone: its files are closed by then.
    pub(super) fn kill(self) -> Result<(), Finding> {
        let pid = self.pid;
        std::mem::forget(self);
        works("kill of a process beside the check", end(pid))
    }
}

/// One that has begun, and may not have done its work yet.
pub(super) struct Beginning<T> {
    aside: Aside,
    said: OwnedFd,
    work: PhantomData<T>,
}

impl<T: DeserializeOwned> Beginning<T> {
    /// Waits for its word.
    pub(super) fn wait(self) -> Result<(Aside, T), Finding> {
        let mut said = Vec::new();
        let read = std::fs::File::from(self.said).take(64 << 10).read_to_end(&mut said);
        match read.ok().and_then(|_| postcard::from_bytes(&said).ok()) {
            Some(Word::Done(value)) => Ok((self.aside, value)),
            Some(Word::Contradicted { expected, came }) => Err(Finding::Contradicted { expected, came }),
            Some(Word::NotApplicable(reason)) => Err(Finding::NotApplicable(reason)),
            None => Err(Finding::new("the process beside the check to say how it went", "it died")),
        }
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        let _ = end(self.pid);
    }
}

fn end(pid: Pid) -> Result<(), Errno> {
    kill_process(pid, Signal::KILL)?;
    rustix::io::retry_on_intr(|| waitpid(Some(pid), WaitOptions::empty())).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_says_comes_through_and_it_can_be_killed() {
        let (aside, value) = Aside::start(|_| Ok((7u64, "seven".to_owned()))).unwrap();
        assert_eq!(value, (7, "seven".to_owned()));
        assert_eq!(aside.kill(), Ok(()));
        let finding = Finding::new("a", "b");
        assert_eq!(Aside::run::<()>(|| Err(Finding::new("a", "b"))), Err(finding));
    }

    #[test]
    fn one_that_dies_is_told_of() {
        // SAFETY: the process is a fork of the test's and has nothing to tidy up.
        let died = Aside::run::<()>(|| unsafe { libc::_exit(1) });
        assert!(matches!(died, Err(Finding::Contradicted { came, .. }) if came == "it died"));
    }
}
