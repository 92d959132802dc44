//! What there is in /sys, and that it controls nothing.

use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt as _, path::Path};

use liveupdate_client::{Drive as _, Event, Preserve as _, State};
use rustix::{
    fs::{Mode, OFlags, fstatfs, open, statfs},
    io::Errno,
};

use super::{done, named};
use crate::checks::context::{Context, Finding, holds, refused, same, works};

const OBJECT: &str = "/sys/kernel/liveupdate_lab";
const STATE: &str = "/sys/kernel/liveupdate_lab/state";
const KEXECFS: i64 = 0x4b58_4653;
const SYSFS: i64 = 0x6265_6572;

/// Beneath a directory, and how deep: the files that somebody may write to, and the directories called like the
/// module.
fn walk(directory: &Path, writable: &mut BTreeSet<String>, called: &mut Vec<String>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        let path = entry.path();
        if kind.is_dir() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.contains("liveupdate_lab") || name.contains("kexecfs") {
                called.push(path.display().to_string());
            }
            walk(&path, writable, called);
        } else if kind.is_file() && entry.metadata().is_ok_and(|file| file.permissions().mode() & 0o222 != 0) {
            writable.insert(path.display().to_string());
        }
    }
}

/// The machine's state is told in /sys, and nothing there moves it: the controls are files of an instance.
pub(in crate::checks) fn controls_nothing(context: &mut Context) -> Result<(), Finding> {
    let device = context.device()?;
    let instance = named("controls").mount()?;
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

    let (mut writable, mut called) = (BTreeSet::new(), Vec::new());
    walk(Path::new("/sys"), &mut writable, &mut called);
    holds("the module to be in /sys", called.iter().any(|path| path == OBJECT), format!("{called:?}"))?;
    let own: Vec<&String> = writable.iter().filter(|path| called.iter().any(|of| path.starts_with(of))).collect();
    // What the kernel gives to every module and every device, and two parameters that move nothing.
    let usual = |path: &str| path.ends_with("/uevent") || path.contains("/power/");
    let parameters =
        ["/sys/module/liveupdate_lab/parameters/fail_step", "/sys/module/liveupdate_lab/parameters/unclaimed"];
    let odd: Vec<&&String> = own.iter().filter(|path| !usual(path) && !parameters.contains(&path.as_str())).collect();
    holds("nothing of the module's in /sys to be writable", odd.is_empty(), format!("{odd:?}"))?;
    for path in parameters {
        for event in [Event::Prepare, Event::Freeze, Event::Cancel, Event::Finish] {
            let _ = fs::write(path, event.word());
        }
    }
    same("the state after writing every event to the module's parameters", State::Normal, device.state()?)?;

    for (event, word) in [(Event::Prepare, "prepared\n"), (Event::Freeze, "frozen\n"), (Event::Cancel, "normal\n")] {
        instance.control()?.signal(event)?;
        let told = done("read of the state in /sys", fs::read_to_string(STATE));
        if event != Event::Cancel && told.as_deref() != Ok(word) {
            device.cancel()?;
        }
        same("the state that /sys tells", word.to_owned(), told?)?;
    }
    Ok(())
}

/// A file system of its own type, and the controls lie in each instance of it.
pub(in crate::checks) fn is_no_sysfs(context: &mut Context) -> Result<(), Finding> {
    drop(context.device()?);
    let instance = named("special").mount()?;
    let registered = done("read of /proc/filesystems", fs::read_to_string("/proc/filesystems"))?;
    holds("kexecfs among the file systems", registered.lines().any(|line| line == "nodev\tkexecfs"), registered)?;
    same("the type of an instance", KEXECFS, works("fstatfs", fstatfs(&instance))?.f_type)?;
    same("the type of /sys", SYSFS, works("statfs", statfs("/sys"))?.f_type)?;
    for name in ["control", "state", "preserve_fd", "reason"] {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = works("open of a control file", rustix::fs::openat(&instance, name, flags, Mode::empty()))?;
        same(&format!("the type of what {name} lies in"), KEXECFS, works("fstatfs", fstatfs(&file))?.f_type)?;
        let stat = works("fstat", rustix::fs::fstat(&file))?;
        same(&format!("the mode of {name}"), 0o100_600, stat.st_mode)?;
        // They are no data, and stay.
        refused(
            &format!("unlink of {name}"),
            Errno::PERM,
            rustix::fs::unlinkat(&instance, name, rustix::fs::AtFlags::empty()),
        )?;
    }
    Ok(())
}
