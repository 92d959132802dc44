//! Memory that is handed over is all there in the end: none is lost, to the page of a file's description.

use protocol::check::Notes;
use rustix::{
    fd::OwnedFd,
    fs::{MemfdFlags, ftruncate, memfd_create},
};

use super::{filled, huge_memfd, many_files};
use crate::{
    checks::context::{Context, Finding, holds, works},
    luo::Session,
    memory,
};

const PAGE: u64 = 4096;
const MIB: u64 = 1 << 20;
const LARGE: u64 = 24 * MIB;
const HUGE: u64 = 32 * MIB;
/// Files of a page each: what is lost with every file shows in them.
const SMALL: u64 = 600;
/// What else comes and goes meanwhile. A page lost with every file is five times as much.
const SLACK: u64 = MIB / 2;
/// By how much two kernels may differ in what they count as theirs.
const TOTAL_SLACK: u64 = MIB;

/// How a session ends.
const RETRIEVED: &str = "retrieved";
const UNCLAIMED: &str = "unclaimed-memory";
const DROPPED: &str = "dropped";
const HELD: [&str; 3] = [RETRIEVED, UNCLAIMED, DROPPED];

/// A large file, one of huge pages, and many small ones.
fn fill(name: &str) -> Result<Session, Finding> {
    let session = works("CREATE_SESSION", Session::create(name))?;
    let large = works("memfd_create", memfd_create("large", MemfdFlags::CLOEXEC))?;
    works("ftruncate", ftruncate(&large, LARGE))?;
    works("PRESERVE_FD", session.preserve(&large, 0))?;
    works("PRESERVE_FD", session.preserve(huge_memfd(HUGE)?, 1))?;
    for token in 2..2 + SMALL {
        works("PRESERVE_FD", session.preserve(filled(PAGE as usize, token)?, token))?;
    }
    Ok(session)
}

/// What a session of [`fill`] takes: its pages, and three for each file: one that describes it, the list of its pages, and
/// the list of that list's pages.
const TAKEN: u64 = LARGE + HUGE + SMALL * 4 * PAGE;

pub(in crate::checks) fn leave(context: &mut Context) -> Result<Notes, Finding> {
    let total = memory::counters()?.total;
    for name in HELD {
        context.stay_with(fill(name)?);
    }
    // And two that are given up again: nothing of them is the next kernel's.
    let given_up = [fill("given-up")?, fill("given-up-too")?];
    drop(given_up);
    Ok(Notes::of(&total)?)
}

pub(in crate::checks) fn find(_: &mut Context, notes: &Notes) -> Result<(), Finding> {
    let total: u64 = notes.read()?;
    many_files()?;
    let start = memory::settled()?.free;
    let mut before = start;
    for name in HELD {
        let session = works("RETRIEVE_SESSION", Session::retrieve(name))?;
        if name == RETRIEVED {
            let files: Vec<OwnedFd> = (0..2 + SMALL)
                .map(|token| works("RETRIEVE_FD", session.retrieve_fd(token)))
                .collect::<Result<_, _>>()?;
            works("FINISH", session.finish())?;
            drop(files);
        } else if name == UNCLAIMED {
            works("FINISH", session.finish())?;
        }
        drop(session);
        let after = memory::settled()?.free;
        let back = after.saturating_sub(before);
        holds(
            &format!("a session that was {name} to give back {TAKEN} bytes"),
            back + SLACK >= TAKEN,
            format!("{back} bytes"),
        )?;
        before = after;
    }
    let now = memory::counters()?.total;
    holds(
        &format!("the machine to have the {total} bytes in all that it had"),
        now.abs_diff(total) <= TOTAL_SLACK,
        format!("{now} bytes"),
    )
}
