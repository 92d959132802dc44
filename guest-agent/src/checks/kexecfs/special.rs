//! An instance is of a file system of its own.

use std::fs;

use rustix::{
    fs::{Mode, OFlags, fstatfs, statfs},
    io::Errno,
};

use super::{done, named};
use crate::checks::context::{Context, Finding, holds, refused, same, works};

const KEXECFS: i64 = 0x4b58_4653;
const SYSFS: i64 = 0x6265_6572;

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
