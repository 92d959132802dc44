//! What somebody who looks on is shown.

use std::{fs, fs::File, io::Read as _, path::Path};

use liveupdate_client::{Control, Drive as _, Event, PageSize, Preserve as _, PreserveFlags};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{Mode, OFlags, SeekFrom, open, seek},
    io::Errno,
    mount::{MountFlags, mount},
};

use super::{
    context::{Context, Finding, done, holds, same, works},
    seat::filled,
};

const STATE: &str = "/sys/kernel/liveupdate_lab/state";
const DEBUGFS: &str = "/sys/kernel/debug";
const MACHINE: &str = "/sys/kernel/debug/liveupdate_lab/machine";
const TRACEFS: &str = "/sys/kernel/tracing";

/// Each event, and the state that it leads to.
const WAY: [(Event, &str); 3] = [(Event::Prepare, "prepared"), (Event::Freeze, "frozen"), (Event::Cancel, "normal")];

/// Who polls the state in /sys is woken by each change; debugfs lists what takes part; where the kernel traces, each
/// change is an event.
pub(super) fn changes_are_shown(context: &mut Context) -> Result<(), Finding> {
    let seat = context.seat("watched")?;
    let file = filled(&seat, 4096, PageSize::Any, 1)?;
    let token = seat.preserve(&file, PreserveFlags::NONE)?;
    mounted("debugfs", DEBUGFS)?;
    let traced = trace(true)?;
    let shown = watch(&seat);
    let events =
        if traced { Some(done("read of the trace", fs::read_to_string(format!("{TRACEFS}/trace")))?) } else { None };
    if traced {
        trace(false)?;
    }
    seat.unpreserve(token)?;
    shown?;
    if let Some(events) = events {
        for change in ["old=normal new=prepared", "old=prepared new=frozen", "old=frozen new=normal"] {
            same(&format!("events `{change}` in the trace"), 1, events.matches(change).count())?;
        }
    }
    Ok(())
}

fn watch(seat: &Control) -> Result<(), Finding> {
    let state = works("open of the state", open(STATE, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()))?;
    let mut state = File::from(state);
    same("the state", "normal", read(&mut state)?.trim_end())?;
    same("what poll finds before a change", 0, woken(&state)?)?;
    for (event, word) in WAY {
        seat.signal(event)?;
        let (woken, told, machine) = (woken(&state), read(&mut state), fs::read_to_string(MACHINE));
        if event != Event::Cancel && (woken != Ok(1) || told.is_err() || machine.is_err()) {
            seat.cancel()?;
        }
        same(&format!("what poll finds after {event}"), 1, woken?)?;
        let machine = done("read of the machine in debugfs", machine)?;
        let first = machine.lines().next().unwrap_or_default();
        let said = first.starts_with(&format!("state {word} generation ")) && first.contains(" participants ");
        if event != Event::Cancel && !(said && told.as_deref().is_ok_and(|told| told.trim_end() == word)) {
            seat.cancel()?;
        }
        same("the state that /sys tells", word, told?.trim_end())?;
        holds(&format!("debugfs to begin with the state {word}"), said, first)?;
    }
    Ok(())
}

/// From the start: a file of sysfs is read anew by that, and what was polled counts as seen.
fn read(state: &mut File) -> Result<String, Finding> {
    works("seek in the state", seek(&*state, SeekFrom::Start(0)))?;
    let mut text = String::new();
    done("read of the state", state.read_to_string(&mut text))?;
    Ok(text)
}

fn woken(state: &File) -> Result<usize, Finding> {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    works("poll", poll(&mut [PollFd::new(state, PollFlags::PRI)], Some(&now)))
}

/// Mounts a file system for this process alone.
pub(super) fn mounted(kind: &str, place: &str) -> Result<(), Finding> {
    match mount(kind, place, kind, MountFlags::empty(), None) {
        Ok(()) | Err(Errno::BUSY) => Ok(()),
        Err(errno) => works(&format!("mount of {kind}"), Err(errno)),
    }
}

/// Turns the module's event on or off; whether the kernel traces at all.
fn trace(on: bool) -> Result<bool, Finding> {
    if !Path::new(TRACEFS).is_dir() {
        return Ok(false);
    }
    mounted("tracefs", TRACEFS)?;
    let word = if on { "1" } else { "0" };
    done("write to the event's enable", fs::write(format!("{TRACEFS}/events/liveupdate_lab/state/enable"), word))?;
    Ok(true)
}
