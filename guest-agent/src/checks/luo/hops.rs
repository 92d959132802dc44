//! Memfds through four kernels: retrieved in each, changed, and preserved again in a session of another name.

use protocol::check::Notes;
use rustix::{
    fd::OwnedFd,
    fs::{MemfdFlags, SealFlags, SeekFrom, fcntl_add_seals, fcntl_get_seals, ftruncate, memfd_create, seek},
    io::{Errno, pwrite},
    system::{RebootCommand, reboot},
};

use super::{filled, in_huge_pages};
use crate::{
    checks::{
        context::{Context, Finding, holds, refused, same, works},
        seat::{content, has},
    },
    frames::write_all,
    kernel_log,
    luo::Session,
};

const SMALL: usize = 3 * 4096 + 5;
const HUGE: usize = (4 << 20) + 4096 + 9;
const SEALED: u64 = 1;
const IN_HUGE_PAGES: u64 = 2;
/// What each generation adds has a token that follows from it.
const ADDED: u64 = 100;

fn name(generation: u64) -> String {
    format!("generation-{generation}")
}

fn position(generation: u64) -> u64 {
    1000 * generation + 7
}

/// What the file in huge pages holds: each generation writes over some of it.
fn written(generation: u64) -> Vec<u8> {
    let mut all = content(IN_HUGE_PAGES, HUGE);
    for generation in 2..=generation {
        let at = generation as usize * 1_000_000;
        all[at..at + 5000].copy_from_slice(&content(generation, 5000));
    }
    all
}

/// The first generation's: one file with seals and a position, one in huge pages, one of that generation.
pub(in crate::checks) fn leave_first(context: &mut Context) -> Result<Notes, Finding> {
    let sealed = works("memfd_create", memfd_create("sealed", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING))?;
    works("write", write_all(&sealed, &content(SEALED, SMALL)))?;
    works("F_ADD_SEALS", fcntl_add_seals(&sealed, SealFlags::GROW))?;
    let huge = works("memfd_create", memfd_create("huge", MemfdFlags::CLOEXEC))?;
    works("ftruncate", ftruncate(&huge, HUGE as u64))?;
    let huge = in_huge_pages(HUGE as u64, || works("write", write_all(&huge, &written(1))).map(|()| huge))?;
    preserve(context, 1, vec![(SEALED, sealed), (IN_HUGE_PAGES, huge)])
}

/// What it retrieved it preserves again, with more.
fn preserve(context: &mut Context, generation: u64, mut files: Vec<(u64, OwnedFd)>) -> Result<Notes, Finding> {
    // Who is called off before anything is frozen can go on.
    refused("a kexec without an image", Errno::INVAL, reboot(RebootCommand::Kexec))?;
    let added = ADDED + generation;
    files.push((added, filled(SMALL, added)?));
    let session = works("CREATE_SESSION", Session::create(&name(generation)))?;
    for (token, file) in &files {
        works("PRESERVE_FD", session.preserve(file, *token))?;
        refused("a kexec without an image", Errno::INVAL, reboot(RebootCommand::Kexec))?;
        works("lseek", seek(file, SeekFrom::Start(position(generation))))?;
    }
    context.stay_with((session, files));
    Ok(Notes::of(&())?)
}

/// All that the generation before preserved.
fn retrieve(before: u64) -> Result<Vec<(u64, OwnedFd)>, Finding> {
    let log = kernel_log::read(usize::MAX)?;
    let told = log.lines().find_map(|line| line.split_once("liveupdate number: ")).map(|(_, number)| number.trim());
    same("the number of the live update in the log", Some(before.to_string().as_str()), told)?;
    let session = works("RETRIEVE_SESSION", Session::retrieve(&name(before)))?;
    let tokens = [SEALED, IN_HUGE_PAGES].into_iter().chain((1..=before).map(|generation| ADDED + generation));
    let mut files = Vec::new();
    for token in tokens {
        let file = works(&format!("RETRIEVE_FD of {token}"), session.retrieve_fd(token))?;
        let at = works("lseek", seek(&file, SeekFrom::Current(0)))?;
        same(&format!("the position of {token}"), position(before), at)?;
        match token {
            IN_HUGE_PAGES => holds_all(&file, &written(before))?,
            _ => has(&file, SMALL, token)?,
        }
        let seals = if token == SEALED { SealFlags::GROW } else { SealFlags::SEAL };
        same(&format!("the seals of {token}"), seals, works("F_GET_SEALS", fcntl_get_seals(&file))?)?;
        files.push((token, file));
    }
    works("FINISH", session.finish())?;
    Ok(files)
}

fn holds_all(file: &OwnedFd, expected: &[u8]) -> Result<(), Finding> {
    let mut found = vec![0; expected.len()];
    let read = works("read", rustix::io::pread(file, &mut found, 0))?;
    let wrong = found.iter().zip(expected).position(|(found, expected)| found != expected);
    holds(
        "the bytes of the file in huge pages",
        read == found.len() && wrong.is_none(),
        format!("others from {wrong:?}"),
    )
}

fn go_on(context: &mut Context, generation: u64) -> Result<Notes, Finding> {
    let files = retrieve(generation - 1)?;
    let (_, huge) = &files[1];
    let at = generation * 1_000_000;
    works("write", pwrite(huge, &content(generation, 5000), at))?;
    preserve(context, generation, files)
}

pub(in crate::checks) fn leave_second(context: &mut Context) -> Result<Notes, Finding> {
    go_on(context, 2)
}

pub(in crate::checks) fn leave_third(context: &mut Context) -> Result<Notes, Finding> {
    go_on(context, 3)
}

/// Later generations do not find the session of an earlier one that was finished.
fn is_over(generation: u64) -> Result<(), Finding> {
    let stale = Session::retrieve(&name(generation));
    refused("RETRIEVE_SESSION of one that was finished a kernel ago", Errno::NOENT, stale)
}

pub(in crate::checks) fn find_first(_: &mut Context, _: &Notes) -> Result<(), Finding> {
    is_over(1)
}

pub(in crate::checks) fn find_second(_: &mut Context, _: &Notes) -> Result<(), Finding> {
    is_over(2)
}

pub(in crate::checks) fn find_third(_: &mut Context, _: &Notes) -> Result<(), Finding> {
    retrieve(3).map(drop)
}
