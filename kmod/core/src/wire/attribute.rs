// SPDX-License-Identifier: GPL-2.0

//! What objects have, but for their pages.

use super::object::{is_name, rest};
use super::{ensure, get, get_i64, get_u32, get_u64, WireError, MAX_FILE_NAME};

/// A file's name and attributes in an instance of kexecfs. Times are seconds and nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inode<'a> {
    /// Its type and permissions.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Last access.
    pub atime: i64,
    /// Last change of the contents.
    pub mtime: i64,
    /// Last change of the attributes.
    pub ctime: i64,
    /// Nanoseconds of `atime`.
    pub atime_nsec: u32,
    /// Nanoseconds of `mtime`.
    pub mtime_nsec: u32,
    /// Nanoseconds of `ctime`.
    pub ctime_nsec: u32,
    /// Its name.
    pub name: &'a [u8],
}

/// What a memfd has besides its pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memfd {
    /// The position of the open file.
    pub pos: u64,
    /// `F_SEAL_*`.
    pub seals: u32,
    /// `O_*` of the open file.
    pub flags: u32,
    /// Mode of the inode, with the file's type.
    pub mode: u32,
}

/// An eventfd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Eventfd {
    /// Its counter.
    pub count: u64,
    /// `EFD_SEMAPHORE` and `O_NONBLOCK`.
    pub flags: u32,
}

/// How an instance of kexecfs was mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instance {
    /// How many bytes its files may have.
    pub limit: u64,
    /// Its policy of huge pages.
    pub huge: u32,
    /// The mode of its root directory.
    pub mode: u32,
    /// The owner of its root directory.
    pub uid: u32,
    /// The group of its root directory.
    pub gid: u32,
    /// The second secret.
    pub key: Option<[u8; 16]>,
}

impl<'a> Inode<'a> {
    pub(super) fn decode(payload: &'a [u8]) -> Result<Self, WireError> {
        ensure(get_u32(payload, 12)? == 0 && get_u32(payload, 52)? == 0)?;
        let inode = Inode {
            mode: get_u32(payload, 0)?,
            uid: get_u32(payload, 4)?,
            gid: get_u32(payload, 8)?,
            atime: get_i64(payload, 16)?,
            mtime: get_i64(payload, 24)?,
            ctime: get_i64(payload, 32)?,
            atime_nsec: get_u32(payload, 40)?,
            mtime_nsec: get_u32(payload, 44)?,
            ctime_nsec: get_u32(payload, 48)?,
            name: rest(payload, 56)?,
        };
        inode.check().map(|()| inode)
    }

    pub(super) fn check(&self) -> Result<(), WireError> {
        const SECOND: u32 = 1_000_000_000;
        ensure(
            [self.atime_nsec, self.mtime_nsec, self.ctime_nsec]
                .iter()
                .all(|n| *n < SECOND),
        )?;
        ensure(self.name.len() <= MAX_FILE_NAME && is_name(self.name))?;
        ensure(!matches!(self.name, b"" | b"." | b".."))
    }
}

impl Memfd {
    pub(super) fn decode(payload: &[u8]) -> Result<Self, WireError> {
        ensure(payload.len() == 24 && get_u32(payload, 20)? == 0)?;
        Ok(Memfd {
            pos: get_u64(payload, 0)?,
            seals: get_u32(payload, 8)?,
            flags: get_u32(payload, 12)?,
            mode: get_u32(payload, 16)?,
        })
    }
}

impl Eventfd {
    pub(super) fn decode(payload: &[u8]) -> Result<Self, WireError> {
        ensure(payload.len() == 16 && get_u32(payload, 12)? == 0)?;
        Ok(Eventfd {
            count: get_u64(payload, 0)?,
            flags: get_u32(payload, 8)?,
        })
    }
}

impl Instance {
    pub(super) fn decode(payload: &[u8]) -> Result<Self, WireError> {
        ensure(payload.len() == 48 && get_u32(payload, 28)? == 0)?;
        let key = get::<16>(payload, 32)?;
        let key = match get_u32(payload, 24)? {
            0 if key == [0; 16] => None,
            1 => Some(key),
            _ => return Err(WireError::Malformed),
        };
        Ok(Instance {
            limit: get_u64(payload, 0)?,
            huge: get_u32(payload, 8)?,
            mode: get_u32(payload, 12)?,
            uid: get_u32(payload, 16)?,
            gid: get_u32(payload, 20)?,
            key,
        })
    }
}
