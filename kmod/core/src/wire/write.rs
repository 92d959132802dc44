// SPDX-License-Identifier: GPL-2.0

//! Writing a body.

use super::pages::Layout;
use super::read::{object_checksum, Object, Once};
use super::{ensure, kind, padding, put, Crc, WireError};
use super::{Eventfd, Extent, File, Inode, Instance, Memfd, Session, Subsystem};
use super::{AT_OBJECT_CRC, AT_OBJECT_LEN, EXTENT_LEN, OBJECT_HEAD, REQUIRED};

/// Where a [`BodyWriter`] writes: the same code first measures and then writes.
pub trait Sink {
    /// Takes the next so many bytes, and says where they are to be written if they are.
    fn room(&mut self, len: usize) -> Result<Option<&mut [u8]>, WireError>;

    /// The offset of the next byte.
    fn position(&self) -> usize;

    /// What was written from this offset on, if it was.
    fn since(&mut self, at: usize) -> Option<&mut [u8]>;

    /// Takes the next bytes.
    fn put(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        match self.room(bytes.len())? {
            Some(room) => put(room, 0, bytes),
            None => Ok(()),
        }
    }
}

/// Counts bytes.
#[derive(Default)]
pub struct Measure {
    length: usize,
}

impl Measure {
    /// How many there were.
    pub fn length(&self) -> usize {
        self.length
    }
}

impl Sink for Measure {
    fn room(&mut self, len: usize) -> Result<Option<&mut [u8]>, WireError> {
        self.length = self.length.checked_add(len).ok_or(WireError::Full)?;
        Ok(None)
    }

    fn position(&self) -> usize {
        self.length
    }

    fn since(&mut self, _at: usize) -> Option<&mut [u8]> {
        None
    }
}

/// Writes into a buffer.
pub struct Slice<'a> {
    buf: &'a mut [u8],
    at: usize,
}

impl<'a> Slice<'a> {
    /// Begins at this offset.
    pub fn new(buf: &'a mut [u8], at: usize) -> Self {
        Slice { buf, at }
    }
}

impl Sink for Slice<'_> {
    fn room(&mut self, len: usize) -> Result<Option<&mut [u8]>, WireError> {
        let end = self.at.checked_add(len).ok_or(WireError::Full)?;
        let room = self.buf.get_mut(self.at..end).ok_or(WireError::Full)?;
        self.at = end;
        Ok(Some(room))
    }

    fn position(&self) -> usize {
        self.at
    }

    fn since(&mut self, at: usize) -> Option<&mut [u8]> {
        self.buf.get_mut(at..self.at)
    }
}

/// Writes objects, each followed by its attributes. What it writes without an error is a valid
/// body, or a part of one that begins with an object; after an error it is neither.
pub struct BodyWriter<'a> {
    sink: &'a mut dyn Sink,
    page_shift: u32,
    crc: Crc,
    /// Where the object begun last begins.
    object: Option<usize>,
    /// The attributes of the object begun last.
    once: Option<Once>,
    /// The pages begun last, and how many extents they still lack.
    open: Option<(Layout, usize)>,
}

impl<'a> BodyWriter<'a> {
    /// Begins with an object.
    pub fn new(sink: &'a mut dyn Sink, page_shift: u32, crc: Crc) -> Self {
        BodyWriter {
            sink,
            page_shift,
            crc,
            object: None,
            once: None,
            open: None,
        }
    }

    /// Begins a session.
    pub fn session(&mut self, session: &Session<'_>) -> Result<(), WireError> {
        session.check()?;
        let (face, owner) = (
            (session.face as u32).to_le_bytes(),
            session.owner.to_le_bytes(),
        );
        self.record(
            kind::SESSION,
            &[&session.id.to_le_bytes(), &face, &owner, session.name],
        )
    }

    /// Begins a file.
    pub fn file(&mut self, file: &File<'_>) -> Result<(), WireError> {
        file.check()?;
        let (token, session) = (file.token.to_le_bytes(), file.session.to_le_bytes());
        self.record(kind::FILE, &[&token, &session, file.compatible])
    }

    /// Begins a subsystem.
    pub fn subsystem(&mut self, subsystem: &Subsystem<'_>) -> Result<(), WireError> {
        subsystem.check()?;
        self.record(
            kind::SUBSYSTEM,
            &[&subsystem.data.to_le_bytes(), subsystem.name],
        )
    }

    /// Adds the size of a file and begins its extents, exactly so many.
    pub fn pages(&mut self, size: u64, extents: usize) -> Result<(), WireError> {
        let layout = Layout::new(size, self.page_shift)?;
        let len = extents
            .checked_mul(EXTENT_LEN)
            .and_then(|len| len.checked_add(8));
        self.begin(kind::PAGES, true, len.ok_or(WireError::Full)?)?;
        self.sink.put(&size.to_le_bytes())?;
        self.open = Some((layout, extents));
        Ok(())
    }

    /// Adds the next extent of the pages begun last.
    pub fn extent(&mut self, extent: &Extent) -> Result<(), WireError> {
        let (layout, left) = self.open.as_mut().ok_or(WireError::Malformed)?;
        *left = left.checked_sub(1).ok_or(WireError::Malformed)?;
        layout.add(extent)?;
        let mut bytes = [0; EXTENT_LEN];
        extent.encode(&mut bytes)?;
        self.sink.put(&bytes)
    }

    /// Adds the size of a file and all its extents. They are checked when they are written, not
    /// when they are measured.
    pub fn all_pages(&mut self, size: u64, extents: &[Extent]) -> Result<(), WireError> {
        self.pages(size, extents.len())?;
        self.open = None;
        let room = self.sink.room(extents.len().saturating_mul(EXTENT_LEN))?;
        let mut layout = Layout::new(size, self.page_shift)?;
        for (bytes, extent) in room
            .into_iter()
            .flat_map(|room| room.chunks_exact_mut(EXTENT_LEN))
            .zip(extents)
        {
            layout.add(extent)?;
            extent.encode(bytes)?;
        }
        Ok(())
    }

    /// Adds a name and attributes in an instance.
    pub fn inode(&mut self, inode: &Inode<'_>) -> Result<(), WireError> {
        inode.check()?;
        self.record(
            kind::INODE,
            &[
                &inode.mode.to_le_bytes(),
                &inode.uid.to_le_bytes(),
                &inode.gid.to_le_bytes(),
                &[0; 4],
                &inode.atime.to_le_bytes(),
                &inode.mtime.to_le_bytes(),
                &inode.ctime.to_le_bytes(),
                &inode.atime_nsec.to_le_bytes(),
                &inode.mtime_nsec.to_le_bytes(),
                &inode.ctime_nsec.to_le_bytes(),
                &[0; 4],
                inode.name,
            ],
        )
    }

    /// Adds what else a memfd has.
    pub fn memfd(&mut self, memfd: &Memfd) -> Result<(), WireError> {
        self.record(
            kind::MEMFD,
            &[
                &memfd.pos.to_le_bytes(),
                &memfd.seals.to_le_bytes(),
                &memfd.flags.to_le_bytes(),
                &memfd.mode.to_le_bytes(),
                &[0; 4],
            ],
        )
    }

    /// Adds what an eventfd has.
    pub fn eventfd(&mut self, eventfd: &Eventfd) -> Result<(), WireError> {
        let (count, flags) = (eventfd.count.to_le_bytes(), eventfd.flags.to_le_bytes());
        self.record(kind::EVENTFD, &[&count, &flags, &[0; 4]])
    }

    /// Adds how an instance was mounted.
    pub fn instance(&mut self, instance: &Instance) -> Result<(), WireError> {
        self.record(
            kind::INSTANCE,
            &[
                &instance.limit.to_le_bytes(),
                &instance.huge.to_le_bytes(),
                &instance.mode.to_le_bytes(),
                &instance.uid.to_le_bytes(),
                &instance.gid.to_le_bytes(),
                &u32::from(instance.key.is_some()).to_le_bytes(),
                &[0; 4],
                &instance.key.unwrap_or_default(),
            ],
        )
    }

    /// Adds a record of a kind that this code does not know, as a later version might.
    pub fn unknown(&mut self, kind: u16, required: bool, payload: &[u8]) -> Result<(), WireError> {
        let object = matches!(kind, kind::SESSION..=kind::SUBSYSTEM);
        ensure(!object && !matches!(kind, kind::PAGES..=kind::INSTANCE))?;
        self.begin(kind, required, payload.len())?;
        self.sink.put(payload)?;
        self.pad(payload.len())
    }

    /// Ends the last object, and makes sure that nothing is missing.
    pub fn finish(mut self) -> Result<(), WireError> {
        self.end_object()
    }

    /// Writes an object that was read as it was read, what this code does not know included.
    pub fn again(&mut self, object: &Object<'_>) -> Result<(), WireError> {
        self.end_object()?;
        self.once = None;
        self.sink.put(object.whole)
    }

    fn record(&mut self, kind: u16, fields: &[&[u8]]) -> Result<(), WireError> {
        let len = fields
            .iter()
            .fold(0usize, |len, field| len.saturating_add(field.len()));
        self.begin(kind, true, len)?;
        fields.iter().try_for_each(|field| self.sink.put(field))?;
        self.pad(len)
    }

    /// Writes the header of a record, if it can be in this place.
    fn begin(&mut self, kind: u16, required: bool, len: usize) -> Result<(), WireError> {
        ensure(kind != 0)?;
        let is_object = kind < kind::ATTRIBUTES;
        if is_object {
            self.end_object()?;
            self.object = Some(self.sink.position());
            self.once = Some(Once::default());
        } else {
            self.check_closed()?;
            let once = self.once.as_mut().ok_or(WireError::Malformed)?;
            if kind <= kind::INSTANCE {
                once.add(kind)?;
            }
        }
        let len = u32::try_from(len).map_err(|_| WireError::Full)?;
        let flags = if required { REQUIRED } else { 0 };
        self.sink.put(&kind.to_le_bytes())?;
        self.sink.put(&flags.to_le_bytes())?;
        self.sink.put(&len.to_le_bytes())?;
        if is_object {
            self.sink.put(&[0; OBJECT_HEAD - AT_OBJECT_LEN])?;
        }
        Ok(())
    }

    /// Puts length and checksum into the header of the object begun last.
    fn end_object(&mut self) -> Result<(), WireError> {
        self.check_closed()?;
        self.open = None;
        let begun = self.object.take();
        match begun.and_then(|begun| self.sink.since(begun)) {
            Some(object) => fit_object(object, self.crc),
            None => Ok(()),
        }
    }

    fn pad(&mut self, len: usize) -> Result<(), WireError> {
        self.sink.put([0; 8].get(..padding(len)).unwrap_or(&[]))
    }

    fn check_closed(&self) -> Result<(), WireError> {
        ensure(!matches!(self.open, Some((_, left)) if left != 0))
    }
}

/// Makes length and checksum those of exactly this object.
pub(super) fn fit_object(object: &mut [u8], crc: Crc) -> Result<(), WireError> {
    let len = u32::try_from(object.len()).map_err(|_| WireError::Full)?;
    put(object, AT_OBJECT_LEN, &len.to_le_bytes())?;
    let sum = object_checksum(object, crc)?;
    put(object, AT_OBJECT_CRC, &sum.to_le_bytes())
}
