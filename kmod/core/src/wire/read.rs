// SPDX-License-Identifier: GPL-2.0

//! Reading a body that another kernel wrote.

use super::{ensure, get_u16, get_u32, kind, padding, Crc, Root, WireError, VERSION};
use super::{Eventfd, Inode, Instance, Kind, Memfd, Pages};
use super::{ATTRIBUTE_HEAD, AT_OBJECT_CRC, AT_OBJECT_LEN, OBJECT_HEAD, REQUIRED};

/// The part that the headers of objects and attributes share, and the payload behind it.
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
        let head = if kind < kind::ATTRIBUTES {
            OBJECT_HEAD
        } else {
            ATTRIBUTE_HEAD
        };
        let rest = bytes.get(head..).ok_or(WireError::Truncated)?;
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

    /// The first record, if it is an attribute.
    fn split_attribute(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), WireError> {
        let (record, after) = Record::split(bytes)?;
        ensure(record.kind >= kind::ATTRIBUTES)?;
        Ok((record, after))
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
        if root.version != VERSION {
            return Err(WireError::Version(root.version));
        }
        let bytes = bytes.get(..root.body_len).ok_or(WireError::Truncated)?;
        let mut rest = bytes;
        while !rest.is_empty() {
            let (object, after) = Object::sound(rest, root.page_shift, crc)?;
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
        let len = length_by_header(bytes)?;
        let (whole, after) = bytes.split_at_checked(len).ok_or(WireError::Truncated)?;
        let (head, attributes) = Record::split(whole)?;
        ensure(head.kind < kind::ATTRIBUTES)?;
        let object = Object {
            kind: Kind::decode(head.kind, head.payload)?,
            whole,
            required: head.required,
            attributes,
        };
        Ok((object, after))
    }

    /// The same, if it is as it was written, and all that a release relies on is well-formed.
    pub(super) fn sound(
        bytes: &'a [u8],
        page_shift: u32,
        crc: Crc,
    ) -> Result<(Self, &'a [u8]), WireError> {
        let len = length_by_header(bytes)?;
        let whole = bytes.get(..len).ok_or(WireError::Truncated)?;
        if object_checksum(whole, crc)? != get_u32(whole, AT_OBJECT_CRC)? {
            return Err(WireError::Checksum);
        }
        let (object, after) = Object::split(bytes)?;
        let mut rest = object.attributes;
        while !rest.is_empty() {
            let (record, after) = Record::split_attribute(rest)?;
            if record.kind == kind::PAGES {
                Pages::decode(record.payload)?.check(page_shift)?;
            }
            rest = after;
        }
        Ok((object, after))
    }

    /// What this version of the code relies on besides.
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

/// The length of the object that these bytes begin with, as its header has it.
pub(super) fn length_by_header(bytes: &[u8]) -> Result<usize, WireError> {
    let len = get_u32(bytes, AT_OBJECT_LEN)?;
    let len = usize::try_from(len).map_err(|_| WireError::Malformed)?;
    ensure(len >= OBJECT_HEAD && len & 7 == 0)?;
    Ok(len)
}

/// The same as its records have it.
pub(super) fn length_by_records(bytes: &[u8]) -> Result<usize, WireError> {
    let (_, mut rest) = Record::split(bytes)?;
    while let Ok((_, after)) = Record::split_attribute(rest) {
        rest = after;
    }
    Ok(bytes.len().saturating_sub(rest.len()))
}

/// The checksum of exactly this object, its own field taken as zero.
pub(super) fn object_checksum(whole: &[u8], crc: Crc) -> Result<u32, WireError> {
    let before = whole.get(..AT_OBJECT_CRC).ok_or(WireError::Truncated)?;
    let after = whole.get(OBJECT_HEAD..).ok_or(WireError::Truncated)?;
    Ok(!crc(
        crc(crc(!0, before), &[0; OBJECT_HEAD - AT_OBJECT_CRC]),
        after,
    ))
}

/// Whether this is an attribute that this code knows.
fn is_known(attribute: u16) -> bool {
    (kind::PAGES..=kind::INSTANCE).contains(&attribute)
}
