//! What is retrieved, what cannot be, and what nobody asks for.

use std::fs;

use protocol::check::Notes;
use rustix::{
    io::Errno,
    process::{Resource, Rlimit, getrlimit, setrlimit},
};

use super::filled;
use crate::{
    checks::{
        aside::Aside,
        context::{Context, Finding, done, holds, refused, same, works},
        privilege::become_user,
        seat::has,
    },
    luo::Session,
    memory,
};

const MIB: u64 = 1 << 20;
/// By how much free memory may differ from what is to be expected.
const SLACK: u64 = 2 * MIB;
const SMALL: usize = 3 * 4096;
const LARGE: usize = 48 << 20;
const USER: u32 = 1000;
/// Most files that may be open; the bound does not hold for the privileged.
const MOST_FILES: &str = "/proc/sys/fs/file-max";

/// A small file and a large one, in a session of this name.
fn leave(context: &mut Context, name: &str) -> Result<Notes, Finding> {
    let session = works("CREATE_SESSION", Session::create(name))?;
    let files = [filled(SMALL, 1)?, filled(LARGE, 2)?];
    for (token, file) in files.iter().enumerate() {
        works("PRESERVE_FD", session.preserve(file, token as u64))?;
    }
    context.stay_with((session, files));
    Ok(Notes::of(&())?)
}

pub(in crate::checks) fn leave_unclaimed(context: &mut Context) -> Result<Notes, Finding> {
    leave(context, "unclaimed")
}

/// FINISH gives back the pages of what nobody retrieved, and leaves what was retrieved as it is.
pub(in crate::checks) fn finish_frees_the_unclaimed(_: &mut Context, notes: &Notes) -> Result<(), Finding> {
    let (): () = notes.read()?;
    let session = works("RETRIEVE_SESSION", Session::retrieve("unclaimed"))?;
    refused("RETRIEVE_SESSION for a second time", Errno::INVAL, Session::retrieve("unclaimed"))?;
    let small = works("RETRIEVE_FD", session.retrieve_fd(0))?;
    let before = memory::settled()?.free;
    works("FINISH", session.finish())?;
    let back = memory::settled()?.free.saturating_sub(before);
    holds(
        &format!("FINISH to give back {LARGE} bytes"),
        back.abs_diff(LARGE as u64) <= SLACK,
        format!("{back} bytes"),
    )?;
    refused("RETRIEVE_FD after FINISH", Errno::NOENT, session.retrieve_fd(1))?;
    has(&small, SMALL, 1)
}

pub(in crate::checks) fn leave_to_fail(context: &mut Context) -> Result<Notes, Finding> {
    leave(context, "failing")
}

/// A RETRIEVE_FD that fails before the file's handler is asked can be tried again. One that fails within it (here:
/// the system's table of files is full) fails for good, and its pages are lost until the next boot.
pub(in crate::checks) fn failed_retrieval_is_final(_: &mut Context, notes: &Notes) -> Result<(), Finding> {
    let (): () = notes.read()?;
    let session = works("RETRIEVE_SESSION", Session::retrieve("failing"))?;
    let limit = getrlimit(Resource::Nofile);
    works("setrlimit", setrlimit(Resource::Nofile, Rlimit { current: Some(0), ..limit }))?;
    let refusal = session.retrieve_fd(0);
    works("setrlimit", setrlimit(Resource::Nofile, limit))?;
    refused("RETRIEVE_FD without a free descriptor", Errno::MFILE, refusal)?;
    has(&works("RETRIEVE_FD at the second attempt", session.retrieve_fd(0))?, SMALL, 1)?;

    let before = memory::settled()?.free;
    let most = done("read of file-max", fs::read_to_string(MOST_FILES))?;
    done("write to file-max", fs::write(MOST_FILES, "0"))?;
    let refusal = as_user(&session);
    done("write to file-max", fs::write(MOST_FILES, most))?;
    same("what RETRIEVE_FD gives when there can be no more files", Errno::NFILE.raw_os_error(), refusal?)?;
    drop(filled(SMALL, 3)?);
    refused("RETRIEVE_FD at the second attempt", Errno::NFILE, session.retrieve_fd(1))?;
    works("FINISH", session.finish())?;
    let back = memory::settled()?.free.saturating_sub(before);
    holds("the pages of the failed file to be lost", back <= SLACK, format!("{back} bytes came back"))
}

/// Retrieves the large file without privileges, and gives the errno of that.
fn as_user(session: &Session) -> Result<i32, Finding> {
    Aside::run(|| {
        become_user(USER)?;
        Ok(session.retrieve_fd(1).map_or_else(|errno| errno.raw_os_error(), |_| 0))
    })
}
