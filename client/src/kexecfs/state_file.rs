//! The file `state` of an instance.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

use super::{Instance, read_from_start};
use crate::{Error, Event, Result, State, error::Name as _};

/// The machine's state as a file: read it, wait for it to change, write an event to it.
#[derive(Debug)]
pub struct StateFile<'a> {
    instance: &'a Instance,
    file: OwnedFd,
}

impl<'a> StateFile<'a> {
    pub(super) fn new(instance: &'a Instance, file: OwnedFd) -> Self {
        Self { instance, file }
    }

    /// Where the machine stands.
    ///
    /// # Errors
    /// EPROTO if the kernel has a state that this crate does not know.
    pub fn read(&self) -> Result<State> {
        let mut text = [0; 64];
        let length = read_from_start(&self.file, &mut text).of("read state")?;
        let word = std::str::from_utf8(&text[..length]).unwrap_or_default().trim_end();
        word.parse().map_err(|_| Error::new("read state", Errno::PROTO, format!("{word:?} is no state")))
    }

    /// Moves the machine.
    ///
    /// # Errors
    /// As the methods of [`Drive`](crate::Drive); EPERM if the instance's mounter had no `CAP_SYS_ADMIN`.
    pub fn write(&self, event: Event) -> Result<()> {
        match rustix::io::write(&self.file, event.word().as_bytes()) {
            Ok(_) => Ok(()),
            Err(errno) => Err(self.instance.explain("write to state", errno)),
        }
    }

    /// Waits until the state has changed since it was last read here; false if that took too long. `None`
    /// waits for ever. One that was never read has changed.
    ///
    /// # Errors
    /// EINTR is not one: the wait goes on.
    pub fn wait(&self, limit: Option<Duration>) -> Result<bool> {
        // A limit that no clock can reach is none.
        let until = limit.and_then(|limit| Instant::now().checked_add(limit));
        loop {
            let rest = until.map(|until| until.saturating_duration_since(Instant::now()));
            let rest = rest.and_then(|rest| Timespec::try_from(rest).ok());
            let mut wanted = [PollFd::new(&self.file, PollFlags::IN | PollFlags::PRI)];
            match poll(&mut wanted, rest.as_ref()) {
                Err(Errno::INTR) => {}
                other => return Ok(other.of("poll state")? > 0),
            }
        }
    }
}

/// For an event loop: readable when the state has changed since it was last read.
impl AsFd for StateFile<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_is_read_and_written_as_words() {
        let directory = tempfile::tempdir().unwrap();
        let place = |name| directory.path().join(name);
        std::fs::write(place("control"), "").unwrap();
        std::fs::write(place("state"), "prepared\n").unwrap();
        let instance = Instance::at(directory.path()).unwrap();
        let state = instance.state().unwrap();
        assert_eq!(state.read(), Ok(State::Prepared));
        assert_eq!(state.read(), Ok(State::Prepared), "the position does not matter");
        assert_eq!(state.wait(Some(Duration::ZERO)), Ok(true));
        state.write(Event::Cancel).unwrap();
        assert_eq!(std::fs::read_to_string(place("state")).unwrap(), "canceled\n");
        assert_eq!(state.read().unwrap_err().errno(), Errno::PROTO);
    }
}
