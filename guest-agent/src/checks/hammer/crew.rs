//! Processes that begin together.

use std::{io::Read as _, os::fd::AsFd as _};

use rustix::{
    fd::OwnedFd,
    pipe::{PipeFlags, pipe_with},
    process::{Pid, WaitOptions, waitpid},
};

use crate::{
    checks::context::{Finding, works},
    frames::write_all,
};

/// How the work of one went.
type Word = Result<(), (String, String)>;

pub(super) struct Crew {
    gate: (OwnedFd, OwnedFd),
    members: Vec<Member>,
}

struct Member {
    role: String,
    pid: Pid,
    said: OwnedFd,
}

impl Crew {
    pub(super) fn new() -> Result<Self, Finding> {
        Ok(Self { gate: works("pipe2", pipe_with(PipeFlags::CLOEXEC))?, members: Vec::new() })
    }

    /// Forks one that waits for [`Crew::go`].
    pub(super) fn add(&mut self, role: &str, work: impl FnOnce() -> Result<(), Finding>) -> Result<(), Finding> {
        let (said, mouth) = works("pipe2", pipe_with(PipeFlags::CLOEXEC))?;
        // SAFETY: a check has one thread, so that the new process finds every lock as this one left it.
        match unsafe { libc::fork() } {
            -1 => Err(Finding::new("fork to work", std::io::Error::last_os_error().to_string())),
            0 => {
                // The others' end of the gate is closed when all have closed theirs. This process ends here, and
                // nothing is dropped that its parent has too.
                // SAFETY: the descriptor is not used any more in this process.
                unsafe { libc::close(std::os::fd::AsRawFd::as_raw_fd(&self.gate.1)) };
                let _ = rustix::io::read(&self.gate.0, &mut [0; 1]);
                let word: Word = work().map_err(|finding| match finding {
                    Finding::Contradicted { expected, came } => (format!("{role}: {expected}"), came),
                    Finding::NotApplicable(reason) => (format!("{role}: to apply"), reason),
                });
                let _ = write_all(mouth.as_fd(), &postcard::to_allocvec(&word).unwrap_or_default());
                // SAFETY: it ends the process and runs nothing of its parent's.
                unsafe { libc::_exit(0) }
            }
            pid => {
                let Some(pid) = Pid::from_raw(pid) else { return Err(Finding::new("a process id", pid.to_string())) };
                self.members.push(Member { role: role.to_owned(), pid, said });
                Ok(())
            }
        }
    }

    /// Lets all of them begin, and waits for all of them. The first finding counts.
    pub(super) fn go(self) -> Result<(), Finding> {
        let Self { gate, members } = self;
        drop(gate);
        let mut result = Ok(());
        for member in members {
            let mut said = Vec::new();
            let read = std::fs::File::from(member.said).read_to_end(&mut said);
            let ended = rustix::io::retry_on_intr(|| waitpid(Some(member.pid), WaitOptions::empty()));
            let word = read.ok().and_then(|_| postcard::from_bytes::<Word>(&said).ok());
            let judged = match word {
                Some(Ok(())) => Ok(()),
                Some(Err((expected, came))) => Err(Finding::new(expected, came)),
                None => Err(Finding::new(format!("{}: to come to its end", member.role), format!("{ended:?}"))),
            };
            result = result.and(judged);
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn all_begin_together_and_all_are_heard() {
        let mut crew = Crew::new().unwrap();
        let formed = Instant::now();
        for role in ["one", "two"] {
            crew.add(role, move || match formed.elapsed() > Duration::from_millis(30) {
                true => Ok(()),
                false => Err(Finding::new("to wait", "it did not")),
            })
            .unwrap();
        }
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(crew.go(), Ok(()));
        let mut crew = Crew::new().unwrap();
        crew.add("good", || Ok(())).unwrap();
        crew.add("bad", || Err(Finding::new("a", "b"))).unwrap();
        assert_eq!(crew.go(), Err(Finding::new("bad: a", "b")));
        let mut crew = Crew::new().unwrap();
        // SAFETY: the process is a fork of the test's and has nothing to tidy up.
        crew.add("dead", || unsafe { libc::_exit(3) }).unwrap();
        assert!(
            matches!(crew.go(), Err(Finding::Contradicted { expected, .. }) if expected == "dead: to come to its end")
        );
    }
}
