//! Names and tokens, to the last byte and bit; and what a session that came in answers.

use std::os::fd::AsFd as _;

use protocol::check::Notes;
use rustix::{
    fd::OwnedFd,
    fs::{SeekFrom, fstat, seek},
    io::{Errno, dup},
};

use super::filled;
use crate::{
    checks::{
        context::{Context, Finding, refused, same, works},
        raw::{Argument, IN_TREE, any_call},
        seat::has,
    },
    luo::Session,
};

const BYTES: usize = 4096 + 17;
const GET_NAME: u32 = 0x43;
const FINISH: u32 = 0x42;

/// Names that one would be taken for another if they were compared short, long or up to where one ends. The longer come
/// first, so that who looks for a beginning finds the wrong one.
fn names() -> Vec<String> {
    let longest = "x".repeat(62);
    let some =
        ["database-replica", "database", "datab", "ab", "a", "A", " ", "b/../a", "s\u{e9}ance \u{1f600}", "%s%n"];
    let long = [format!("{longest}2"), format!("{longest}1"), longest];
    long.into_iter().chain(some.map(str::to_owned)).collect()
}

/// The same of tokens.
const TOKENS: [u64; 7] = [0, 1, 1 << 32, 1 << 32 | 1, 1 << 63, u64::MAX, u64::MAX >> 32];
/// Those that nobody has used, though they look much like it.
const FOREIGN: [u64; 4] = [2, 2 << 32, 2 << 32 | 1, u64::MAX - 1];

/// What a file holds follows from whose it is.
fn seed(session: usize, token: u64) -> u64 {
    token.wrapping_mul(31).wrapping_add(session as u64)
}

fn name_of(session: &Session, reserved: u32) -> Result<String, Errno> {
    let mut memory = Argument::new().map_err(|_| Errno::NOMEM)?;
    let mut call = [0; 72];
    call[..4].copy_from_slice(&72u32.to_le_bytes());
    call[4..8].copy_from_slice(&reserved.to_le_bytes());
    let at = memory.put(&call).map_err(|_| Errno::NOMEM)?;
    any_call(session, IN_TREE << 8 | GET_NAME, at)?;
    let name = memory.last(64);
    let end = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
    Ok(String::from_utf8_lossy(&name[..end]).into_owned())
}

pub(in crate::checks) fn leave(context: &mut Context) -> Result<Notes, Finding> {
    let names = names();
    for (at, name) in names.iter().enumerate() {
        let session = works(&format!("CREATE_SESSION of {name:?}"), Session::create(name))?;
        same("what GET_NAME tells", Ok(name.clone()), name_of(&session, 0))?;
        refused("GET_NAME with a reserved field", Errno::INVAL, name_of(&session, 1))?;
        for token in TOKENS {
            works("PRESERVE_FD", session.preserve(filled(BYTES, seed(at, token))?, token))?;
        }
        context.stay_with(session);
    }
    for name in &names {
        refused(&format!("CREATE_SESSION of {name:?} again"), Errno::EXIST, Session::create(name))?;
    }
    refused("CREATE_SESSION of no name", Errno::INVAL, Session::create(""))?;
    refused("RETRIEVE_SESSION of one of this kernel's", Errno::NOENT, Session::retrieve("a"))?;
    Ok(Notes::of(&())?)
}

pub(in crate::checks) fn find(_: &mut Context, notes: &Notes) -> Result<(), Finding> {
    let (): () = notes.read()?;
    for unknown in ["database-", "d", "aa", "B", "", &"x".repeat(61)] {
        refused(&format!("RETRIEVE_SESSION of {unknown:?}"), Errno::NOENT, Session::retrieve(unknown))?;
    }
    // In the order in which they were made the wrong ones would come last.
    for (at, name) in names().iter().enumerate().rev() {
        let session = works(&format!("RETRIEVE_SESSION of {name:?}"), Session::retrieve(name))?;
        refused(&format!("RETRIEVE_SESSION of {name:?} again"), Errno::INVAL, Session::retrieve(name))?;
        same("what GET_NAME tells", Ok(name.clone()), name_of(&session, 0))?;
        let files = holds_its_own(&session, at)?;
        if at == 0 {
            answers_as_incoming(&session, &files[0])?;
        }
        works("FINISH", session.finish())?;
        refused("RETRIEVE_FD after FINISH", Errno::NOENT, session.retrieve_fd(TOKENS[0]))?;
        drop(session);
        for (file, token) in files.iter().zip(TOKENS) {
            has(file, BYTES, seed(at, token))?;
        }
        refused(&format!("RETRIEVE_SESSION of {name:?} when it is closed"), Errno::NOENT, Session::retrieve(name))?;
    }
    Ok(())
}

/// Each token gives its own file, any number of times.
fn holds_its_own(session: &Session, at: usize) -> Result<Vec<OwnedFd>, Finding> {
    for token in FOREIGN {
        refused(&format!("RETRIEVE_FD of {token:#x}"), Errno::NOENT, session.retrieve_fd(token))?;
    }
    let mut files = Vec::new();
    for token in TOKENS.into_iter().rev() {
        let file = works("RETRIEVE_FD", session.retrieve_fd(token))?;
        has(&file, BYTES, seed(at, token))?;
        files.push(file);
    }
    files.reverse();
    let first = &files[0];
    let again = works("RETRIEVE_FD for a second time", session.retrieve_fd(TOKENS[0]))?;
    same("the inode of what was retrieved twice", inode(first)?, inode(&again)?)?;
    works("lseek", seek(first, SeekFrom::Start(77)))?;
    same("the position of what was retrieved twice", 77, works("lseek", seek(&again, SeekFrom::Current(0)))?)?;
    // All that user space has of the last one is closed, twice over: the session has it still.
    let last = TOKENS.len() - 1;
    drop(works("RETRIEVE_FD for a second time", session.retrieve_fd(TOKENS[last]))?);
    let kept = files.pop();
    drop(works("RETRIEVE_FD for a third time", session.retrieve_fd(TOKENS[last]))?);
    drop(kept);
    files.push(works("RETRIEVE_FD of what was closed", session.retrieve_fd(TOKENS[last]))?);
    has(&files[last], BYTES, seed(at, TOKENS[last]))?;
    Ok(files)
}

fn inode(file: &OwnedFd) -> Result<u64, Finding> {
    Ok(works("fstat", fstat(file))?.st_ino)
}

/// What is for sessions that go out is refused; reserved fields have to be zero; and names of the two kinds are apart.
fn answers_as_incoming(session: &Session, file: &OwnedFd) -> Result<(), Finding> {
    let other = filled(BYTES, 1)?;
    refused("PRESERVE_FD in a session that came in", Errno::INVAL, session.preserve(&other, 99))?;
    let mut memory = Argument::new()?;
    let mut finish = |words: [u32; 2]| -> Result<(), Errno> {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let at = memory.put(&bytes).map_err(|_| Errno::NOMEM)?;
        any_call(session, IN_TREE << 8 | FINISH, at)
    };
    refused("FINISH with a reserved field", Errno::INVAL, finish([8, 1]))?;
    refused("FINISH with too small a size", Errno::INVAL, finish([4, 0]))?;
    let new = works("CREATE_SESSION of a name that came in", Session::create(&names()[0]))?;
    refused("PRESERVE_FD of what is not finished", Errno::BUSY, new.preserve(file, 0))?;
    works("PRESERVE_FD in the new session", new.preserve(&other, 0))?;
    let copy = works("dup", dup(new.as_fd()))?;
    refused("RETRIEVE_FD in the new session", Errno::INVAL, Session::from(copy).retrieve_fd(TOKENS[0]))
}
