//! Plain Kexec HandOver, without an orchestrator: the kernel's own client of it, `lib/test_kho.c`.
//!
//! It hands over folios of random orders and content, and compares a sum when it is loaded in the next kernel. The sum
//! does not depend on the order of what it adds up: it sees a page that is lost or changed, and not two that are
//! exchanged.

use std::{fs, path::Path};

use protocol::check::{NOTHING, Notes};

use super::{
    context::{Context, Finding},
    observe,
};
use crate::{interface, kernel_log};

const FILE: &str = "/lib/plain_kho.ko";
const DEBUGFS: &str = "/sys/kernel/debug";
/// Where kernels before 6.19 are told that nothing more will be handed over.
const FINALIZE: &str = "/sys/kernel/debug/kho/out/finalize";
const RESTORED: &str = "plain_kho: KHO restore succeeded";
const DAMAGED: &str = "plain_kho: KHO restore failed";

/// Loads it where nothing was handed over: it leaves something.
pub(super) fn leave(_: &mut Context) -> Result<Notes, Finding> {
    load()?;
    let said = said()?;
    if let Some(word) = [RESTORED, DAMAGED].iter().find(|word| said.contains(**word)) {
        return Err(Finding::new("nothing to be handed over before the first update", *word));
    }
    observe::mounted("debugfs", DEBUGFS)?;
    if Path::new(FINALIZE).exists() {
        fs::write(FINALIZE, "1").map_err(|error| Finding::new(format!("{FINALIZE} to take a 1"), error.to_string()))?;
    }
    Ok(Notes::of(&())?)
}

/// Loads it in the next kernel: it says what it found.
pub(super) fn find(_: &mut Context, _: &Notes) -> Result<(), Finding> {
    let loaded = load();
    let said = said()?;
    if said.contains(DAMAGED) {
        return Err(Finding::new(RESTORED, DAMAGED));
    }
    loaded?;
    if said.contains(RESTORED) { Ok(()) } else { Err(Finding::new(RESTORED, NOTHING)) }
}

fn load() -> Result<(), Finding> {
    Ok(interface::load_file(FILE, c"")?)
}

fn said() -> Result<String, Finding> {
    Ok(kernel_log::read(usize::MAX)?)
}
