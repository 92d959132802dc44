//! The end of an instance: with its last descriptor, its holder, its mount.

use liveupdate_client::{Device, Drive as _, Preserve as _, PreserveFlags, kexecfs::Huge};
use rustix::{
    event::{EventfdFlags, eventfd},
    fd::OwnedFd,
    io::Errno,
    mount::{UnmountFlags, unmount},
};

use super::{
    COUNTED, content, denied, free, gives_back, has_files, mounts_of, named, place, put, reads, takes_memory,
    write_file,
};
use crate::checks::{
    aside::Aside,
    context::{Context, Finding, refused, same, works},
};

const NAME: &str = "mortal";
const PLACE: &str = "/mortal";

/// One with a file that takes as much memory as can be counted.
fn large() -> Result<(liveupdate_client::kexecfs::Instance, OwnedFd), Finding> {
    let instance = named(NAME).size(COUNTED).huge(Huge::Always).mount()?;
    let file = instance.create_allocated("large", COUNTED)?;
    put(&file, COUNTED - 8, b"the last")?;
    Ok((instance, file))
}

/// Before an instance: what there is to come back to.
struct Before {
    device: Device,
    participants: u64,
    free: u64,
}

impl Before {
    fn of(context: &Context) -> Result<Self, Finding> {
        let device = context.device()?;
        let participants = device.status()?.participants;
        Ok(Self { device, participants, free: free()? })
    }

    fn is_there(&self, what: &str) -> Result<(), Finding> {
        same(&format!("the participants with {what}"), self.participants + 1, self.device.status()?.participants)?;
        denied(&format!("a second mount of {what}"), Errno::BUSY, named(NAME).mount())?;
        takes_memory(what, self.free)
    }

    fn is_gone(&self, what: &str) -> Result<(), Finding> {
        gives_back(what, self.free)?;
        same(&format!("the participants after {what}"), self.participants, self.device.status()?.participants)?;
        has_files(&named(NAME).mount()?, "an instance of that name", &[])
    }
}

/// With no umount by anybody.
pub(in crate::checks) fn ends_with_its_last_descriptor(context: &mut Context) -> Result<(), Finding> {
    let before = Before::of(context)?;
    let (instance, file) = large()?;
    before.is_there("an instance that is attached nowhere")?;
    // An open file is one of its descriptors.
    drop(instance);
    before.is_there("an instance of which one file is open")?;
    drop(file);
    before.is_gone("one whose last descriptor is closed")
}

/// With no umount, and no chance to close anything.
pub(in crate::checks) fn ends_with_its_killed_holder(context: &mut Context) -> Result<(), Finding> {
    let before = Before::of(context)?;
    let hold = || {
        Aside::start(|kept| {
            let (instance, file) = large()?;
            kept.push(Box::new((crate::mapping::Mapping::new(&file, 0, 512, true), instance, file)));
            Ok(())
        })
    };
    let (holder, ()) = hold()?;
    before.is_there("an instance with a holder")?;
    holder.kill()?;
    before.is_gone("one whose holder was killed")?;

    // The same during an update that does not take place: until it is cancelled nothing is lost.
    let (holder, ()) = hold()?;
    before.device.prepare()?;
    holder.kill()?;
    same("the participants after a kill in PREPARED", before.participants + 1, before.device.status()?.participants)?;
    takes_memory("an instance whose holder was killed in PREPARED", before.free)?;
    before.device.freeze()?;
    before.device.cancel()?;
    before.is_gone("one whose holder was killed during an update that was cancelled")
}

pub(in crate::checks) fn ends_with_its_umount(context: &mut Context) -> Result<(), Finding> {
    let before = Before::of(context)?;
    let (instance, file) = large()?;
    instance.attach(place(PLACE)?)?;
    drop(instance);
    before.is_there("an attached instance")?;
    refused("umount with an open file", Errno::BUSY, unmount(PLACE, UnmountFlags::empty()))?;
    drop(file);
    before.is_there("an attached instance that nobody has open")?;
    works("umount", unmount(PLACE, UnmountFlags::empty()))?;
    before.is_gone("an unmounted one")?;

    // Lazily: out of sight at once, and gone with the last open file.
    let (instance, file) = large()?;
    instance.attach(place(PLACE)?)?;
    drop(instance);
    works("umount -l", unmount(PLACE, UnmountFlags::DETACH))?;
    same("the mounts of kexecfs after umount -l", Some(0), mounts_of("self"))?;
    before.is_there("an instance unmounted lazily, with an open file")?;
    put(&file, 4096, b"still there")?;
    let mut found = [0; 11];
    let length = works("pread", rustix::io::pread(&file, &mut found, 4096))?;
    same("the bytes of the open file", &b"still there"[..], &found[..length])?;
    drop(file);
    before.is_gone("one unmounted lazily, its last file closed")
}

/// What was registered through the control of an instance is forgotten with that, before PREPARE: closed or
/// crashed.
pub(in crate::checks) fn forgets_what_it_registered(context: &mut Context) -> Result<(), Finding> {
    let device = context.device()?;
    let before = device.status()?.participants;
    let counter = works("eventfd", eventfd(1, EventfdFlags::CLOEXEC))?;
    let taken = |what: &str| denied(what, Errno::EXIST, device.preserve(&counter, PreserveFlags::NONE));
    let free = || -> Result<(), Finding> {
        let token = device.preserve(&counter, PreserveFlags::NONE)?;
        device.unpreserve(token)?;
        same("the participants of what is gone", before, device.status()?.participants)
    };

    let instance = named("registrar").mount()?;
    let control = instance.control()?;
    control.preserve(&counter, PreserveFlags::NONE)?;
    // The registrations are the instance's, not the open file's.
    drop(control);
    taken("a second registration after the close of a control")?;
    same("the participants", before + 2, device.status()?.participants)?;
    drop(instance);
    free()?;

    let (holder, ()) = Aside::start(|kept| {
        let instance = named("registrar").mount()?;
        let text = content(3, 9000);
        reads(write_file(&instance, "file", &text)?, "a file", &text)?;
        instance.preserve_fd(&counter)?;
        kept.push(Box::new(instance));
        Ok(())
    })?;
    taken("a second registration beside a holder")?;
    holder.kill()?;
    free()?;

    // And PREPARE knows nothing of them.
    device.prepare()?;
    device.cancel()?;
    free()
}
