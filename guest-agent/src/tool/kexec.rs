//! `kexec [KERNEL]`: into another kernel, with the initramfs and the command line that this one was given.

use std::{ffi::CString, fs, io::Write as _};

use rustix::{
    fd::OwnedFd,
    fs::{MemfdFlags, memfd_create},
};

use crate::{
    failure::{Outcome, Tell, refuse},
    kexec,
};

const KERNEL: &str = "/boot/bzImage";
/// There because of `retain_initrd` on the command line.
const INITRAMFS: &str = "/sys/firmware/initrd";

pub(super) fn run(words: &[String]) -> Outcome<()> {
    let kernel = match words {
        [] => KERNEL,
        [kernel] => kernel,
        _ => return Err(refuse("kexec", "one kernel at most")),
    };
    let command_line = fs::read_to_string("/proc/cmdline").tell("read /proc/cmdline")?;
    let command_line = CString::new(command_line.trim_end()).map_err(|_| refuse("kexec", "a NUL in /proc/cmdline"))?;
    kexec::file_load(&copy(kernel)?, &copy(INITRAMFS)?, &command_line)?;
    Err(kexec::restart())
}

/// The kernel reads a file at once; not each file system likes that.
fn copy(file: &str) -> Outcome<OwnedFd> {
    let content = fs::read(file).tell(format!("read {file}"))?;
    let copy = memfd_create(c"kexec", MemfdFlags::CLOEXEC).tell("memfd_create")?;
    let mut copy = fs::File::from(copy);
    copy.write_all(&content).tell(format!("copy {file}"))?;
    Ok(copy.into())
}
