//! A seat at the orchestrator, whichever face it is asked of: the calls are the same on both.

use liveupdate_client::{Control, Drive as _, Error, Name, PageSize, Preserve as _, State, kexecfs::Instance};
use protocol::message;
use rustix::{fd::OwnedFd, io::Errno};

use super::context::{Context, Finding, holds, refused, same, works};
use crate::frames::write_all;

impl Context {
    /// The open device, or the `control` of the instance of this name, which is made or retrieved. Its last
    /// descriptor is the instance's.
    pub(super) fn seat(&self, name: &str) -> Result<Control, Finding> {
        drop(self.device()?);
        Ok(self.try_seat(name)?)
    }

    /// The same, for who wants to see it refused. The module is loaded.
    pub(super) fn try_seat(&self, name: &str) -> Result<Control, Error> {
        match self.face() {
            message::Interface::Kexecfs => Instance::builder().name(called(name)).mount()?.control(),
            _ => Control::from_fd(liveupdate_client::Device::open()?.into()),
        }
    }

    /// Whether the calls are made to an instance's `control`.
    pub(super) fn on_instance(&self) -> bool {
        self.face() == message::Interface::Kexecfs
    }
}

/// A name that stands in a check.
pub(super) const fn called(name: &str) -> Name {
    match Name::new(name) {
        Ok(name) => name,
        Err(_) => panic!("not a name"),
    }
}

/// A new session file, to be used as any seat.
pub(super) fn session(by: &Control, name: &str) -> Result<Control, Error> {
    Control::from_fd(by.create_session(&called(name))?.into())
}

/// That of a session of the previous kernel's.
pub(super) fn retrieved(by: &Control, name: &str) -> Result<Control, Error> {
    Control::from_fd(by.retrieve_session(&called(name))?.into())
}

/// A memory file, filled with words that follow from the seed.
pub(super) fn filled(by: &Control, bytes: usize, pages: PageSize, seed: u64) -> Result<OwnedFd, Finding> {
    let file = by.create_memory(bytes as u64, pages)?;
    works("write to a memory file", write_all(&file, &content(seed, bytes)))?;
    Ok(file)
}

/// Bytes that follow from the seed and differ from page to page.
pub(super) fn content(seed: u64, bytes: usize) -> Vec<u8> {
    let word = |at: u64| seed.wrapping_add(at).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29) ^ at;
    let mut content: Vec<u8> = (0..bytes.div_ceil(8) as u64).flat_map(|at| word(at).to_le_bytes()).collect();
    content.truncate(bytes);
    content
}

/// Requires that a file holds those bytes and no more.
pub(super) fn has(file: &OwnedFd, bytes: usize, seed: u64) -> Result<(), Finding> {
    let mut found = vec![0; bytes + 1];
    let mut done = 0;
    while done < found.len() {
        match works("read of a restored file", rustix::io::pread(file, &mut found[done..], done as u64))? {
            0 => break,
            read => done += read,
        }
    }
    same("the length of the restored file", bytes, done)?;
    holds("the bytes that were left", found[..bytes] == content(seed, bytes), "others")
}

/// As [`refused`], of a call of the module's.
pub(super) fn denied<T>(what: &str, with: Errno, result: Result<T, Error>) -> Result<(), Finding> {
    refused(what, with, result.map_err(|error| error.errno()))
}

/// Requires a state of the machine.
pub(super) fn in_state(seat: &Control, state: State) -> Result<(), Finding> {
    same("the state", state, seat.state()?)
}

/// Descriptors that this process has open.
pub(super) fn descriptors() -> Result<usize, Finding> {
    let list = std::fs::read_dir("/proc/self/fd");
    list.map(Iterator::count).map_err(|error| Finding::new("/proc/self/fd to be read", error.to_string()))
}
