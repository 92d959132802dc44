//! Checks that go wrong on purpose, to prove that the lab sees it.

use protocol::check::Notes;

use super::context::{Context, Finding, same};

pub(super) fn says_what_is_not_so(_: &mut Context) -> Result<(), Finding> {
    Err(Finding::new("the sun to rise in the west", "the east"))
}

pub(super) fn never_ends(_: &mut Context) -> Result<(), Finding> {
    loop {
        std::thread::sleep(std::time::Duration::from_secs(3600));
    }
}

pub(super) fn dies_midway(_: &mut Context) -> Result<(), Finding> {
    std::process::abort()
}

pub(super) fn does_not_apply(_: &mut Context) -> Result<(), Finding> {
    Err(Finding::lacks("the kernel cannot tell the future"))
}

pub(super) fn leave(_: &mut Context) -> Result<Notes, Finding> {
    Ok(Notes::of(&1u32)?)
}

pub(super) fn find_other(_: &mut Context, notes: &Notes) -> Result<(), Finding> {
    same("the number that was left", 2u32, notes.read()?)
}
