//! What there is in /sys, and that it controls nothing.

use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt as _, path::Path};

use liveupdate_client::{Drive as _, Event, Preserve as _, State};
use rustix::{
    fs::{Mode, OFlags, open},
    io::Errno,
};

use super::context::{Context, Finding, done, holds, refused, same, works};

const OBJECT: &str = "/sys/kernel/liveupdate_lab";
/// They choose a policy and inject faults, and move nothing.
const PARAMETERS: &str = "/sys/module/liveupdate_lab/parameters";
const STATE: &str = "/sys/kernel/liveupdate_lab/state";

/// Beneath a directory: the files that somebody may write to, and the directories whose names have one of these
/// words in them.
fn walk(directory: &Path, words: &[&str], writable: &mut BTreeSet<String>, called: &mut Vec<String>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        let path = entry.path();
        if kind.is_dir() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if words.iter().any(|word| name.contains(word)) {
                called.push(path.display().to_string());
            }
            walk(&path, words, writable, called);
        } else if kind.is_file() && entry.metadata().is_ok_and(|file| file.permissions().mode() & 0o222 != 0) {
            writable.insert(path.display().to_string());
        }
    }
}

/// What of those names can be written to, and the directories themselves; without what the kernel gives to every
/// module, every device and, for debugging, every cache.
fn writable_of(words: &[&str]) -> (Vec<String>, Vec<String>) {
    let (mut writable, mut called) = (BTreeSet::new(), Vec::new());
    walk(Path::new("/sys"), words, &mut writable, &mut called);
    let usual = |path: &str| path.ends_with("/uevent") || path.contains("/power/") || path.contains("/slab/");
    let own = |path: &String| called.iter().any(|of| path.starts_with(of)) && !usual(path);
    (writable.into_iter().filter(own).collect(), called)
}

/// The machine's state is told in /sys, and nothing there moves it: the controls are files of an instance.
pub(super) fn controls_nothing(context: &mut Context) -> Result<(), Finding> {
    let seat = context.seat("controls")?;
    let files = done("list", fs::read_dir(OBJECT))?.flatten().map(|entry| entry.file_name());
    same(&format!("the files in {OBJECT}"), vec!["state".into()], files.collect::<Vec<std::ffi::OsString>>())?;
    let mode = done("stat", fs::metadata(STATE))?.permissions().mode();
    same("the mode of the state in /sys", 0o100_444, mode)?;
    for flags in [OFlags::WRONLY, OFlags::RDWR] {
        refused("open of it for writing, as root", Errno::ACCESS, open(STATE, flags, Mode::empty()))?;
    }
    // Nor after its mode was changed: there is nothing behind it.
    works("chmod", rustix::fs::chmod(STATE, Mode::from_raw_mode(0o666)))?;
    let written = open(STATE, OFlags::WRONLY, Mode::empty()).and_then(|file| rustix::io::write(file, b"prepare\n"));
    works("chmod", rustix::fs::chmod(STATE, Mode::from_raw_mode(0o444)))?;
    refused("a write to it, once its mode lets one open it", Errno::IO, written)?;

    let (own, called) = writable_of(&["liveupdate_lab", "kexecfs"]);
    holds("the module to be in /sys", called.iter().any(|path| path == OBJECT), format!("{called:?}"))?;
    let odd: Vec<&String> = own.iter().filter(|path| Path::new(path).parent() != Some(Path::new(PARAMETERS))).collect();
    holds("nothing of the module's in /sys to be writable but parameters", odd.is_empty(), format!("{odd:?}"))?;
    for path in &own {
        for event in [Event::Prepare, Event::Freeze, Event::Cancel, Event::Finish] {
            let _ = fs::write(path, event.word());
        }
    }
    same("the state after writing every event to the module's parameters", State::Normal, seat.state()?)?;

    for (event, word) in [(Event::Prepare, "prepared\n"), (Event::Freeze, "frozen\n"), (Event::Cancel, "normal\n")] {
        seat.signal(event)?;
        let told = done("read of the state in /sys", fs::read_to_string(STATE));
        if event != Event::Cancel && told.as_deref() != Ok(word) {
            seat.cancel()?;
        }
        same("the state that /sys tells", word.to_owned(), told?)?;
    }
    Ok(())
}

/// The in-tree orchestrator has a device, and nothing in /sys that could be written to.
pub(super) fn in_tree_controls_nothing(_: &mut Context) -> Result<(), Finding> {
    let (own, called) = writable_of(&["liveupdate", "luo"]);
    holds("the device to be in /sys", called.iter().any(|path| path.ends_with("/liveupdate")), format!("{called:?}"))?;
    holds("nothing of the orchestrator's in /sys to be writable", own.is_empty(), format!("{own:?}"))
}
