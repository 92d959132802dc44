//! A file system context: the conversation with the kernel that ends in a mount.

use std::os::fd::OwnedFd;

use rustix::{
    io::Errno,
    mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount,
        fsopen,
    },
};

use crate::{Error, Result};

/// Most messages taken from the kernel's log of one context; it keeps eight.
const MESSAGES: usize = 16;

pub(super) struct Context(OwnedFd);

impl Context {
    pub(super) fn open(kind: &'static str) -> Result<Self> {
        match fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC) {
            Ok(context) => Ok(Self(context)),
            Err(Errno::NODEV) => {
                Err(Error::new("fsopen", Errno::NODEV, format!("this kernel has no {kind}: is its module loaded?")))
            }
            Err(errno) => Err(Error::new("fsopen", errno, "")),
        }
    }

    pub(super) fn set_string(&self, key: &'static str, value: &str) -> Result<()> {
        self.explain("fsconfig SET_STRING", key, fsconfig_set_string(&self.0, key, value))
    }

    pub(super) fn set_flag(&self, key: &'static str) -> Result<()> {
        self.explain("fsconfig SET_FLAG", key, fsconfig_set_flag(&self.0, key))
    }

    /// Ends the conversation with a mount, nowhere.
    pub(super) fn mount(&self) -> Result<OwnedFd> {
        self.explain("fsconfig CREATE", "", fsconfig_create(&self.0))?;
        let attributes =
            MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        self.explain("fsmount", "", fsmount(&self.0, FsMountFlags::FSMOUNT_CLOEXEC, attributes))
    }

    /// An error tells the option, and what the kernel logged in this context.
    fn explain<T>(&self, operation: &'static str, option: &str, result: rustix::io::Result<T>) -> Result<T> {
        result.map_err(|errno| {
            let option = (!option.is_empty()).then(|| format!("option `{option}`"));
            let told: Vec<String> = option.into_iter().chain(self.messages()).collect();
            Error::new(operation, errno, told.join("; "))
        })
    }

    /// What the kernel has logged since the last time, each with `e `, `w ` or `i ` before it: error,
    /// warning, information.
    fn messages(&self) -> Vec<String> {
        let mut text = [0; 1024];
        let mut found = Vec::new();
        // ENODATA ends it.
        while found.len() < MESSAGES
            && let Ok(length @ 1..) = rustix::io::read(&self.0, &mut text[..])
        {
            found.push(message(&text[..length]));
        }
        found
    }
}

fn message(logged: &[u8]) -> String {
    let text = String::from_utf8_lossy(logged);
    let text = text.trim_end();
    ["e ", "w ", "i "].iter().find_map(|level| text.strip_prefix(level)).unwrap_or(text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_loses_its_level() {
        assert_eq!(message(b"e kexecfs: no such instance\n"), "kexecfs: no such instance");
        assert_eq!(message(b"w late"), "late");
        assert_eq!(message(b"else"), "else");
    }

    #[test]
    fn a_kernel_without_the_file_system_is_told() {
        let error = Context::open("nosuchfs").err().unwrap();
        // Without the right to mount, the kernel does not even look.
        match error.errno() {
            Errno::NODEV => assert!(error.reason().contains("nosuchfs"), "{error}"),
            errno => assert_eq!(errno, Errno::PERM),
        }
    }

    /// What the kernel logs in a context is heard, with a file system that every kernel has.
    #[test]
    fn what_the_kernel_logs_is_told() {
        let context = match Context::open("tmpfs") {
            Ok(context) => context,
            Err(error) => {
                assert_eq!(error.errno(), Errno::PERM);
                eprintln!("skipped: this user cannot mount anything");
                return;
            }
        };
        context.set_string("size", "1m").unwrap();
        let error = context.set_flag("nonsense").unwrap_err();
        assert_eq!((error.operation(), error.errno()), ("fsconfig SET_FLAG", Errno::INVAL));
        assert!(error.reason().starts_with("option `nonsense`; "), "{error}");
        assert!(error.reason().contains("tmpfs: Unknown parameter 'nonsense'"), "{error}");
        assert_eq!(context.messages(), Vec::<String>::new());
        let mount = context.mount().unwrap();
        let file = rustix::fs::openat(
            &mount,
            "file",
            rustix::fs::OFlags::RDWR | rustix::fs::OFlags::CREATE,
            rustix::fs::Mode::RUSR,
        );
        assert!(file.is_ok());
    }
}
