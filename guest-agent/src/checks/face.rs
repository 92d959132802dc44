//! Either face of the module as a program has it, with the same calls.

use std::{
    ops::Deref,
    os::fd::{AsFd as _, OwnedFd},
};

use liveupdate_client::{
    Control, Drive as _, Name, PageSize, Preserve as _, PreserveFlags, State, Token,
    kexecfs::{Builder, Instance},
};
use protocol::message::Interface;
use rustix::io::Errno;

use super::context::{Context, Finding, same, works};

/// The device, or the `control` of an instance: both take the same calls.
pub(super) struct Side {
    control: Control,
    /// None of the device.
    pub(super) instance: Option<Instance>,
}

impl Side {
    /// With nothing registered; an instance is a new one of this name.
    pub(super) fn fresh(context: &Context, name: &str) -> Result<Self, Finding> {
        Self::mounted(context, name, |builder| builder.size(16 << 20).fresh())
    }

    /// After an update; an instance is the one of this name that the previous kernel handed over.
    pub(super) fn retrieved(context: &Context, name: &str) -> Result<Self, Finding> {
        Self::mounted(context, name, Builder::retrieve)
    }

    fn mounted(context: &Context, name: &str, how: impl FnOnce(Builder) -> Builder) -> Result<Self, Finding> {
        let device = context.device()?;
        if context.face() != Interface::Kexecfs {
            return Ok(Self { control: Control::from_fd(OwnedFd::from(device))?, instance: None });
        }
        let instance = how(Instance::builder().name(name_of(name)?)).mount()?;
        Ok(Self { control: instance.control()?, instance: Some(instance) })
    }

    /// A file that is preserved, of `bytes` bytes, and its token; in an instance it has this name, and 0 for a token.
    pub(super) fn file(&self, name: &str, bytes: u64) -> Result<(OwnedFd, u64), Finding> {
        if let Some(instance) = &self.instance {
            return Ok((instance.create_allocated(name, bytes)?, 0));
        }
        let file = self.control.create_memory(bytes, PageSize::Any)?;
        let token = self.control.preserve(file.as_fd(), PreserveFlags::NONE)?;
        Ok((file, token.get()))
    }

    /// The file of this token, or of this name if that is 0.
    pub(super) fn found(&self, token: u64, name: &str) -> Result<OwnedFd, Finding> {
        Ok(match (&self.instance, Token::new(token)) {
            (Some(instance), None) => instance.open(name)?,
            (_, Some(token)) => self.control.restore(token)?,
            (None, None) => return Err(Finding::new("a token in the notes", "0")),
        })
    }

    /// Requires that the machine is in this state.
    pub(super) fn is(&self, state: State) -> Result<(), Finding> {
        same("the state", state, self.control.state()?)
    }

    /// Requires that PREPARE, FREEZE and CANCEL work, one after the other.
    pub(super) fn goes_round(&self) -> Result<(), Finding> {
        self.prepare()?;
        self.freeze()?;
        self.cancel()?;
        self.is(State::Normal)
    }
}

impl Deref for Side {
    type Target = Control;

    fn deref(&self) -> &Control {
        &self.control
    }
}

pub(super) fn name_of(name: &str) -> Result<Name, Finding> {
    Name::new(name).map_err(|error| Finding::new(format!("{name} to be a name"), error.to_string()))
}

/// Requires that a call of the client's is refused with this errno; gives the kernel's words.
pub(super) fn declined<T>(what: &str, with: Errno, result: liveupdate_client::Result<T>) -> Result<String, Finding> {
    let reason = result.as_ref().err().map(|error| error.reason().to_owned());
    super::context::refused(what, with, result.map_err(|error| error.errno()))?;
    Ok(reason.unwrap_or_default())
}

/// Bytes that look like no others.
pub(super) fn content(seed: u64, bytes: usize) -> Vec<u8> {
    (0..bytes as u64).map(|at| (seed.wrapping_add(at).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8).collect()
}

/// Requires that a file has these bytes, and no more.
pub(super) fn has_content(file: impl std::os::fd::AsFd, expected: &[u8]) -> Result<(), Finding> {
    let mut found = vec![0; expected.len() + 1];
    let mut read = 0;
    while read < found.len() {
        match works("read of a file", rustix::io::pread(&file, &mut found[read..], read as u64))? {
            0 => break,
            more => read += more,
        }
    }
    let first = found.iter().zip(expected).position(|(found, expected)| found != expected);
    let came = format!("{read} bytes, the first other one at {first:?}");
    super::context::holds(&format!("the {} bytes that were left", expected.len()), found[..read] == *expected, came)
}
