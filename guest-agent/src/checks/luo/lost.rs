//! What the in-tree orchestrator loses or breaks, as of 7.3.4; each is described in `docs/findings/`.

use protocol::check::Notes;
use rustix::{
    fd::OwnedFd,
    fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, fstat, memfd_create},
    io::{Errno, pwrite},
};

use crate::{
    checks::context::{Context, Finding, refused, same, works},
    luo::Session,
};

/// Sessions of a block.
const SESSIONS: usize = (4096 - 16) / 80;
const SESSION: &str = "lost";

/// As many sessions as a block holds, and one more that is refused as its name is in use.
pub(in crate::checks) fn leave_refused_name(context: &mut Context) -> Result<Notes, Finding> {
    let name = |number| format!("full-{number}");
    for number in 0..SESSIONS {
        context.stay_with(works("CREATE_SESSION", Session::create(&name(number)))?);
    }
    refused("CREATE_SESSION of a name in use", Errno::EXIST, Session::create(&name(0)))?;
    Ok(Notes::of(&())?)
}

pub(in crate::checks) fn find_refused_name(_: &mut Context, _: &Notes) -> Result<(), Finding> {
    works("RETRIEVE_SESSION", Session::retrieve("full-0")).map(drop)
}

const ALL: SealFlags = SealFlags::EXEC
    .union(SealFlags::SHRINK)
    .union(SealFlags::GROW)
    .union(SealFlags::WRITE)
    .union(SealFlags::FUTURE_WRITE);

fn seals(file: &OwnedFd) -> Result<SealFlags, Finding> {
    works("F_GET_SEALS", fcntl_get_seals(file))
}

/// One memfd that can be written to and never executed, and one that is sealed after it was preserved.
pub(in crate::checks) fn leave_seals(context: &mut Context) -> Result<Notes, Finding> {
    let session = works("CREATE_SESSION", Session::create(SESSION))?;
    let flags = MemfdFlags::CLOEXEC;
    let data =
        works("memfd_create", memfd_create("data", flags | MemfdFlags::from_bits_retain(libc::MFD_NOEXEC_SEAL)))?;
    same("its seals", SealFlags::EXEC, seals(&data)?)?;
    same("its mode", 0o100_666, works("fstat", fstat(&data))?.st_mode)?;
    works("write", pwrite(&data, b"data", 0))?;
    works("PRESERVE_FD", session.preserve(&data, 0))?;

    let late = works("memfd_create", memfd_create("late", flags | MemfdFlags::ALLOW_SEALING))?;
    works("write", pwrite(&late, b"late", 0))?;
    works("PRESERVE_FD", session.preserve(&late, 1))?;
    works("F_ADD_SEALS to what is preserved", fcntl_add_seals(&late, SealFlags::FUTURE_WRITE | SealFlags::SEAL))?;
    context.stay_with((session, data, late));
    Ok(Notes::of(&())?)
}

/// The one is sealed against writing, and may be executed by its mode; of the other one's seals none is left.
pub(in crate::checks) fn find_seals(_: &mut Context, _: &Notes) -> Result<(), Finding> {
    let session = works("RETRIEVE_SESSION", Session::retrieve(SESSION))?;
    let data = works("RETRIEVE_FD", session.retrieve_fd(0))?;
    same("the seals of what could be written to", ALL, seals(&data)?)?;
    same("its mode", 0o100_777, works("fstat", fstat(&data))?.st_mode)?;
    refused("a write to it", Errno::PERM, pwrite(&data, b"data", 0))?;
    let late = works("RETRIEVE_FD", session.retrieve_fd(1))?;
    same("the seals of what was sealed when it was preserved", SealFlags::empty(), seals(&late)?)?;
    works("a write to it", pwrite(&late, b"late", 0))?;
    works("FINISH", session.finish())
}
