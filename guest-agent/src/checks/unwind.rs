//! What becomes of an update that fails on the way: undone in reverse, as if it had never begun.

use std::os::fd::{AsFd as _, OwnedFd};

use liveupdate_client::{Drive as _, Need, Preserve as _, PreserveFlags, State, Token};
use rustix::{
    event::{EventfdFlags, eventfd},
    fs::{MemfdFlags, memfd_create},
    io::Errno,
};

use super::{
    context::{Context, Finding, holds, refused, same, works},
    face::{Side, content, declined, name_of},
    fault,
    selftest::{Fail, Selftest, each},
};

/// Each needs the one before it.
const CHAIN: [&str; 4] = ["unwind-a", "unwind-b", "unwind-c", "unwind-d"];

fn needs(at: usize) -> Vec<&'static str> {
    at.checked_sub(1).map(|before| CHAIN[before]).into_iter().collect()
}

fn register(selftest: &Selftest, failing: Option<(usize, Fail)>) -> Result<(), Finding> {
    for (at, name) in CHAIN.iter().enumerate() {
        let done = match failing {
            Some((index, fail)) if index == at => selftest.register_failing(name, &needs(at), fail),
            _ => selftest.register(name, &needs(at)),
        };
        works("registration of a subsystem", done)?;
    }
    Ok(())
}

fn unregister(selftest: &Selftest) -> Result<(), Finding> {
    CHAIN.iter().rev().try_for_each(|name| works("unregistration of a subsystem", selftest.unregister(name)))
}

/// A side with a file that comes between the subsystems: it needs the second, and is prepared and frozen after it.
fn side(context: &Context, name: &str) -> Result<(Side, OwnedFd), Finding> {
    let side = Side::fresh(context, name)?;
    let (file, token) = side.file("file", 2 * 4096)?;
    let need = Need::Subsystem(name_of(CHAIN[1])?);
    match Token::new(token) {
        Some(token) => side.depend(token, need)?,
        None => side.depend_as_a_whole(need)?,
    }
    Ok((side, file))
}

/// The file can be written to and, in an instance, the layout changed.
fn is_free(side: &Side, file: &OwnedFd) -> Result<(), Finding> {
    works("write to a file that is not prepared", rustix::io::pwrite(file, b"free", 0))?;
    if let Some(instance) = &side.instance {
        works("ftruncate of a file that is not prepared", rustix::fs::ftruncate(file, 4096))?;
        works("ftruncate of a file that is not prepared", rustix::fs::ftruncate(file, 2 * 4096))?;
        drop(instance.create("passing")?);
        instance.remove("passing")?;
    }
    Ok(())
}

/// Wherever PREPARE fails, all that was prepared is cancelled in reverse, and the next PREPARE works.
pub(super) fn a_failed_prepare_unwinds(context: &mut Context) -> Result<(), Finding> {
    let selftest = Selftest::open(context)?;
    let (side, file) = side(context, "unwind-p")?;
    for (at, name) in CHAIN.iter().enumerate() {
        let errno = Errno::from_raw_os_error(100 + at as i32);
        register(&selftest, Some((at, Fail::Prepare(errno))))?;
        let reason = declined("PREPARE with a subsystem that fails", errno, side.prepare())?;
        let told = reason.starts_with(&format!("prepare of subsystem {name} failed"));
        holds("the reason to name who failed", told, reason)?;
        let prepared = each("prepare", CHAIN[..=at].iter().copied());
        let cancelled = each("cancel", CHAIN[..at].iter().rev().copied());
        selftest.called(&[prepared, cancelled].concat())?;
        side.is(State::Normal)?;
        is_free(&side, &file)?;
        works("unregistration of the one that fails", selftest.unregister(name))?;
        works("registration of one that works", selftest.register(name, &needs(at)))?;
        side.goes_round()?;
        round(&selftest)?;
        unregister(&selftest)?;
    }
    Ok(())
}

/// Wherever FREEZE fails, everything is cancelled in reverse, PREPARE included, and the next update works.
pub(super) fn a_failed_freeze_unwinds(context: &mut Context) -> Result<(), Finding> {
    let selftest = Selftest::open(context)?;
    let (side, file) = side(context, "unwind-f")?;
    for (at, name) in CHAIN.iter().enumerate() {
        let errno = Errno::from_raw_os_error(100 + at as i32);
        register(&selftest, Some((at, Fail::Freeze(errno))))?;
        side.prepare()?;
        if let Some(instance) = &side.instance {
            declined("a new file while it is prepared", Errno::BUSY, instance.create("late"))?;
        }
        let reason = declined("FREEZE with a subsystem that fails", errno, side.freeze())?;
        let told = reason.starts_with(&format!("freeze of subsystem {name} failed"));
        holds("the reason to name who failed", told, reason)?;
        let frozen = each("freeze", CHAIN[..=at].iter().copied());
        let undone = [each("prepare", CHAIN), frozen, each("cancel", CHAIN.into_iter().rev())];
        selftest.called(&undone.concat())?;
        side.is(State::Normal)?;
        is_free(&side, &file)?;
        declined("CANCEL of what is undone", Errno::NOENT, side.cancel())?;
        works("unregistration of the one that fails", selftest.unregister(name))?;
        works("registration of one that works", selftest.register(name, &needs(at)))?;
        side.prepare()?;
        side.freeze()?;
        let written = rustix::io::pwrite(&file, b"late", 0);
        refused("write to a file that is frozen", Errno::BUSY, written)?;
        side.cancel()?;
        is_free(&side, &file)?;
        round(&selftest)?;
        unregister(&selftest)?;
    }
    Ok(())
}

/// Whichever step has no memory: what was done so far is cancelled in exactly the reverse order, NORMAL is left, and
/// the next attempt works.
pub(super) fn every_failed_step_unwinds(context: &mut Context) -> Result<(), Finding> {
    let selftest = Selftest::open(context)?;
    let (side, file) = side(context, "unwind-s")?;
    let counter = works("eventfd", eventfd(1, EventfdFlags::CLOEXEC))?;
    let memfd = works("memfd_create", memfd_create(c"unwind", MemfdFlags::CLOEXEC))?;
    works("write", rustix::io::write(&memfd, &content(1, 3 * 4096)))?;
    for (sort, flags) in [(&counter, PreserveFlags::NONE), (&memfd, PreserveFlags::MEMFD)] {
        let token = side.preserve(sort.as_fd(), flags)?;
        side.depend(token, Need::Subsystem(name_of(CHAIN[2])?))?;
    }
    register(&selftest, None)?;
    let undone = || {
        side.is(State::Normal)?;
        is_free(&side, &file)?;
        works("ftruncate of a memfd that is not prepared", rustix::fs::ftruncate(&memfd, 3 * 4096))
    };
    let whole = || {
        side.goes_round()?;
        round(&selftest)
    };

    // How many subsystems were prepared when a step failed: none, those before the file, all before the memfd, all.
    let mut reached = [0; CHAIN.len() + 1];
    let failures = fault::at_every_step(
        "PREPARE",
        || side.prepare(),
        || {
            let calls = selftest.calls()?;
            let prepared = calls.len() / 2;
            let in_reverse = each("cancel", CHAIN.iter().take(prepared).rev().copied());
            let expected = [each("prepare", CHAIN.iter().take(prepared).copied()), in_reverse].concat();
            same("the callbacks of a PREPARE that failed", expected, calls)?;
            if let Some(times) = reached.get_mut(prepared) {
                *times += 1;
            }
            undone()?;
            whole()
        },
        |()| {
            side.freeze()?;
            side.cancel()?;
            round(&selftest)
        },
    )?;
    let between = reached[2] > 0 && reached[4] > 0;
    holds("PREPARE to fail after the second subsystem and after the last", between, format!("{reached:?}"))?;
    holds("PREPARE to have 10 steps that fail at least", failures >= 10, failures.to_string())?;

    side.prepare()?;
    let failures = fault::at_every_step(
        "FREEZE",
        || side.freeze(),
        || {
            let calls = selftest.calls()?;
            let frozen = calls.iter().filter(|call| call.starts_with("freeze ")).count();
            let frozen = each("freeze", CHAIN.iter().take(frozen).copied());
            let expected = [each("prepare", CHAIN), frozen, each("cancel", CHAIN.into_iter().rev())].concat();
            same("the callbacks of a FREEZE that failed", expected, calls)?;
            undone()?;
            whole()?;
            Ok(side.prepare()?)
        },
        |()| {
            side.cancel()?;
            round(&selftest)?;
            Ok(side.prepare()?)
        },
    )?;
    holds("FREEZE to have a step that fails", failures >= 1, failures.to_string())?;
    side.cancel()?;
    undone()?;
    selftest.calls()?;
    drop(side);
    unregister(&selftest)
}

/// What a whole attempt calls.
fn round(selftest: &Selftest) -> Result<(), Finding> {
    let cancelled = each("cancel", CHAIN.into_iter().rev());
    selftest.called(&[each("prepare", CHAIN), each("freeze", CHAIN), cancelled].concat())
}
