//! The description's root, which is published as long as the module is loaded.
//!
//! Whether its memory is given back is read from MemTotal. What the previous kernel kept is no part of that until it
//! is restored, page by page, and in a kernel that has booted nothing else changes it, so that one page is seen. Free
//! memory cannot tell a page from what comes and goes. Nor would generations add up: what one kernel does not give
//! back, the next one has.

use std::path::Path;

use liveupdate_client::{Drive as _, State};
use protocol::check::Notes;
use rustix::io::Errno;

use super::{
    context::{Context, Finding, holds, same, works},
    face::{Side, declined},
    published::{Published, Way},
    unload::unload,
};
use crate::{kernel_log, memory};

const BYTES: u64 = 5 * 4096;
const NAME: &str = "root";

/// Requires that nobody has loaded the module: what comes now is what the load makes.
pub(super) fn is_not_loaded() -> Result<(), Finding> {
    let loaded = Path::new("/sys/module/liveupdate_lab").exists();
    holds("the module not to be loaded before the check does it", !loaded, "it is")
}

/// Pages that the kernel manages.
pub(super) fn managed() -> Result<u64, Finding> {
    Ok(memory::counters()?.total / 4096)
}

/// Never prepared: the next kernel is left what the load has published.
pub(super) fn leave_empty(context: &mut Context) -> Result<Notes, Finding> {
    let side = Side::fresh(context, NAME)?;
    side.is(State::Normal)?;
    Published::get(Way::Out)?.is_empty()?;
    Ok(Notes::default())
}

/// The same after an update that was called off.
pub(super) fn leave_cancelled(context: &mut Context) -> Result<Notes, Finding> {
    let side = Side::fresh(context, NAME)?;
    // Where it cannot be seen, that has to be found out in NORMAL.
    Published::get(Way::Out)?.is_empty()?;
    let _file = side.file("ledger", BYTES)?;
    for _ in 0..2 {
        side.prepare()?;
        let described = Published::get(Way::Out)?.root()?.body_len;
        holds("a description to be named in PREPARED", described > 0, "none")?;
        side.freeze()?;
        side.cancel()?;
        Published::get(Way::Out)?.is_empty()?;
    }
    side.is(State::Normal)?;
    Ok(Notes::default())
}

/// The load gives the page back, once, and has nothing to say of it.
pub(super) fn find_freed(context: &mut Context, _: &Notes) -> Result<(), Finding> {
    is_not_loaded()?;
    let left = Published::get(Way::In)?;
    left.is_empty()?;
    let before = managed()?;
    let side = is_as_booted(context)?;
    same("pages that the load gave back", left.pages(), managed()?.wrapping_sub(before))?;
    Published::get(Way::Out)?.is_empty()?;
    side.goes_round()?;
    drop(side);

    // What was given back is somebody else's: whoever comes next leaves it alone.
    works("unload", unload())?;
    holds("nothing to be published without the module", Published::find(Way::Out)?.is_none(), "a root")?;
    let side = is_as_booted(context)?;
    same("pages that both loads gave back", left.pages(), managed()?.wrapping_sub(before))?;
    side.goes_round()
}

/// After a kernel that did not load the module there is nothing of it, and nothing to say either.
pub(super) fn find_gone(context: &mut Context, _: &Notes) -> Result<(), Finding> {
    is_not_loaded()?;
    holds("no root to come two kernels later", Published::find(Way::In)?.is_none(), "one")?;
    let before = managed()?;
    let side = is_as_booted(context)?;
    same("pages that the load gave back", 0, managed()?.wrapping_sub(before))?;
    side.goes_round()
}

/// Loads the module: it is as after a cold boot, and does not speak of a previous kernel.
fn is_as_booted(context: &Context) -> Result<Side, Finding> {
    let side = Side::fresh(context, NAME)?;
    side.is(State::Normal)?;
    let status = side.status()?;
    same("generation and files from the previous kernel", (1, 0), (status.generation, status.inherited))?;
    declined("FINISH without an update", Errno::INVAL, side.finish())?;
    let log = kernel_log::read(kernel_log::LIMIT)?;
    match log.lines().find(|line| line.contains("liveupdate_lab: ") && is_of_the_past(line)) {
        Some(line) => Err(Finding::new("the module to say nothing of what was left", line)),
        None => Ok(side),
    }
}

/// An error, or a word on the previous kernel.
fn is_of_the_past(line: &str) -> bool {
    let level = line.strip_prefix('<').and_then(|rest| rest.split_once('>')).and_then(|(level, _)| level.parse().ok());
    level.is_some_and(|level: u32| level <= 3) || line.contains("previous kernel")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_on_the_past_are_seen() {
        assert!(is_of_the_past("<6>[    1.0] liveupdate_lab: generation 2: 3 files from the previous kernel"));
        assert!(is_of_the_past("<3>[    1.0] liveupdate_lab: anything"));
        assert!(!is_of_the_past("<4>[    1.0] liveupdate_lab: loading out-of-tree module taints kernel."));
        assert!(!is_of_the_past("without a level"));
    }
}
