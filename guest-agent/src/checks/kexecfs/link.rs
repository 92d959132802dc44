//! linkat(2) of a descriptor into an instance.

use liveupdate_client::kexecfs::Instance;
use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{AtFlags, CWD, MemfdFlags, Mode, OFlags, linkat, memfd_create, openat},
    io::Errno,
};

use super::{content, has_files, named, own::become_service, put, reads, write_file};
use crate::checks::{
    aside::Aside,
    context::{Context, Finding, refused, works},
    privilege::become_user,
};

fn link(file: impl AsFd, instance: &Instance) -> Result<(), Errno> {
    linkat(file, "", instance, "linked", AtFlags::EMPTY_PATH)
}

fn memfd() -> Result<OwnedFd, Finding> {
    works("memfd_create", memfd_create("foreign", MemfdFlags::CLOEXEC))
}

fn unnamed(directory: impl AsFd, path: &str) -> Result<OwnedFd, Finding> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    works("open of a file without a name", openat(directory, path, flags, Mode::RUSR | Mode::WUSR))
}

/// What really comes: EXDEV from another file system or mount, ENOENT for a descriptor that somebody else opened
/// unless one may read everything, EPERM within, as kexecfs has no links. In no case is there a file.
pub(in crate::checks) fn is_refused(context: &mut Context) -> Result<(), Finding> {
    drop(context.device()?);
    let instance = named("links").mode(0o777).mount()?;
    let (memfd_of_root, other) = (memfd()?, named("other-links").mount()?);
    let file = write_file(&other, "file", b"of another instance")?;
    refused("linkat of a memfd, as root", Errno::XDEV, link(&memfd_of_root, &instance))?;
    refused("linkat of a file of another instance", Errno::XDEV, link(&file, &instance))?;
    refused("linkat of another instance's nameless file", Errno::XDEV, link(unnamed(&other, ".")?, &instance))?;
    let on_root = works("open", openat(CWD, "/proc/self/exe", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()))?;
    refused("linkat of a file of the root file system", Errno::XDEV, link(&on_root, &instance))?;

    // Within: no second name for a file, and none for one without.
    let text = content(4, 4097);
    let own = write_file(&instance, "own", &text)?;
    refused("linkat within", Errno::PERM, link(&own, &instance))?;
    let nameless = unnamed(&instance, ".")?;
    put(&nameless, 0, b"x")?;
    refused("linkat of a nameless file within", Errno::PERM, link(&nameless, &instance))?;

    Aside::run(|| {
        become_user(1000)?;
        refused("linkat of what root opened, without privileges", Errno::NOENT, link(&memfd_of_root, &instance))?;
        refused("linkat within of what root opened", Errno::NOENT, link(&own, &instance))?;
        refused("linkat of one's own memfd, without privileges", Errno::XDEV, link(memfd()?, &instance))
    })?;
    Aside::run(|| {
        become_service(1000)?;
        let own = named("links").mount()?;
        refused("linkat of what root opened, by a service", Errno::NOENT, link(&memfd_of_root, &own))?;
        refused("linkat of a service's own memfd", Errno::XDEV, link(memfd()?, &own))?;
        refused("linkat within a service's instance", Errno::PERM, link(unnamed(&own, ".")?, &own))?;
        has_files(&own, "the service's instance", &[])
    })?;
    has_files(&instance, "the instance", &["own"])?;
    reads(&own, "the file that was not linked", &text)
}
