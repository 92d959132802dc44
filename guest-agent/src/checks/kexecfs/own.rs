//! A service: a user without privileges, in namespaces of its own.

use std::fs;

use rustix::{
    mount::{MountPropagationFlags, mount_change},
    thread::UnshareFlags,
};

use super::done;
use crate::checks::{
    context::{Finding, works},
    privilege::{become_user, unshare},
};

/// Becomes this user for good, and root of a new user namespace with its own mounts, where it is the only user.
pub(super) fn become_service(id: u32) -> Result<(), Finding> {
    become_user(id)?;
    // The change of identity has made this process's files in /proc root's.
    // SAFETY: it sets a flag of this process.
    match unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0) } {
        0 => {}
        _ => return Err(Finding::new("prctl to work", std::io::Error::last_os_error().to_string())),
    }
    unshare(UnshareFlags::NEWUSER | UnshareFlags::NEWNS)?;
    done("write to setgroups", fs::write("/proc/self/setgroups", "deny"))?;
    done("write to uid_map", fs::write("/proc/self/uid_map", format!("0 {id} 1")))?;
    done("write to gid_map", fs::write("/proc/self/gid_map", format!("0 {id} 1")))?;
    works("mount --make-rprivate /", mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC))
}
