// SPDX-License-Identifier: GPL-2.0

//! What the previous kernel handed to this one.

use crate::{
    kho::{self, InBlob},
    memfile::{Folio, MemFile, PAGE_SHIFT},
    wire::{folio_pages, Blob, Object, Phase, WireError},
};
use kernel::prelude::*;

/// An object of the previous kernel, and how far its restoration has come. A failed one goes on
/// from there when it is tried again.
struct Inherited {
    object: Object<'static>,
    /// The file being restored.
    file: Option<MemFile>,
    /// How many of its pages are attached.
    page: u64,
    /// A folio that was taken over but not attached: it cannot be taken twice.
    spare: Option<Folio>,
    reclaimed: bool,
}

/// The objects of the previous kernel. What nobody restores stays reserved until
/// [`Incoming::finish`]; merely dropping this leaves it so until the next kexec.
pub(crate) struct Incoming {
    // Before `blob`, into which they point.
    objects: KVVec<Inherited>,
    blob: InBlob,
    /// The generation of the kernel that left it.
    pub(crate) generation: u64,
}

impl Incoming {
    /// Looks for a description and checks it. One that cannot be used is reported, and released
    /// as far as that is safe; only a lack of memory is an error.
    pub(crate) fn find() -> Result<Option<Self>> {
        let blob = match InBlob::find() {
            Ok(Some(blob)) => blob,
            Ok(None) => return Ok(None),
            Err(err) => {
                pr_err!("what the previous kernel left cannot be found: {:?}\n", err);
                return Ok(None);
            }
        };
        // SAFETY: The bytes stay where they are and do not change until `finish` releases the
        // blob, which it does after the last use of `objects`, where alone the borrow is kept.
        let bytes: &'static [u8] = unsafe { &*core::ptr::from_ref(blob.bytes()) };
        let parsed = match Blob::parse(bytes, PAGE_SHIFT) {
            Ok(parsed) => parsed,
            Err(WireError::Version(version)) => {
                // Nothing is released: a module that knows it may be loaded instead.
                pr_err!(
                    "the previous kernel left version {}, unknown here: ignored\n",
                    version
                );
                return Ok(None);
            }
            Err(err) => {
                pr_err!(
                    "what the previous kernel left is damaged ({}): ignored, its objects stay \
                     reserved until the next kexec\n",
                    err.name()
                );
                blob.release();
                return Ok(None);
            }
        };

        let mut objects = KVVec::with_capacity(parsed.len(), GFP_KERNEL)?;
        for object in parsed.objects() {
            let new = Inherited {
                object,
                file: None,
                page: 0,
                spare: None,
                reclaimed: false,
            };
            objects.push(new, GFP_KERNEL)?;
        }
        let this = Self {
            objects,
            blob,
            generation: parsed.generation,
        };
        if parsed.phase != Phase::Frozen {
            pr_err!("the previous kernel was not frozen: what it left is dropped\n");
            this.finish();
            return Ok(None);
        }
        Ok(Some(this))
    }

    /// How many objects there are, and how many of them are not restored.
    pub(crate) fn count(&self) -> (usize, usize) {
        let open = self.objects.iter().fold(0usize, |open, object| {
            open.saturating_add(usize::from(!object.reclaimed))
        });
        (self.objects.len(), open)
    }

    /// Whether the previous kernel used this token.
    pub(crate) fn knows(&self, token: u64) -> bool {
        self.objects
            .iter()
            .any(|inherited| inherited.object.token == token)
    }

    fn get(&mut self, token: u64) -> Option<&mut Inherited> {
        self.objects
            .iter_mut()
            .find(|inherited| inherited.object.token == token)
    }

    /// The file of this token, once. After an error it may be tried again.
    pub(crate) fn restore(&mut self, token: u64) -> Result<MemFile> {
        let inherited = self
            .get(token)
            .filter(|inherited| !inherited.reclaimed)
            .ok_or(ENOENT)?;
        inherited.advance()?;
        let file = inherited.file.take().ok_or(ENOENT)?;
        inherited.reclaimed = true;
        Ok(file)
    }

    /// Takes a restored file back that could not be delivered.
    pub(crate) fn put_back(&mut self, token: u64, file: MemFile) {
        if let Some(inherited) = self.get(token) {
            inherited.file = Some(file);
            inherited.reclaimed = false;
        }
    }

    /// Frees what was not restored, and the description; how many objects and pages that were.
    pub(crate) fn finish(self) -> (u32, u64) {
        let Self { objects, blob, .. } = self;
        let mut freed = (0u32, 0u64);
        for inherited in objects {
            if !inherited.reclaimed {
                freed.0 = freed.0.saturating_add(1);
                freed.1 = freed.1.saturating_add(inherited.free());
            }
        }
        blob.release();
        freed
    }
}

impl Inherited {
    /// Takes over and attaches what is missing.
    fn advance(&mut self) -> Result {
        let file = match self.file.take() {
            Some(file) => file,
            None => MemFile::empty(self.object.size)?,
        };
        let file = self.file.insert(file);
        for (pfn, order) in folios_from(&self.object, self.page) {
            kho::interruption_point()?;
            let folio = match self.spare.take() {
                Some(folio) => folio,
                None => {
                    kho::fallible_step()?;
                    kho::take(pfn, order)?
                }
            };
            match file.attach(self.page, folio) {
                Ok(pages) => self.page = self.page.saturating_add(pages),
                Err((err, folio)) => {
                    self.spare = Some(folio);
                    return Err(err);
                }
            }
        }
        Ok(())
    }

    /// Frees all of it, what is attached and what never was; how many pages are free again.
    fn free(self) -> u64 {
        let mut from = self.page;
        let mut pages = self.page;
        if let Some(folio) = &self.spare {
            from = from.saturating_add(folio.pages());
            pages = from;
        }
        for (pfn, order) in folios_from(&self.object, from) {
            // Dropping the folio frees it. One that is not there is no reason to keep the others.
            if kho::take(pfn, order).is_ok() {
                pages = pages.saturating_add(folio_pages(order));
            }
        }
        pages
    }
}

/// The folios of an object from this page on, which begins one of them.
fn folios_from(object: &Object<'static>, page: u64) -> impl Iterator<Item = (u64, u32)> {
    let mut at = 0u64;
    object.extents().flat_map(move |extent| {
        let begin = at;
        at = at.saturating_add(extent.pages().unwrap_or(0));
        let skip = page
            .saturating_sub(begin)
            .wrapping_shr(extent.order)
            .min(u64::from(extent.folios));
        (skip..u64::from(extent.folios)).map(move |i| {
            (
                extent.pfn.saturating_add(i.wrapping_shl(extent.order)),
                extent.order,
            )
        })
    })
}
