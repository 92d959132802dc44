// SPDX-License-Identifier: GPL-2.0

//! Reading a body that another kernel wrote.

use super::{crc::checksum, ensure, get_u16, get_u32, kind, padding, Crc, Root, WireError};
use super::{Eventfd, Inode, Instance, Kind, Memfd, Pages, RECORD_LEN, REQUIRED};

#[derive(Clone, Copy, Debug)]
struct Record<'a> {
    kind: u16,
    required: bool,
    payload: &'a [u8],
}

impl<'a> Record<'a> {
    /// The first record of these bytes, and what is after it.
    fn split(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), WireError> {
        let (kind, flags) = (get_u16(bytes, 0)?, get_u16(bytes, 2)?);
        let len = usize::try_from(get_u32(bytes, 4)?).map_err(|_| WireError::Malformed)?;
        ensure(kind != 0 && flags & !REQUIRED == 0)?;
        let rest = bytes.get(RECORD_LEN..).ok_or(WireError::Truncated)?;
        let (payload, rest) = rest.split_at_checked(len).ok_or(WireError::Truncated)?;
        let (zeros, after) = rest
            .split_at_checked(padding(len))
            .ok_or(WireError::Truncated)?;
        ensure(zeros.iter().all(|zero| *zero == 0))?;
        Ok((
            Record {
                kind,
                required: flags & REQUIRED != 0,
                payload,
            },
            after,
        ))
    }

    /// Whether this is an attribute that this code knows; if so, it is well-formed.
    fn check_attribute(&self, page_shift: u32) -> Result<bool, WireError> {
        match self.kind {
            kind::PAGES => Pages::decode(self.payload)?.check(page_shift)?,
            kind::INODE => Inode::decode(self.payload).map(|_| ())?,
            kind::MEMFD => Memfd::decode(self.payload).map(|_| ())?,
            kind::EVENTFD => Eventfd::decode(self.payload).map(|_| ())?,
            kind::INSTANCE => Instance::decode(self.payload).map(|_| ())?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// The attributes that an object may have once, as far as it has them.
#[derive(Default)]
pub(super) struct Once(u32);

impl Once {
    /// Takes a known attribute.
    pub(super) fn add(&mut self, attribute: u16) -> Result<(), WireError> {
        let place = u32::from(attribute.wrapping_sub(kind::ATTRIBUTES));
        let bit = 1u32.checked_shl(place).ok_or(WireError::Malformed)?;
        ensure(self.0 & bit == 0)?;
        self.0 |= bit;
        Ok(())
    }
}

/// A body that was found whole: reading on from here cannot fail.
#[derive(Clone, Copy, Debug)]
pub struct Body<'a> {
    bytes: &'a [u8],
}

impl<'a> Body<'a> {
    /// Reads and checks everything once. `bytes` is the memory of the root's pieces.
    pub fn parse(bytes: &'a [u8], root: &Root<'_>, crc: Crc) -> Result<Self, WireError> {
        let bytes = bytes.get(..root.body_len).ok_or(WireError::Truncated)?;
        if checksum(crc, bytes) != root.body_crc {
            return Err(WireError::Checksum);
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            let (object, after) = Object::split(rest)?;
            object.check(root.page_shift)?;
            rest = after;
        }
        Ok(Body { bytes })
    }

    /// The objects, in the order in which they were written.
    pub fn objects(self) -> impl Iterator<Item = Object<'a>> + 'a {
        let mut rest = self.bytes;
        core::iter::from_fn(move || {
            let (object, after) = Object::split(rest).ok()?;
            rest = after;
            Some(object)
        })
    }
}

/// One object of a description.
#[derive(Clone, Copy, Debug)]
pub struct Object<'a> {
    /// What it is.
    pub kind: Kind<'a>,
    /// All of its records.
    pub(super) whole: &'a [u8],
    required: bool,
    attributes: &'a [u8],
}

impl<'a> Object<'a> {
    /// The first object of these bytes, and what is after it.
    fn split(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), WireError> {
        let (head, after_head) = Record::split(bytes)?;
        ensure(head.kind < kind::ATTRIBUTES)?;
        let mut rest = after_head;
        while !rest.is_empty() {
            let (record, after) = Record::split(rest)?;
            if record.kind < kind::ATTRIBUTES {
                break;
            }
            rest = after;
        }
        let len = after_head.len().saturating_sub(rest.len());
        let whole = bytes.len().saturating_sub(rest.len());
        let object = Object {
            whole: bytes.get(..whole).ok_or(WireError::Malformed)?,
            kind: Kind::decode(head.kind, head.payload)?,
            required: head.required,
            attributes: after_head.get(..len).ok_or(WireError::Malformed)?,
        };
        Ok((object, rest))
    }

    fn check(&self, page_shift: u32) -> Result<(), WireError> {
        let mut once = Once::default();
        for record in self.records() {
            if record.check_attribute(page_shift)? {
                once.add(record.kind)?;
            }
        }
        Ok(())
    }

    fn records(&self) -> impl Iterator<Item = Record<'a>> + 'a {
        let mut rest = self.attributes;
        core::iter::from_fn(move || {
            let (record, after) = Record::split(rest).ok()?;
            rest = after;
            Some(record)
        })
    }

    fn payload(&self, attribute: u16) -> Option<&'a [u8]> {
        self.records()
            .find(|record| record.kind == attribute)
            .map(|record| record.payload)
    }

    /// The kind of record because of which this object must not be restored, as this code does
    /// not know what it means. Its pages can be released nevertheless.
    pub fn refused(&self) -> Option<u16> {
        match self.kind {
            Kind::Unknown(kind) if self.required => Some(kind),
            _ => self
                .records()
                .find(|record| record.required && !is_known(record.kind))
                .map(|record| record.kind),
        }
    }

    /// Where its contents are.
    pub fn pages(&self) -> Option<Pages<'a>> {
        Pages::decode(self.payload(kind::PAGES)?).ok()
    }

    /// Its name and attributes in an instance.
    pub fn inode(&self) -> Option<Inode<'a>> {
        Inode::decode(self.payload(kind::INODE)?).ok()
    }

    /// What else it has as a memfd.
    pub fn memfd(&self) -> Option<Memfd> {
        Memfd::decode(self.payload(kind::MEMFD)?).ok()
    }

    /// What it has as an eventfd.
    pub fn eventfd(&self) -> Option<Eventfd> {
        Eventfd::decode(self.payload(kind::EVENTFD)?).ok()
    }

    /// How it was mounted.
    pub fn instance(&self) -> Option<Instance> {
        Instance::decode(self.payload(kind::INSTANCE)?).ok()
    }
}

/// Whether this is an attribute that this code knows.
fn is_known(attribute: u16) -> bool {
    (kind::PAGES..=kind::INSTANCE).contains(&attribute)
}
