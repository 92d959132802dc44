// SPDX-License-Identifier: GPL-2.0

//! Reading a description that another kernel wrote.

use super::{crc::checksum, folio_pages, get, get_u32, get_u64, Extent, Phase, WireError};
use super::{AT_CRC, AT_PHASE, EXTENT_LEN, HEADER_LEN, KIND_MEMORY, MAGIC, OBJECT_LEN, VERSION};

/// A description that was found whole: reading on from here cannot fail.
#[derive(Clone, Copy, Debug)]
pub struct Blob<'a> {
    /// How far the writer had come.
    pub phase: Phase,
    /// The generation that wrote it.
    pub generation: u64,
    objects: u32,
    body: &'a [u8],
}

impl<'a> Blob<'a> {
    /// Reads and checks everything once. `bytes` may be longer than the description.
    pub fn parse(bytes: &'a [u8], page_shift: u32) -> Result<Self, WireError> {
        if get::<8>(bytes, 0)? != MAGIC {
            return Err(WireError::NotOurs);
        }
        let version = get_u32(bytes, 8)?;
        if version != VERSION {
            return Err(WireError::Version(version));
        }
        let len = usize::try_from(get_u64(bytes, 16)?).map_err(|_| WireError::Malformed)?;
        let whole = bytes.get(..len).ok_or(WireError::Truncated)?;
        let crc = get_u32(whole, AT_CRC)?;
        if checksum(whole) != crc {
            return Err(WireError::Checksum);
        }
        let phase = match get_u32(whole, AT_PHASE)? {
            1 => Phase::Prepared,
            2 => Phase::Frozen,
            _ => return Err(WireError::Malformed),
        };
        let fixed = get_u32(whole, 12)? as usize == HEADER_LEN
            && get_u32(whole, 40)? == page_shift
            && get::<16>(whole, 44)? == [0; 16];
        if !fixed || page_shift > 30 {
            return Err(WireError::Malformed);
        }
        let blob = Blob {
            phase,
            generation: get_u64(whole, 32)?,
            objects: get_u32(whole, 28)?,
            body: whole.get(HEADER_LEN..).ok_or(WireError::Truncated)?,
        };
        blob.check(page_shift)?;
        Ok(blob)
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.objects as usize
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.objects == 0
    }

    /// The objects, by ascending token.
    pub fn objects(&self) -> impl Iterator<Item = Object<'a>> + 'a {
        let mut rest = self.body;
        core::iter::from_fn(move || {
            let (object, after) = Object::split(rest).ok()?;
            rest = after;
            Some(object)
        })
    }

    fn check(&self, page_shift: u32) -> Result<(), WireError> {
        let mut rest = self.body;
        let mut last = 0;
        for _ in 0..self.objects {
            let (object, after) = Object::split(rest)?;
            if object.token <= last {
                return Err(WireError::Malformed);
            }
            last = object.token;
            let mut page = 0u64;
            for extent in object.extents() {
                page = page
                    .checked_add(extent.check(page)?)
                    .ok_or(WireError::Malformed)?;
            }
            if page != pages_of(object.size, page_shift) {
                return Err(WireError::Malformed);
            }
            rest = after;
        }
        if !rest.is_empty() {
            return Err(WireError::Malformed);
        }
        Ok(())
    }
}

/// Like `div_ceil`, and it cannot overflow.
fn pages_of(size: u64, page_shift: u32) -> u64 {
    let page = folio_pages(page_shift);
    let whole = size.checked_shr(page_shift).unwrap_or(0);
    let part = size & page.wrapping_sub(1) != 0;
    whole.saturating_add(u64::from(part))
}

/// One object of a description.
#[derive(Clone, Copy, Debug)]
pub struct Object<'a> {
    /// The token under which it is restored.
    pub token: u64,
    /// The size of the file in bytes.
    pub size: u64,
    extents: &'a [u8],
}

impl<'a> Object<'a> {
    fn split(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), WireError> {
        let kind = get_u32(bytes, 16)?;
        if kind != KIND_MEMORY || get_u64(bytes, 24)? != 0 {
            return Err(WireError::Malformed);
        }
        let extents = (get_u32(bytes, 20)? as usize).checked_mul(EXTENT_LEN);
        let rest = bytes.get(OBJECT_LEN..).ok_or(WireError::Truncated)?;
        let (extents, after) = extents
            .and_then(|len| rest.split_at_checked(len))
            .ok_or(WireError::Malformed)?;
        Ok((
            Object {
                token: get_u64(bytes, 0)?,
                size: get_u64(bytes, 8)?,
                extents,
            },
            after,
        ))
    }

    /// The extents, in the file's order.
    pub fn extents(&self) -> impl Iterator<Item = Extent> + 'a {
        let mut rest = self.extents;
        core::iter::from_fn(move || {
            let bytes = rest.get(..EXTENT_LEN)?;
            rest = rest.get(EXTENT_LEN..)?;
            Some(Extent {
                pfn: get_u64(bytes, 0).ok()?,
                folios: get_u32(bytes, 8).ok()?,
                order: get_u32(bytes, 12).ok()?,
            })
        })
    }
}
