// SPDX-License-Identifier: GPL-2.0

//! Writing a description.

use super::Extent;
use super::{
    crc::checksum, put, Phase, WireError, AT_CRC, AT_PHASE, HEADER_LEN, KIND_MEMORY, MAGIC, VERSION,
};

/// Writes a description into a buffer that the caller has sized with [`length`](super::length).
pub struct Writer<'a> {
    buf: &'a mut [u8],
    at: usize,
    objects: u32,
    /// Where the object being written begins, and its extents so far.
    open: Option<(usize, u32)>,
}

impl<'a> Writer<'a> {
    /// Begins a description.
    pub fn new(buf: &'a mut [u8], generation: u64, page_shift: u32) -> Result<Self, WireError> {
        let mut writer = Writer {
            buf,
            at: 0,
            objects: 0,
            open: None,
        };
        writer.bytes(&MAGIC)?;
        writer.bytes(&VERSION.to_le_bytes())?;
        writer.bytes(&(HEADER_LEN as u32).to_le_bytes())?;
        writer.bytes(&[0; 16])?;
        writer.bytes(&generation.to_le_bytes())?;
        writer.bytes(&page_shift.to_le_bytes())?;
        writer.bytes(&[0; 20])?;
        Ok(writer)
    }

    /// Begins an object; its extents follow.
    pub fn object(&mut self, token: u64, size: u64) -> Result<(), WireError> {
        self.close_object()?;
        let start = self.at;
        self.bytes(&token.to_le_bytes())?;
        self.bytes(&size.to_le_bytes())?;
        self.bytes(&KIND_MEMORY.to_le_bytes())?;
        self.bytes(&[0; 12])?;
        self.open = Some((start, 0));
        self.objects = self.objects.checked_add(1).ok_or(WireError::Full)?;
        Ok(())
    }

    /// Adds an extent to the object begun last.
    pub fn extent(&mut self, extent: &Extent) -> Result<(), WireError> {
        let (start, extents) = self.open.ok_or(WireError::Malformed)?;
        self.bytes(&extent.pfn.to_le_bytes())?;
        self.bytes(&extent.folios.to_le_bytes())?;
        self.bytes(&extent.order.to_le_bytes())?;
        self.open = Some((start, extents.checked_add(1).ok_or(WireError::Full)?));
        Ok(())
    }

    /// Completes the description, in phase prepared; its length.
    pub fn finish(mut self) -> Result<usize, WireError> {
        self.close_object()?;
        let len = self.at;
        put(self.buf, 16, &(len as u64).to_le_bytes())?;
        put(self.buf, 28, &self.objects.to_le_bytes())?;
        let whole = self.buf.get_mut(..len).ok_or(WireError::Full)?;
        seal(whole, Phase::Prepared)?;
        Ok(len)
    }

    fn close_object(&mut self) -> Result<(), WireError> {
        if let Some((start, extents)) = self.open.take() {
            put(self.buf, start.saturating_add(20), &extents.to_le_bytes())?;
        }
        Ok(())
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        put(self.buf, self.at, bytes)?;
        self.at = self.at.saturating_add(bytes.len());
        Ok(())
    }
}

/// Sets the phase and the checksum of a complete description of exactly these bytes.
pub fn seal(whole: &mut [u8], phase: Phase) -> Result<(), WireError> {
    put(whole, AT_PHASE, &(phase as u32).to_le_bytes())?;
    put(whole, AT_CRC, &[0; 4])?;
    let crc = checksum(whole);
    put(whole, AT_CRC, &crc.to_le_bytes())
}
