//! Fewer privileges and namespaces of one's own, for a check or a process beside it.

use rustix::{
    io::Errno,
    mount::{MountPropagationFlags, mount_change},
    thread::UnshareFlags,
};

use super::context::{Finding, works};

/// Mounts from here on are this process's own, and go with it.
pub(super) fn own_mounts() -> Result<(), Finding> {
    unshare(UnshareFlags::NEWNS)?;
    works("mount --make-rprivate /", mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC))
}

/// Leaves namespaces behind. A kernel without such namespaces makes the check one that does not apply.
pub(super) fn unshare(flags: UnshareFlags) -> Result<(), Finding> {
    // SAFETY: a check has one thread, which none of these flags takes files or working directory from.
    match unsafe { rustix::thread::unshare_unsafe(flags) } {
        Err(Errno::INVAL | Errno::NOSYS) => Err(Finding::lacks(format!("the kernel has no {flags:?}"))),
        other => works("unshare", other),
    }
}

/// Becomes a user without privileges, for good: user and group of this number, no other groups, no capabilities.
pub(super) fn become_user(id: u32) -> Result<(), Finding> {
    let call = |what: &str, result: libc::c_int| match result {
        0 => Ok(()),
        _ => Err(Finding::new(format!("{what} to work"), std::io::Error::last_os_error().to_string())),
    };
    // SAFETY: these change the identity of this process alone, and read nothing of its memory.
    call("setgroups", unsafe { libc::setgroups(0, std::ptr::null()) })?;
    // SAFETY: as above.
    call("setresgid", unsafe { libc::setresgid(id, id, id) })?;
    // SAFETY: as above. From 0 to another number all capabilities are lost.
    call("setresuid", unsafe { libc::setresuid(id, id, id) })
}
