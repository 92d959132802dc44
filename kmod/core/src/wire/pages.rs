// SPDX-License-Identifier: GPL-2.0

//! Where the contents of a file are.

use super::{ensure, get_u32, get_u64, put, WireError, EXTENT_LEN, MAX_ORDER, MAX_PFN};

/// How many pages a folio of this order has; one for an order that cannot be.
pub fn folio_pages(order: u32) -> u64 {
    1u64.checked_shl(order).unwrap_or(1)
}

/// How many pages so many bytes need. Like `div_ceil`, and it cannot overflow.
fn pages_of(size: u64, page_shift: u32) -> u64 {
    let whole = size.checked_shr(page_shift).unwrap_or(0);
    let part = size & folio_pages(page_shift).wrapping_sub(1) != 0;
    whole.saturating_add(u64::from(part))
}

/// A folio of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Folio {
    /// Its first page in the file.
    pub page: u64,
    /// Its first page frame.
    pub pfn: u64,
    /// It has `1 << order` pages.
    pub order: u32,
}

/// A run of folios of one order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The first page in the file.
    pub page: u64,
    /// The first page frame.
    pub pfn: u64,
    /// How many folios.
    pub folios: u32,
    /// Their order.
    pub order: u32,
}

impl Extent {
    /// How many pages these are, if that is a number.
    pub fn pages(&self) -> Option<u64> {
        if self.order > MAX_ORDER {
            return None;
        }
        u64::from(self.folios).checked_mul(folio_pages(self.order))
    }

    pub(super) fn encode(&self, bytes: &mut [u8]) -> Result<(), WireError> {
        // The last two are numbers of four bytes.
        let last = u64::from(self.folios) | u64::from(self.order).wrapping_shl(32);
        ensure(bytes.len() == EXTENT_LEN)?;
        for (word, value) in bytes.chunks_exact_mut(8).zip([self.page, self.pfn, last]) {
            put(word, 0, &value.to_le_bytes())?;
        }
        Ok(())
    }

    /// What is left of it without so many folios; none perhaps.
    pub fn skip(self, folios: u32) -> Self {
        let skipped = folios.min(self.folios);
        let offset = u64::from(skipped).wrapping_shl(self.order);
        Extent {
            page: self.page.saturating_add(offset),
            pfn: self.pfn.saturating_add(offset),
            folios: self.folios.saturating_sub(skipped),
            order: self.order,
        }
    }

    /// Its folios that begin at this page of the file or later; none perhaps.
    pub fn rest(self, from: u64) -> Self {
        let part = folio_pages(self.order).wrapping_sub(1);
        let before = from.saturating_sub(self.page).saturating_add(part);
        self.skip(u32::try_from(before.wrapping_shr(self.order)).unwrap_or(u32::MAX))
    }

    /// Its folios that begin at this page of the file or later.
    pub fn folios(self, from: u64) -> impl Iterator<Item = Folio> {
        let mut rest = self.rest(from);
        core::iter::from_fn(move || {
            let Extent {
                page, pfn, order, ..
            } = rest;
            let any = rest.folios > 0;
            rest = rest.skip(1);
            any.then_some(Folio { page, pfn, order })
        })
    }
}

/// Joins neighbouring folios to extents.
#[derive(Default)]
pub struct Joiner {
    open: Option<Extent>,
}

impl Joiner {
    /// Takes the next folio of a file; gives an extent that cannot grow any more.
    pub fn push(&mut self, page: u64, pfn: u64, order: u32) -> Option<Extent> {
        if let Some(open) = &mut self.open {
            let pages = open.pages();
            let after = |start: u64| pages.and_then(|pages| start.checked_add(pages));
            let next = after(open.page) == Some(page) && after(open.pfn) == Some(pfn);
            if open.order == order && next && open.folios < u32::MAX {
                open.folios = open.folios.saturating_add(1);
                return None;
            }
        }
        self.open.replace(Extent {
            page,
            pfn,
            folios: 1,
            order,
        })
    }

    /// The last extent.
    pub fn finish(&mut self) -> Option<Extent> {
        self.open.take()
    }
}

/// Checks the extents of a file, one after another.
pub(super) struct Layout {
    /// The first page that is still free.
    next: u64,
    end: u64,
}

impl Layout {
    pub(super) fn new(size: u64, page_shift: u32) -> Result<Self, WireError> {
        ensure(i64::try_from(size).is_ok())?;
        Ok(Layout {
            next: 0,
            end: pages_of(size, page_shift),
        })
    }

    pub(super) fn add(&mut self, extent: &Extent) -> Result<(), WireError> {
        let pages = extent.pages().ok_or(WireError::Malformed)?;
        let mask = folio_pages(extent.order).wrapping_sub(1);
        let frames_end = extent.pfn.checked_add(pages).ok_or(WireError::Malformed)?;
        let end = extent.page.checked_add(pages).ok_or(WireError::Malformed)?;
        ensure(extent.folios != 0 && (extent.pfn | extent.page) & mask == 0)?;
        let last = end.saturating_sub(folio_pages(extent.order));
        ensure(frames_end <= MAX_PFN && extent.page >= self.next && last < self.end)?;
        self.next = end;
        Ok(())
    }
}

/// Where the contents of a file are.
#[derive(Clone, Copy, Debug)]
pub struct Pages<'a> {
    /// The size of the file in bytes.
    pub size: u64,
    extents: &'a [u8],
}

impl<'a> Pages<'a> {
    /// The extents, in the file's order.
    pub fn extents(self) -> impl Iterator<Item = Extent> + 'a {
        let mut rest = self.extents;
        core::iter::from_fn(move || {
            let (bytes, after) = rest.split_first_chunk::<EXTENT_LEN>()?;
            rest = after;
            extent(bytes).ok()
        })
    }

    /// The folios that begin at this page of the file or later.
    pub fn folios(self, from: u64) -> impl Iterator<Item = Folio> + 'a {
        self.extents().flat_map(move |extent| extent.folios(from))
    }

    pub(super) fn decode(payload: &'a [u8]) -> Result<Self, WireError> {
        let extents = payload.get(8..).ok_or(WireError::Malformed)?;
        Ok(Pages {
            size: get_u64(payload, 0)?,
            extents,
        })
    }

    pub(super) fn check(self, page_shift: u32) -> Result<(), WireError> {
        let mut layout = Layout::new(self.size, page_shift)?;
        let mut rest = self.extents;
        while let Some((bytes, after)) = rest.split_first_chunk::<EXTENT_LEN>() {
            layout.add(&extent(bytes)?)?;
            rest = after;
        }
        ensure(rest.is_empty())
    }
}

fn extent(bytes: &[u8]) -> Result<Extent, WireError> {
    Ok(Extent {
        page: get_u64(bytes, 0)?,
        pfn: get_u64(bytes, 8)?,
        folios: get_u32(bytes, 16)?,
        order: get_u32(bytes, 20)?,
    })
}
