//! What the interfaces cost, for `cargo bench -p bench --bench interfaces`.
//!
//! These checks bring figures. What they require besides is that each byte that they look at survived: a
//! figure of something that did not happen would be worse than none.

pub(super) mod objects;
pub(super) mod pages;

use std::sync::atomic::Ordering::Relaxed;

use liveupdate_client::{Drive, Name};
use protocol::{message::Tsc, pattern::PAGE};
use rustix::{fd::AsFd, fs::fstat};

use super::context::{Context, Finding, same, works};
use crate::{mapping::Mapping, now};

/// The name of the instance and, in it, of the file.
const NAME: Name = match Name::new("cost") {
    Ok(name) => name,
    Err(_) => panic!("not a name"),
};

/// Writes into each page of a file what tells it apart.
fn mark(file: impl AsFd, seed: u64) -> Result<(), Finding> {
    each_page(file, true, |index, word| {
        word.store(seed.wrapping_add(index), Relaxed);
        Ok(())
    })
}

/// Requires that a file has so many bytes, and its marks.
fn check_marks(file: impl AsFd, seed: u64, bytes: u64) -> Result<(), Finding> {
    let size = works("fstat", fstat(&file))?.st_size;
    same("the size of the file", i64::try_from(bytes).unwrap_or(i64::MAX), size)?;
    each_page(file, false, |index, word| same("the mark of a page", seed.wrapping_add(index), word.load(Relaxed)))
}

fn each_page(
    file: impl AsFd,
    writable: bool,
    mut visit: impl FnMut(u64, &std::sync::atomic::AtomicU64) -> Result<(), Finding>,
) -> Result<(), Finding> {
    let size = works("fstat", fstat(&file))?.st_size;
    let pages = usize::try_from(size).unwrap_or(0).div_ceil(PAGE);
    let mapping = works("mmap", Mapping::new(&file, 0, pages, writable))?;
    (0..pages).try_for_each(|page| visit(page as u64, &mapping.page(page)[0]))
}

/// PREPARE and FREEZE, each a figure, and when they were done. To note a figure takes its time too: afterwards.
fn freeze(context: &mut Context, driver: &impl Drive, face: &str) -> Result<Tsc, Finding> {
    let from = now();
    driver.prepare()?;
    let prepared = now();
    driver.freeze()?;
    let frozen = now();
    context.report(&format!("{face}: prepare"), from, prepared);
    context.report(&format!("{face}: freeze"), prepared, frozen);
    Ok(frozen)
}
