//! A description that is refused as a whole, and the memory that it takes up.
//!
//! What a kernel finds preserved it does not count as its own (`MemTotal`) until it is restored or freed: so each page
//! that a refusal gives back is seen there.

use liveupdate_client::{Drive as _, Preserve as _, State, Token};
use protocol::check::Notes;
use rustix::{io::Errno, system::delete_module};

use super::{
    context::{Context, Finding, holds, same, works},
    damage::{BYTES, NAME, What, goes_on, spoil_more},
    face::{Side, content, declined, has_content, name_of},
    published::wrapping,
};
use crate::{interface, kernel_log, memory};

const PAGE: u64 = 4096;
/// Pages of a file.
const PAGES: u64 = BYTES as u64 / PAGE;
/// Files beside the memory file and the memfd that each description has.
const MORE: u64 = 8;
/// Damage turns three bits round at most, each of them in one object.
const HIT: u64 = 3;
/// Root and its double.
const ROOT_PAGES: u64 = 2;
/// These descriptions are short.
const BODY_PAGES: u64 = 1;

/// Loads the module, and how many pages the kernel has more by that; those apart that wrap what is published.
fn won_by(load: impl FnOnce() -> Result<(), Finding>) -> Result<u64, Finding> {
    let (before, wrapping) = (memory::counters()?.total, wrapping()?);
    load()?;
    let won = memory::counters()?.total.saturating_sub(before) / PAGE;
    Ok(if won == 0 { 0 } else { won - wrapping })
}

fn log_says(words: &str) -> Result<(), Finding> {
    let said = kernel_log::read(kernel_log::LIMIT)?.contains(words);
    holds(&format!("the log to say: {words}"), said, "no such line")
}

/// How many pages the module says that it freed of what it refused for this reason.
fn told(reason: &str) -> Result<u64, Finding> {
    let log = kernel_log::read(kernel_log::LIMIT)?;
    let begin = format!("what the previous kernel left is refused ({reason}), and ");
    let number = log.rsplit_once(&begin).and_then(|(_, rest)| rest.split_once(" pages of it are freed"));
    let number = number.and_then(|(number, _)| number.parse().ok());
    number.ok_or_else(|| Finding::new(format!("the log to say: {begin}N pages of it are freed"), "no such line"))
}

/// NORMAL, and nothing to be had of what these tokens stood for.
fn is_refused(context: &Context, notes: &Notes) -> Result<(), Finding> {
    let tokens: [u64; 4] = notes.read()?;
    let side = Side::fresh(context, NAME)?;
    side.is(State::Normal)?;
    for token in tokens.into_iter().filter_map(Token::new) {
        declined("a restore without an update", Errno::BUSY, side.restore(token))?;
    }
    declined("FINISH without an update", Errno::INVAL, side.finish())?;
    goes_on(context, side)
}

pub(super) fn leave_body(context: &mut Context) -> Result<Notes, Finding> {
    spoil_more(context, What::Body, MORE)
}

/// The pages of what is not hit are given back, and the description's own.
pub(super) fn find_body(context: &mut Context, notes: &Notes) -> Result<(), Finding> {
    let won = won_by(|| context.device().map(drop))?;
    let reasons = ["wrong checksum", "malformed", "truncated"];
    let told = reasons.iter().find_map(|reason| told(reason).ok());
    let told = told.ok_or_else(|| Finding::new("the log to tell of the refusal", "no such line"))?;
    same("pages given back", told + ROOT_PAGES + BODY_PAGES, won)?;
    let least = (MORE + 2 - HIT) * PAGES;
    // A file's folios may be larger than it needs.
    holds(&format!("at least {least} pages of files to be given back"), told >= least, told.to_string())?;
    is_refused(context, notes)
}

pub(super) fn leave_root(context: &mut Context) -> Result<Notes, Finding> {
    spoil_more(context, What::Root, 0)
}

/// Without root and double nothing can be made out: no page is given back but theirs.
pub(super) fn find_root(context: &mut Context, notes: &Notes) -> Result<(), Finding> {
    let won = won_by(|| context.device().map(drop))?;
    let log = kernel_log::read(kernel_log::LIMIT)?;
    if log.contains("what the previous kernel left cannot be made out (") {
        same("pages given back", ROOT_PAGES, won)?;
    } else {
        // It was hit where the framing is told: it could be another module's.
        log_says("the previous kernel left framing ")?;
        same("pages given back", 0, won)?;
    }
    is_refused(context, notes)
}

pub(super) fn leave_first_root(context: &mut Context) -> Result<Notes, Finding> {
    spoil_more(context, What::FirstRoot, 0)
}

/// With its double nothing is lost.
pub(super) fn find_first_root(context: &mut Context, notes: &Notes) -> Result<(), Finding> {
    let [ledger, bell, memfd, other]: [u64; 4] = notes.read()?;
    let side = Side::retrieved(context, NAME)?;
    log_says("its double is used")?;
    side.is(State::Updated)?;
    has_content(side.found(ledger, "ledger")?, &content(1, BYTES))?;
    has_content(side.found(memfd, "")?, &content(2, BYTES))?;
    drop(side.found(bell, "")?);
    let session = side.retrieve_session(&name_of(NAME)?)?;
    let Some(other) = Token::new(other) else { return Err(Finding::new("a token", "0")) };
    drop(session.restore(other)?);
    same("files that nobody has", 0, side.status()?.unclaimed)?;
    side.finish()?;
    drop((side, session));
    goes_on(context, Side::fresh(context, "damage-after")?)
}

pub(super) fn leave_version(context: &mut Context) -> Result<Notes, Finding> {
    spoil_more(context, What::Version, 0)
}

/// It is named and left alone, until its pages are asked for.
pub(super) fn find_version(context: &mut Context, notes: &Notes) -> Result<(), Finding> {
    let won = won_by(|| context.device().map(drop))?;
    log_says("the previous kernel left version 4, unknown here: ignored")?;
    same("pages given back unasked", 0, won)?;
    same("the state", State::Normal, context.device()?.state()?)?;
    works("unload in NORMAL", delete_module(c"liveupdate_lab", libc::O_NONBLOCK))?;
    let won = won_by(|| Ok(interface::load_module(c"unclaimed=drop")?))?;
    let told = told("another version")?;
    same("pages given back on request", told + ROOT_PAGES + BODY_PAGES, won)?;
    holds("the pages of both files to be given back", told >= 2 * PAGES, told.to_string())?;
    is_refused(context, notes)
}

pub(super) fn leave_framing(context: &mut Context) -> Result<Notes, Finding> {
    spoil_more(context, What::Framing, 0)
}

/// It is named and left alone.
pub(super) fn find_framing(context: &mut Context, notes: &Notes) -> Result<(), Finding> {
    let won = won_by(|| context.device().map(drop))?;
    log_says("the previous kernel left framing 2, unknown here: ignored")?;
    same("pages given back", 0, won)?;
    is_refused(context, notes)
}
