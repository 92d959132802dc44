//! As many sessions and files as blocks hold, to the last one; and many more.

use protocol::check::Notes;
use rustix::{
    fs::{MemfdFlags, memfd_create},
    io::{Errno, pread, pwrite},
};

use super::many_files;
use crate::{
    checks::context::{Context, Finding, refused, same, works},
    luo::Session,
};

/// What a block of 4 KiB holds behind its header of 16 bytes: sessions of 80 bytes each, files of 64.
const SESSIONS: usize = (4096 - 16) / 80;
const FILES: usize = (4096 - 16) / 64;

/// Two blocks of sessions, full.
const ALL: usize = 2 * SESSIONS;

/// How many files the sessions have: as many as blocks hold, one less, one more, and none.
fn files(session: usize) -> usize {
    match session {
        0 => FILES,
        1 => 2 * FILES,
        2 => FILES - 1,
        3 => FILES + 1,
        4 => 0,
        5 => 2 * FILES + 1,
        // Those before are asked for one more, in vain; these are not.
        8 => FILES,
        9 => 2 * FILES,
        _ => 1,
    }
}

fn name(session: usize) -> String {
    format!("block-{session}")
}

fn word(session: usize, token: usize) -> [u8; 8] {
    (((session as u64) << 32 | token as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1).to_le_bytes()
}

fn preserve(session: &Session, number: usize, token: usize) -> Result<(), Finding> {
    let file = works("memfd_create", memfd_create("block", MemfdFlags::CLOEXEC))?;
    works("write", pwrite(&file, &word(number, token), 0))?;
    works(&format!("PRESERVE_FD of file {token} of session {number}"), session.preserve(&file, token as u64))
}

fn is_there(session: &Session, number: usize, token: usize) -> Result<(), Finding> {
    let what = format!("file {token} of session {number}");
    let file = works(&format!("RETRIEVE_FD of {what}"), session.retrieve_fd(token as u64))?;
    let mut found = [0; 9];
    let read = works("read", pread(&file, &mut found, 0))?;
    same(
        &format!("the bytes of {what}"),
        (8, word(number, token)),
        (read, [0, 1, 2, 3, 4, 5, 6, 7].map(|at| found[at])),
    )
}

/// The last block is full in the end, having been begun and taken back, and refusals have asked for one more.
pub(in crate::checks) fn leave_full(context: &mut Context) -> Result<Notes, Finding> {
    many_files()?;
    let mut sessions = Vec::new();
    for number in 0..ALL + 2 {
        let session = works(&format!("CREATE_SESSION of number {number}"), Session::create(&name(number)))?;
        (0..files(number)).try_for_each(|token| preserve(&session, number, token))?;
        sessions.push(session);
    }
    for (number, session) in sessions.iter().enumerate().take(8) {
        refused("PRESERVE_FD of a session", Errno::NOENT, session.preserve(session, files(number) as u64))?;
    }
    sessions.truncate(ALL);
    context.stay_with(sessions);
    Ok(Notes::of(&())?)
}

pub(in crate::checks) fn find_full(_: &mut Context, notes: &Notes) -> Result<(), Finding> {
    let (): () = notes.read()?;
    many_files()?;
    for number in 0..ALL {
        let session = works(&format!("RETRIEVE_SESSION of number {number}"), Session::retrieve(&name(number)))?;
        (0..files(number)).try_for_each(|token| is_there(&session, number, token))?;
        refused("RETRIEVE_FD of one more", Errno::NOENT, session.retrieve_fd(files(number) as u64))?;
        works("FINISH", session.finish())?;
    }
    refused("RETRIEVE_SESSION of one that was closed", Errno::NOENT, Session::retrieve(&name(ALL)))
}

/// More than a handful of blocks of either, full ones, to which nobody asks for one more.
const MANY_SESSIONS: usize = 22 * SESSIONS;
const MANY_FILES: usize = 16 * FILES;

pub(in crate::checks) fn leave_many(context: &mut Context) -> Result<Notes, Finding> {
    many_files()?;
    let mut sessions = Vec::new();
    for number in 0..MANY_SESSIONS {
        let session = works(&format!("CREATE_SESSION of number {number}"), Session::create(&name(number)))?;
        let files = if number == 0 { MANY_FILES } else { number % 2 };
        (0..files).try_for_each(|token| preserve(&session, number, token))?;
        sessions.push(session);
    }
    context.stay_with(sessions);
    Ok(Notes::of(&())?)
}

pub(in crate::checks) fn find_many(_: &mut Context, notes: &Notes) -> Result<(), Finding> {
    let (): () = notes.read()?;
    many_files()?;
    for number in (0..MANY_SESSIONS).rev() {
        let session = works(&format!("RETRIEVE_SESSION of number {number}"), Session::retrieve(&name(number)))?;
        let files = if number == 0 { MANY_FILES } else { number % 2 };
        (0..files).try_for_each(|token| is_there(&session, number, token))?;
        refused("RETRIEVE_FD of one more", Errno::NOENT, session.retrieve_fd(files as u64))?;
        // Every other one ends without a word.
        if number % 4 < 2 {
            works("FINISH", session.finish())?;
        }
    }
    Ok(())
}
