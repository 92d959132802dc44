//! A root that names more pieces of memory than fit into a page.
//!
//! Where memory is whole, the description's pieces are so large that this would take megabytes of it. Where it is not
//! they are single pages; a fault in the first piece's step has the same effect.

use liveupdate_client::{
    Control, Drive as _, PageSize, Preserve as _, PreserveFlags, State,
    kexecfs::{Builder, Instance},
};
use protocol::{check::Notes, message::Interface};
use rustix::{fd::OwnedFd, io::Errno};

use super::{
    carried::known,
    context::{Context, Finding, holds, same, works},
    face::{declined, name_of},
    fault,
    leak::no_change,
    published::{Published, Way},
    root::{is_not_loaded, managed},
    seat::{content, filled, has},
};

/// Files with names of 255 bytes, which make a description of some 430 pages.
const FILES: u64 = 4500;
/// Every so many of them hold something, of this many bytes.
const EVERY: u64 = 50;
const FILLED: usize = 3001;
/// Of a memory file besides, a few pages.
const BYTES: usize = 7 * 4096;
const PAGE: usize = 4096;
/// What is published is the root and its double, a page each.
const BLOCK: usize = 2 * PAGE;

fn builder() -> Result<Builder, Finding> {
    Ok(Instance::builder().name(name_of("growth")?))
}

fn driver(context: &Context, instance: &Instance) -> Result<Control, Finding> {
    Ok(match context.face() {
        Interface::Kexecfs => instance.control()?,
        _ => Control::from_fd(OwnedFd::from(context.device()?))?,
    })
}

fn file_name(number: u64) -> String {
    format!("{number:0>255}")
}

fn is_filled(number: u64) -> bool {
    number.is_multiple_of(EVERY)
}

/// What is published names a body, and in how many pieces.
fn published(body: usize) -> Result<(Published, usize), Finding> {
    let published = Published::get(Way::Out)?;
    let root = published.root()?;
    same("the length of the description that the root names", body, root.body_len)?;
    let pieces = root.pieces().count();
    Ok((published, pieces))
}

/// Grows while an update is prepared, in vain first; shrinks never; and is as good as any other one.
pub(super) fn leave(context: &mut Context) -> Result<Notes, Finding> {
    drop(context.device()?);
    // Where it cannot be seen, that has to be found out in NORMAL.
    Published::get(Way::Out)?.is_empty()?;
    let seed = crate::now().0;
    let instance = builder()?.fresh().mount()?;
    for number in 0..FILES {
        let file = instance.create(file_name(number))?;
        if is_filled(number) {
            works("write", crate::frames::write_all(&file, &content(seed ^ number, FILLED)))?;
        }
    }
    let driver = driver(context, &instance)?;
    let file = filled(&driver, BYTES, PageSize::Small, seed)?;
    let token = driver.preserve(&file, PreserveFlags::NONE)?;

    // Undisturbed it fits.
    driver.prepare()?;
    let small = Published::get(Way::Out)?;
    let (body, few) = (small.root()?.body_len, small.root()?.pieces().count());
    holds("the root of large pieces to fit into a page", small.bytes() <= BLOCK, format!("{} bytes", small.bytes()))?;
    driver.cancel()?;
    let steps = fault::steps_of(|| Ok(driver.prepare()?))?;
    driver.cancel()?;
    // The last step maps the pieces, before it each of them is one.
    let first = steps.saturating_sub(u32::try_from(few).unwrap_or(u32::MAX));
    let many = body.div_ceil(PAGE);

    // The fault makes the pieces small, and another one meets each step from the last piece on.
    let mut unpublished = 0;
    let mut next = u32::try_from(many).unwrap_or(u32::MAX);
    loop {
        fault::arm_two(first, next)?;
        let result = driver.prepare();
        if !fault::disarm()? {
            result?;
            break;
        }
        declined("PREPARE with a fault on the way to a larger root", Errno::NOMEM, result)?;
        same("the state after it", State::Normal, driver.state()?)?;
        unpublished += u32::from(Published::find(Way::Out)?.is_none());
        driver.prepare()?;
        published(body)?;
        driver.cancel()?;
        Published::get(Way::Out)?.is_empty()?;
        next += 1;
    }
    holds("a root that cannot grow to be gone until the next PREPARE", unpublished > 0, "it was there each time")?;

    let (grown, pieces) = published(body)?;
    holds("the root to be longer than a page", grown.bytes() > BLOCK, format!("{} bytes", grown.bytes()))?;
    same("pieces, of a page each", many, pieces)?;
    driver.cancel()?;
    let empty = Published::get(Way::Out)?;
    empty.is_empty()?;
    same("bytes of the root when it names nothing", grown.bytes(), empty.bytes())?;

    // It does for few pieces as well, and for many again.
    driver.prepare()?;
    let (again, pieces) = published(body)?;
    same("bytes and pieces of the root", (grown.bytes(), few), (again.bytes(), pieces))?;
    driver.cancel()?;
    no_change("descriptions in many pieces", || {
        for freeze in [false, true] {
            prepare_in_pages(&driver, first)?;
            if freeze {
                driver.freeze()?;
            }
            driver.cancel()?;
            Published::get(Way::Out)?.is_empty()?;
        }
        Ok(())
    })?;

    prepare_in_pages(&driver, first)?;
    same("pieces, of a page each", many, published(body)?.1)?;
    driver.freeze()?;
    context.stay_with((instance, driver, file));
    Ok(Notes::of(&(seed, token.get(), body as u64))?)
}

/// PREPARE with a description whose pieces are single pages.
fn prepare_in_pages(driver: &Control, first: u32) -> Result<(), Finding> {
    fault::arm(first)?;
    let prepared = driver.prepare();
    let came = fault::disarm()?;
    prepared?;
    holds("the fault that makes pieces small to come", came, "PREPARE took fewer steps")
}

/// All is found under such a root, and FINISH gives back every page of it and of what it named.
pub(super) fn find(context: &mut Context, notes: &Notes) -> Result<(), Finding> {
    let (seed, token, body): (u64, u64, u64) = notes.read()?;
    is_not_loaded()?;
    let left = Published::get(Way::In)?;
    holds("a root longer than a page to come", left.bytes() > BLOCK, format!("{} bytes", left.bytes()))?;
    same("the length of the description", body, left.root()?.body_len as u64)?;
    let pieces: u64 = left.root()?.pieces().map(|piece| 1u64 << piece.order).sum();
    let before = managed()?;

    let device = context.device()?;
    same("the state", State::Updated, device.state()?)?;
    same("files that wait", FILES + 1, device.status()?.unclaimed)?;
    let instance = builder()?.retrieve().mount()?;
    let driver = driver(context, &instance)?;
    same("files in the instance", FILES as usize, instance.files()?.len())?;
    for number in 0..FILES {
        let bytes = if is_filled(number) { FILLED } else { 0 };
        has(&instance.open(file_name(number))?, bytes, seed ^ number)?;
    }
    has(&driver.restore(known(token)?)?, BYTES, seed)?;
    same("files that still wait", 0, driver.status()?.unclaimed)?;
    driver.finish()?;
    same("the state", State::Normal, driver.state()?)?;
    let files = FILES.div_ceil(EVERY) + (BYTES / PAGE) as u64;
    let came = managed()?.wrapping_sub(before);
    same("pages that came back: the root's, the description's and the files'", left.pages() + pieces + files, came)?;

    // The next update begins with a root of its own, and grows it once more.
    let steps = fault::steps_of(|| Ok(driver.prepare()?))?;
    let few = Published::get(Way::Out)?.root()?.pieces().count();
    driver.cancel()?;
    prepare_in_pages(&driver, steps.saturating_sub(u32::try_from(few).unwrap_or(u32::MAX)))?;
    let grown = Published::get(Way::Out)?.bytes();
    holds("the root to be longer than a page again", grown > BLOCK, format!("{grown} bytes"))?;
    driver.freeze()?;
    driver.cancel()?;
    same("the state", State::Normal, driver.state()?)
}
