//! What a memfd is besides its bytes: size, position, seals, flags, mode; and what is known to be lost.

use protocol::check::Notes;
use rustix::{
    fd::OwnedFd,
    fs::{
        MemfdFlags, OFlags, SealFlags, SeekFrom, fcntl_add_seals, fcntl_get_seals, fcntl_getfl, fstat, ftruncate,
        memfd_create, seek,
    },
    io::{Errno, FdFlags, fcntl_getfd, pwrite},
};

use crate::{
    checks::{
        context::{Context, Finding, done, holds, refused, same, works},
        seat::{content, has},
    },
    frames::write_all,
    luo::Session,
};

const SESSION: &str = "metadata";

/// A memfd that may be sealed, and is.
struct Case {
    bytes: usize,
    /// Where its position stands when it is preserved, and at the kexec.
    positions: [u64; 2],
    seals: SealFlags,
}

const GIB: u64 = 1 << 30;

const fn case(bytes: usize, positions: [u64; 2], seals: SealFlags) -> Case {
    Case { bytes, positions, seals }
}

const CASES: [Case; 9] = [
    case(0, [0, 0], SealFlags::empty()),
    case(1, [0, 1], SealFlags::GROW),
    case(4095, [4095, 17], SealFlags::SHRINK),
    case(4096, [4096, 0], SealFlags::WRITE),
    case(4097, [1, 4097], SealFlags::FUTURE_WRITE),
    case(100, [7, 5 * GIB + 7], SealFlags::GROW.union(SealFlags::SHRINK)),
    case(8192, [9 * GIB, 3], SealFlags::WRITE.union(SealFlags::SEAL)),
    case(12_345, [12_345, 12_345], SealFlags::SEAL),
    case(3 * 4096, [100, 200], ALL_BUT_EXEC),
];

const ALL_BUT_EXEC: SealFlags = SealFlags::GROW
    .union(SealFlags::SHRINK)
    .union(SealFlags::WRITE)
    .union(SealFlags::FUTURE_WRITE)
    .union(SealFlags::SEAL);

fn position(file: &OwnedFd) -> Result<u64, Finding> {
    works("lseek", seek(file, SeekFrom::Current(0)))
}

pub(in crate::checks) fn leave(context: &mut Context) -> Result<Notes, Finding> {
    let session = works("CREATE_SESSION", Session::create(SESSION))?;
    let mut files = Vec::new();
    for (token, case) in CASES.iter().enumerate() {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = works("memfd_create", memfd_create(format!("name-{token}"), flags))?;
        works("write", write_all(&file, &content(token as u64, case.bytes)))?;
        works("F_ADD_SEALS", fcntl_add_seals(&file, case.seals))?;
        works("lseek", seek(&file, SeekFrom::Start(case.positions[0])))?;
        works("PRESERVE_FD", session.preserve(&file, token as u64))?;
        works("lseek", seek(&file, SeekFrom::Start(case.positions[1])))?;
        files.push(file);
    }
    // One that could not be sealed to begin with.
    let plain = works("memfd_create", memfd_create("plain", MemfdFlags::CLOEXEC))?;
    works("PRESERVE_FD", session.preserve(&plain, u64::MAX))?;
    context.stay_with((session, files, plain));
    Ok(Notes::of(&())?)
}

pub(in crate::checks) fn find(_: &mut Context, notes: &Notes) -> Result<(), Finding> {
    let (): () = notes.read()?;
    let session = works("RETRIEVE_SESSION", Session::retrieve(SESSION))?;
    closes_on_exec("the session", &session)?;
    for (token, case) in CASES.iter().enumerate() {
        let what = format!("memfd {token}");
        let file = works("RETRIEVE_FD", session.retrieve_fd(token as u64))?;
        closes_on_exec(&what, &file)?;
        let stat = works("fstat", fstat(&file))?;
        same(&format!("the size of {what}"), case.bytes as i64, stat.st_size)?;
        same(&format!("the mode of {what}"), 0o100_777, stat.st_mode)?;
        same(&format!("the links of {what}"), 0, stat.st_nlink)?;
        same(&format!("the position of {what}"), case.positions[1], position(&file)?)?;
        same(&format!("the seals of {what}"), case.seals, works("F_GET_SEALS", fcntl_get_seals(&file))?)?;
        let flags = works("F_GETFL", fcntl_getfl(&file))?;
        let known = OFlags::RWMODE | OFlags::APPEND | OFlags::NONBLOCK | OFlags::DIRECT | OFlags::SYNC;
        same(&format!("how {what} is open"), OFlags::RDWR, flags & known)?;
        // It is known to be lost; whose it is then is nobody else's.
        let name = name(&file)?;
        let so = name == "/ (deleted)" || name == format!("/memfd:name-{token} (deleted)");
        holds(&format!("the name of {what} to be its own, or none"), so, name)?;
        has(&file, case.bytes, token as u64)?;
        seals_hold(&file, case).map_err(|finding| told_of(finding, &what))?;
    }
    let plain = works("RETRIEVE_FD", session.retrieve_fd(u64::MAX))?;
    same("the seals of what cannot be sealed", SealFlags::SEAL, works("F_GET_SEALS", fcntl_get_seals(&plain))?)?;
    refused("F_ADD_SEALS to it", Errno::PERM, fcntl_add_seals(&plain, SealFlags::GROW))?;
    works("write to it", write_all(&plain, b"after"))?;
    works("FINISH", session.finish())
}

fn told_of(finding: Finding, what: &str) -> Finding {
    match finding {
        Finding::Contradicted { expected, came } => Finding::new(format!("of {what}: {expected}"), came),
        other => other,
    }
}

fn closes_on_exec(what: &str, file: impl rustix::fd::AsFd) -> Result<(), Finding> {
    same(&format!("the flags of {what}'s descriptor"), FdFlags::CLOEXEC, works("F_GETFD", fcntl_getfd(file))?)
}

/// What /proc calls it.
fn name(file: &OwnedFd) -> Result<String, Finding> {
    use std::os::fd::AsRawFd as _;
    let link = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()));
    Ok(done("readlink", link)?.to_string_lossy().into_owned())
}

/// A seal is no mere word: what it forbids is refused, and what it does not works.
fn seals_hold(file: &OwnedFd, case: &Case) -> Result<(), Finding> {
    let has = |seal| case.seals.contains(seal);
    let size = case.bytes as u64;
    let judge = |what: &str, forbidden: bool, result: Result<(), Errno>| match forbidden {
        true => refused(what, Errno::PERM, result),
        false => works(what, result),
    };
    if size > 0 {
        let sealed = has(SealFlags::WRITE) || has(SealFlags::FUTURE_WRITE);
        judge("a write", sealed, pwrite(file, b"!", 0).map(drop))?;
    }
    judge("to grow", has(SealFlags::GROW), ftruncate(file, size + 4096))?;
    if !has(SealFlags::GROW) {
        judge("to shrink", has(SealFlags::SHRINK), ftruncate(file, size))?;
    }
    let more = fcntl_add_seals(file, SealFlags::GROW);
    judge("one more seal", has(SealFlags::SEAL), more)
}
