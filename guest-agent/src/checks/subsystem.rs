//! Subsystems, and where the machine's state is told.

use std::{fs::File, os::unix::fs::FileExt as _, time::Duration};

use liveupdate_client::{Drive as _, State};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{Mode, OFlags},
    io::Errno,
};

use super::{
    context::{Context, Finding, holds, refused, same, works},
    face::Side,
    selftest::{self, Selftest, each},
};

const STATE: &str = "/sys/kernel/liveupdate_lab/state";

/// In every state that one kernel can be in, all who tell it tell the same, and wake who waits for it.
pub(super) fn the_state_is_told_everywhere(context: &mut Context) -> Result<(), Finding> {
    let side = Side::fresh(context, "told")?;
    let control = rustix::fs::open(STATE, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty());
    refused("to open the state in sysfs for writing", Errno::ACCESS, control)?;
    let sysfs = File::open(STATE).map_err(|error| Finding::new(format!("{STATE} to open"), error.to_string()))?;
    let file = side.instance.as_ref().map(|instance| instance.state()).transpose()?;
    let tell = |state: State, changed: bool| {
        side.is(state)?;
        holds("sysfs to wake who waits exactly when the state changes", woken(&sysfs)? == changed, format!("{state}"))?;
        same("the state in sysfs", format!("{state}\n"), text(&sysfs)?)?;
        let Some(file) = &file else { return Ok(()) };
        let heard = file.wait(Some(Duration::ZERO))?;
        holds("the file to wake who waits exactly when the state changes", heard == changed, format!("{state}"))?;
        same("the state in the instance's file", state, file.read()?)
    };
    text(&sysfs)?;
    file.as_ref().map(|file| file.read()).transpose()?;
    tell(State::Normal, false)?;
    side.prepare()?;
    tell(State::Prepared, true)?;
    tell(State::Prepared, false)?;
    side.freeze()?;
    tell(State::Frozen, true)?;
    side.cancel()?;
    tell(State::Normal, true)?;
    side.prepare()?;
    side.cancel()?;
    tell(State::Normal, true)
}

fn text(sysfs: &File) -> Result<String, Finding> {
    let mut text = [0; 64];
    let read =
        sysfs.read_at(&mut text, 0).map_err(|error| Finding::new(format!("{STATE} to read"), error.to_string()))?;
    Ok(String::from_utf8_lossy(&text[..read]).into_owned())
}

fn woken(sysfs: &File) -> Result<bool, Finding> {
    let mut wanted = [PollFd::new(sysfs, PollFlags::PRI)];
    works("poll of the state in sysfs", poll(&mut wanted, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })))?;
    Ok(wanted[0].revents().contains(PollFlags::PRI))
}

/// Registered once, unregistered once, and then again.
pub(super) fn subsystems_register_once(context: &mut Context) -> Result<(), Finding> {
    let (side, selftest) = (Side::fresh(context, "once")?, Selftest::open(context)?);
    let before = side.status()?.participants;
    for _ in 0..3 {
        works("registration", selftest.register("once", &[]))?;
        same("what is registered", before + 1, side.status()?.participants)?;
        refused("a second registration of one name", Errno::EXIST, selftest.register("once", &[]))?;
        works("unregistration", selftest.unregister("once"))?;
        same("what is registered", before, side.status()?.participants)?;
        refused("a second unregistration", Errno::NOENT, selftest.unregister("once"))?;
    }
    refused("the unregistration of one that never was", Errno::NOENT, selftest.unregister("never"))?;
    for bad in ["", "a/b", &"x".repeat(200)[..63].replace('x', "/")] {
        refused("a bad name", Errno::INVAL, selftest.register(bad, &[]))?;
    }
    let longest = "x".repeat(63);
    works("registration of the longest name", selftest.register(&longest, &[]))?;
    works("unregistration of the longest name", selftest.unregister(&longest))
}

/// EBUSY while an update is prepared, and nothing changes.
pub(super) fn subsystems_are_fixed_while_prepared(context: &mut Context) -> Result<(), Finding> {
    let (side, selftest) = (Side::fresh(context, "fixed")?, Selftest::open(context)?);
    works("registration", selftest.register("fixed", &[]))?;
    side.prepare()?;
    for state in [State::Prepared, State::Frozen] {
        side.is(state)?;
        refused("a registration while an update is prepared", Errno::BUSY, selftest.register("late", &[]))?;
        refused("an unregistration while an update is prepared", Errno::BUSY, selftest.unregister("fixed"))?;
        refused("data before an update", Errno::BUSY, selftest.data("fixed"))?;
        if state == State::Prepared {
            side.freeze()?;
        }
    }
    side.cancel()?;
    refused("data without an update", Errno::BUSY, selftest.data("fixed"))?;
    selftest.called(&["prepare fixed", "freeze fixed", "cancel fixed"].map(str::to_owned))?;
    works("unregistration", selftest.unregister("fixed"))?;
    refused("the unregistration of what was refused", Errno::NOENT, selftest.unregister("late"))
}

/// All of them take part, in the order of their registration.
pub(super) fn a_thousand_subsystems(context: &mut Context) -> Result<(), Finding> {
    let (side, selftest) = (Side::fresh(context, "many")?, Selftest::open(context)?);
    let before = side.status()?.participants;
    let names: Vec<String> = (0..1000).map(|number| format!("m{number}")).collect();
    for name in &names {
        works("registration", selftest.register(name, &[]))?;
    }
    same("what is registered", before + 1000, side.status()?.participants)?;
    let order = |what| each(what, names.iter().map(String::as_str));
    side.prepare()?;
    selftest.called(&order("prepare"))?;
    side.freeze()?;
    selftest.called(&order("freeze"))?;
    side.cancel()?;
    selftest.called(&order("cancel").into_iter().rev().collect::<Vec<_>>())?;
    for name in &names {
        works("unregistration", selftest.unregister(name))?;
    }
    same("what is registered", before, side.status()?.participants)?;
    side.goes_round()?;
    selftest.called(&[])
}

const THREADS: u32 = 8;
const ROUNDS: u32 = 1000;

/// Registrations against one another and against PREPARE and CANCEL: each ends as one of the ways that it may end.
pub(super) fn subsystems_race(context: &mut Context) -> Result<(), Finding> {
    let (side, selftest) = (Side::fresh(context, "race")?, Selftest::open(context)?);
    let before = side.status()?.participants;
    let (race, rounds) = std::thread::scope(|scope| {
        let race = scope.spawn(|| selftest.race(THREADS, ROUNDS));
        let mut rounds = 0;
        while !race.is_finished() {
            if let Err(finding) = side.goes_round() {
                return (Err(finding), rounds);
            }
            rounds += 1;
            std::thread::sleep(Duration::from_millis(1));
        }
        let ended = race.join().unwrap_or(Err(Errno::CANCELED));
        (works("the race", ended), rounds)
    });
    let race = race?;
    holds("updates to be tried meanwhile", rounds > 0, "the race was over before")?;
    let all = u64::from(THREADS * ROUNDS);
    same("attempts", all, race.registered + race.exist + race.busy + race.other)?;
    same("attempts that failed in another way than they may", 0, race.other)?;
    holds("registrations to succeed", race.registered > 0, format!("{race:?}"))?;
    same("what is registered", before, side.status()?.participants)?;
    side.goes_round()
}

/// A module whose subsystem is prepared stays; afterwards it can go, and takes its subsystems with it.
pub(super) fn a_module_in_use_stays(context: &mut Context) -> Result<(), Finding> {
    let (side, selftest) = (Side::fresh(context, "use")?, Selftest::open(context)?);
    let before = side.status()?.participants;
    works("registration", selftest.register("use-a", &[]))?;
    works("registration", selftest.register("use-b", &["use-a"]))?;
    drop(selftest);
    side.prepare()?;
    refused("to unload a module whose subsystem is prepared", Errno::AGAIN, selftest::unload())?;
    side.freeze()?;
    refused("to unload a module whose subsystem is frozen", Errno::AGAIN, selftest::unload())?;
    side.cancel()?;
    works("to unload it after CANCEL", selftest::unload())?;
    same("what is registered", before, side.status()?.participants)?;
    side.goes_round()?;
    // Once more, with nobody in its way.
    let selftest = Selftest::open(context)?;
    works("registration under the old name", selftest.register("use-a", &[]))?;
    side.goes_round()?;
    selftest.called(&["prepare use-a", "freeze use-a", "cancel use-a"].map(str::to_owned))?;
    works("to unload it", selftest.unload())?;
    same("what is registered", before, side.status()?.participants)
}
