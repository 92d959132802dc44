//! What the next kernel makes of a description that is wrong.
//!
//! The module spoils its own on demand. Which bits is told by the number of kexecs since the cold boot, so that a
//! scenario that repeats a check has another case each time, and a repeated scenario the same ones.

use liveupdate_client::{Drive as _, Preserve as _, PreserveFlags, State, Token};
use protocol::check::Notes;
use rustix::{
    event::{EventfdFlags, eventfd},
    fd::AsFd as _,
    io::Errno,
};

use super::{
    context::{Context, Finding, holds, refused, same, works},
    face::{Side, content, declined, has_content, name_of},
    selftest::Selftest,
};
use crate::kernel_log;

const PARAMETER: &str = "/sys/module/liveupdate_lab/parameters/damage";
pub(super) const BYTES: usize = 5 * 4096;
pub(super) const NAME: &str = "damage";

/// The low four bits of the parameter, as `kmod/core/src/wire/damage.rs` has them.
#[derive(Clone, Copy)]
pub(super) enum What {
    Body = 1,
    BodyFitting = 2,
    Root = 3,
    RootFitting = 4,
    NoHandler = 5,
    NoKind = 6,
    NoInstance = 7,
    Version = 8,
    FirstRoot = 9,
    Framing = 10,
}

/// Kexecs since the cold boot.
fn kexecs() -> u64 {
    let previous = kernel_log::handover().and_then(|handover| handover.previous);
    previous.map_or(0, |previous| previous.count.into())
}

/// Something of every sort, described wrongly.
fn spoil(context: &mut Context, what: What) -> Result<Notes, Finding> {
    spoil_more(context, what, 0)
}

/// The same with so many more files of as many bytes each.
pub(super) fn spoil_more(context: &mut Context, what: What, more: u64) -> Result<Notes, Finding> {
    let (side, selftest) = (Side::fresh(context, NAME)?, Selftest::open(context)?);
    let number = what as u64 | kexecs() << 4;
    std::fs::write(PARAMETER, number.to_string())
        .map_err(|error| Finding::new(format!("{PARAMETER} to take {number}"), error.to_string()))?;
    works("registration", selftest.register(NAME, &[]))?;
    let (file, token) = side.file("ledger", BYTES as u64)?;
    works("write", rustix::io::pwrite(&file, &content(1, BYTES), 0))?;
    for number in 0..more {
        drop(side.file(&format!("more-{number}"), BYTES as u64)?);
    }
    let counter = works("eventfd", eventfd(1, EventfdFlags::CLOEXEC))?;
    let bell = side.preserve(counter.as_fd(), PreserveFlags::NONE)?;
    let memfd = works("memfd_create", rustix::fs::memfd_create(c"check", rustix::fs::MemfdFlags::CLOEXEC))?;
    works("write", rustix::io::write(&memfd, &content(2, BYTES)))?;
    let memfd = side.preserve(memfd.as_fd(), PreserveFlags::MEMFD)?;
    let session = side.create_session(&name_of(NAME)?)?;
    let other = works("eventfd", eventfd(2, EventfdFlags::CLOEXEC))?;
    let other = session.preserve(other.as_fd(), PreserveFlags::NONE)?;
    side.prepare()?;
    side.freeze()?;
    Ok(Notes::of(&[token, bell.get(), memfd.get(), other.get()])?)
}

/// What the module says of a description that it gives up.
const GIVEN_UP: [&str; 5] = [
    "what the previous kernel left is refused (",
    "what the previous kernel left cannot be made out (",
    "what the previous kernel left cannot be found",
    "was not frozen: what it left is dropped",
    "unknown here: ignored",
];

fn given_up() -> Result<bool, Finding> {
    let log = kernel_log::read(kernel_log::LIMIT)?;
    Ok(GIVEN_UP.iter().any(|words| log.contains(words)))
}

/// The machine works on: a new file, a new subsystem, a whole round.
pub(super) fn goes_on(context: &Context, side: Side) -> Result<(), Finding> {
    let selftest = Selftest::open(context)?;
    works("registration", selftest.register("damage-new", &[]))?;
    let (file, _) = side.file("new", BYTES as u64)?;
    works("write", rustix::io::pwrite(&file, &content(3, BYTES), 0))?;
    side.goes_round()?;
    works("unregistration", selftest.unregister("damage-new"))
}

pub(super) fn leave_forged_body(context: &mut Context) -> Result<Notes, Finding> {
    spoil(context, What::BodyFitting)
}

pub(super) fn leave_forged_root(context: &mut Context) -> Result<Notes, Finding> {
    spoil(context, What::RootFitting)
}

/// With a checksum that fits, what is wrong may be anything: it is given up as a whole, or some of it is refused, or
/// it is another thing than it was. But the kernel lives, all that it says is an errno, and FINISH ends it.
pub(super) fn find_forged(context: &mut Context, notes: &Notes) -> Result<(), Finding> {
    let tokens: [u64; 4] = notes.read()?;
    let device = context.device()?;
    if device.state()? == State::Normal {
        holds("the log to say that what was left is given up", given_up()?, "no such line")?;
        return goes_on(context, Side::fresh(context, NAME)?);
    }
    let allowed = |what: &str, result: liveupdate_client::Result<()>| match result {
        Ok(()) => Ok(()),
        Err(error) => {
            let known = [
                Errno::NOENT,
                Errno::IO,
                Errno::PROTO,
                Errno::INVAL,
                Errno::FBIG,
                Errno::EXIST,
                Errno::NOSPC,
                Errno::NOMEM,
                Errno::ACCESS,
            ];
            holds(&format!("{what} to work or be refused"), known.contains(&error.errno()), error.to_string())
        }
    };
    for token in tokens.into_iter().filter_map(Token::new) {
        allowed("a restore", device.restore(token).map(drop))?;
    }
    let session = device.retrieve_session(&name_of(NAME)?);
    for token in tokens.into_iter().filter_map(Token::new) {
        if let Ok(session) = &session {
            allowed("a restore in a session", session.restore(token).map(drop))?;
        }
    }
    allowed("a retrieval of a session", session.map(drop))?;
    let selftest = Selftest::open(context)?;
    works("registration", selftest.register(NAME, &[]))?;
    if let Err(errno) = selftest.data(NAME) {
        refused("data that is not there", Errno::NOENT, Err::<(), _>(errno))?;
    }
    if context.face() == protocol::message::Interface::Kexecfs {
        let builder = liveupdate_client::kexecfs::Instance::builder().name(name_of(NAME)?).retrieve();
        let mounted = builder.mount();
        if let Ok(instance) = &mounted {
            for name in instance.files()? {
                let file = instance.open(&name)?;
                let mut bytes = vec![0; 2 * BYTES];
                works("read of what came back", rustix::io::pread(&file, &mut bytes[..], 0))?;
            }
        }
        allowed("a mount", mounted.map(drop))?;
    }
    device.finish()?;
    works("unregistration", selftest.unregister(NAME))?;
    goes_on(context, Side::fresh(context, "damage-after")?)
}

pub(super) fn leave_without_handler(context: &mut Context) -> Result<Notes, Finding> {
    spoil(context, What::NoHandler)
}

/// Each file is refused with EPROTO, as often as it is asked for, and freed in the end.
pub(super) fn find_without_handler(context: &mut Context, notes: &Notes) -> Result<(), Finding> {
    let side = unrestorable(context, notes, Errno::PROTO)?;
    ended(context, side)
}

pub(super) fn leave_without_kind(context: &mut Context) -> Result<Notes, Finding> {
    spoil(context, What::NoKind)
}

/// No file is there, what is there instead is told of, and freed in the end.
pub(super) fn find_without_kind(context: &mut Context, notes: &Notes) -> Result<(), Finding> {
    let side = unrestorable(context, notes, Errno::NOENT)?;
    let told = kernel_log::read(kernel_log::LIMIT)?.contains("left an object of an unknown kind: it can only be freed");
    holds("the log to tell of the unknown kind", told, "no such line")?;
    ended(context, side)
}

pub(super) fn leave_mistaken(context: &mut Context) -> Result<Notes, Finding> {
    spoil(context, What::NoInstance)
}

/// A session that cannot have been an instance is refused alone: it is not to be had, its file is freed, and
/// everything else is as it was.
pub(super) fn find_mistaken(context: &mut Context, notes: &Notes) -> Result<(), Finding> {
    let [ledger, bell, memfd, other]: [u64; 4] = notes.read()?;
    let side = Side::retrieved(context, NAME)?;
    side.is(State::Updated)?;
    let told = kernel_log::read(kernel_log::LIMIT)?
        .contains(&format!("session {NAME}: left in a way unknown here, it can only be freed"));
    holds("the log to name the session", told, "no such line")?;
    declined("the retrieval of the session", Errno::NOENT, side.retrieve_session(&name_of(NAME)?))?;
    if let Some(other) = Token::new(other) {
        declined("a restore of its file by another session", Errno::NOENT, side.restore(other))?;
    }
    has_content(side.found(ledger, "ledger")?, &content(1, BYTES))?;
    has_content(side.found(memfd, "")?, &content(2, BYTES))?;
    drop(side.found(bell, "")?);
    let status = side.status()?;
    same("files that nobody has", (1, 4), (status.unclaimed, status.inherited))?;
    side.finish()?;
    side.is(State::Normal)?;
    same("pages that were freed: an eventfd has none", 0, side.status()?.freed_pages)?;
    drop(side);
    goes_on(context, Side::fresh(context, "damage-after")?)
}

fn unrestorable(context: &Context, notes: &Notes, errno: Errno) -> Result<Side, Finding> {
    let tokens: [u64; 4] = notes.read()?;
    let side = Side::retrieved(context, NAME)?;
    side.is(State::Updated)?;
    for _ in 0..2 {
        for token in tokens[..3].iter().copied().filter_map(Token::new) {
            declined("a restore of what is not understood", errno, side.restore(token))?;
        }
        let session = side.retrieve_session(&name_of(NAME)?)?;
        let Some(token) = Token::new(tokens[3]) else { return Err(Finding::new("a token", "0")) };
        declined("a restore of what is not understood in a session", errno, session.restore(token))?;
    }
    if let Some(instance) = &side.instance {
        declined("to open a file that is not understood", Errno::NOENT, instance.open("ledger"))?;
    }
    Ok(side)
}

/// Subsystems are none the worse, and FINISH gives back the pages of both files with pages.
fn ended(context: &Context, side: Side) -> Result<(), Finding> {
    let selftest = Selftest::open(context)?;
    works("registration", selftest.register(NAME, &[]))?;
    let data = works("data of a subsystem beside", selftest.data(NAME))?;
    holds("the number that was left", data == super::selftest::number(NAME) + 1, format!("{data:#x}"))?;
    // The memory file, the memfd and both eventfds: nobody has any of them.
    let before = side.status()?;
    let came = format!("{} of {}", before.unclaimed, before.inherited);
    holds("4 of 4 files to be unclaimed", (before.unclaimed, before.inherited) == (4, 4), came)?;
    side.finish()?;
    side.is(State::Normal)?;
    let freed = side.status()?.freed_pages;
    let least = 2 * BYTES as u64 / 4096;
    // A file's folios may be larger than it needs.
    holds(&format!("at least {least} pages to be freed"), freed >= least, format!("{freed}"))?;
    works("unregistration", selftest.unregister(NAME))?;
    goes_on(context, side)
}
