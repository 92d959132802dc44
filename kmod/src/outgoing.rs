// SPDX-License-Identifier: GPL-2.0

//! What a prepared machine hands to the next kernel.

use crate::{
    kho::{fallible_step, OutBlob, Preserved},
    machine::Registration,
    memfile::PAGE_SHIFT,
    wire::{self, Extent, Joiner, Phase, WireError, Writer},
};
use kernel::prelude::*;

/// Preserved files and the published description of them. Dropping it undoes everything, the
/// latest first.
pub(crate) struct Outgoing {
    files: KVVec<Preserved>,
    blob: Option<OutBlob>,
    len: usize,
}

impl Outgoing {
    /// Preserves the files, which are sorted by token. On failure nothing is left behind.
    pub(crate) fn prepare(files: &[Registration], generation: u64) -> Result<Self> {
        let mut this = Self {
            files: KVVec::with_capacity(files.len(), GFP_KERNEL)?,
            blob: None,
            len: 0,
        };
        for file in files {
            let preserved = Preserved::new(file.file.clone())?;
            this.files.push(preserved, GFP_KERNEL)?;
        }

        let mut extents = 0usize;
        for file in &this.files {
            each_extent(file, |_| {
                extents = extents.saturating_add(1);
                Ok(())
            })?;
        }
        let room = wire::length(files.len(), extents).ok_or(EFBIG)?;
        let blob = this.blob.insert(OutBlob::new(room)?);

        let mut writer = Writer::new(blob.bytes(), generation, PAGE_SHIFT).map_err(misfit)?;
        for (file, preserved) in files.iter().zip(&this.files) {
            writer
                .object(file.token, preserved.size())
                .map_err(misfit)?;
            each_extent(preserved, |extent| writer.extent(&extent).map_err(misfit))?;
        }
        this.len = writer.finish().map_err(misfit)?;
        blob.publish()?;
        Ok(this)
    }

    /// Seals the description: from here on it does not change.
    pub(crate) fn freeze(&mut self) -> Result {
        fallible_step()?;
        let blob = self.blob.as_mut().ok_or(EIO)?;
        let whole = blob.bytes().get_mut(..self.len).ok_or(EIO)?;
        wire::seal(whole, Phase::Frozen).map_err(misfit)
    }

    /// The length of the description in bytes.
    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        // The description first: it must not name what is no longer preserved.
        self.blob = None;
        while let Some(file) = self.files.pop() {
            drop(file);
        }
    }
}

fn each_extent(file: &Preserved, mut use_one: impl FnMut(Extent) -> Result) -> Result {
    let mut joiner = Joiner::default();
    for folio in file.folios() {
        let folio = folio?;
        if let Some(extent) = joiner.push(folio.pfn, folio.order) {
            use_one(extent)?;
        }
    }
    joiner.finish().map_or(Ok(()), use_one)
}

/// The room was measured, and pinned folios do not change: this is a defect, but not a panic.
fn misfit(err: WireError) -> Error {
    pr_err!("the description does not fit its room: {}\n", err.name());
    EIO
}
