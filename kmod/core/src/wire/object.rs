// SPDX-License-Identifier: GPL-2.0

//! The objects, without their attributes.

use super::{ensure, get_u32, get_u64, kind, WireError, MAX_NAME};

/// Through what a session was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Face {
    /// The open device.
    Device = 1,
    /// A session file.
    SessionFile = 2,
    /// An instance of kexecfs.
    Instance = 3,
}

/// Files that are preserved together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session<'a> {
    /// By which files name their session.
    pub id: u64,
    /// Through what it was used.
    pub face: Face,
    /// The uid of who made it.
    pub owner: u32,
    /// Its name, empty if it has none.
    pub name: &'a [u8],
}

/// A preserved file. What it is, its attributes tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct File<'a> {
    /// The token under which it is restored; zero if it has a name in an instance.
    pub token: u64,
    /// The session's id.
    pub session: u64,
    /// Who can restore it.
    pub compatible: &'a [u8],
}

/// What another module left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subsystem<'a> {
    /// Its own number.
    pub data: u64,
    /// Its name.
    pub name: &'a [u8],
}

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind<'a> {
    /// A session.
    Session(Session<'a>),
    /// A file.
    File(File<'a>),
    /// A subsystem.
    Subsystem(Subsystem<'a>),
    /// Something of a later version of this code; its kind.
    Unknown(u16),
}

impl<'a> Kind<'a> {
    pub(super) fn decode(kind: u16, payload: &'a [u8]) -> Result<Self, WireError> {
        match kind {
            kind::SESSION => {
                let session = Session {
                    id: get_u64(payload, 0)?,
                    face: match get_u32(payload, 8)? {
                        1 => Face::Device,
                        2 => Face::SessionFile,
                        3 => Face::Instance,
                        _ => return Err(WireError::Malformed),
                    },
                    owner: get_u32(payload, 12)?,
                    name: rest(payload, 16)?,
                };
                session.check().map(|()| Kind::Session(session))
            }
            kind::FILE => {
                let file = File {
                    token: get_u64(payload, 0)?,
                    session: get_u64(payload, 8)?,
                    compatible: rest(payload, 16)?,
                };
                file.check().map(|()| Kind::File(file))
            }
            kind::SUBSYSTEM => {
                let subsystem = Subsystem {
                    data: get_u64(payload, 0)?,
                    name: rest(payload, 8)?,
                };
                subsystem.check().map(|()| Kind::Subsystem(subsystem))
            }
            _ => Ok(Kind::Unknown(kind)),
        }
    }
}

impl Session<'_> {
    pub(super) fn check(&self) -> Result<(), WireError> {
        ensure(self.name.len() <= MAX_NAME && is_name(self.name))
    }
}

impl File<'_> {
    pub(super) fn check(&self) -> Result<(), WireError> {
        let len = self.compatible.len();
        ensure(len != 0 && len <= MAX_NAME && !self.compatible.contains(&0))
    }
}

impl Subsystem<'_> {
    pub(super) fn check(&self) -> Result<(), WireError> {
        let len = self.name.len();
        ensure(len != 0 && len <= MAX_NAME && is_name(self.name))
    }
}

pub(super) fn is_name(name: &[u8]) -> bool {
    !name.iter().any(|byte| matches!(byte, 0 | b'/'))
}

pub(super) fn rest(payload: &[u8], at: usize) -> Result<&[u8], WireError> {
    payload.get(at..).ok_or(WireError::Truncated)
}
