//! Who may mount an instance, and who sees it.

use std::fs;

use liveupdate_client::{Device, Drive, Event, Name, Need, PageSize, Preserve as _, PreserveFlags, State};
use rustix::{
    event::{EventfdFlags, eventfd},
    io::Errno,
    mount::{MountFlags, UnmountFlags, mount, unmount},
};

use super::{all, content, denied, done, has_files, mounts_of, named, own::become_service, place, reads, write_file};
use crate::checks::{
    aside::Aside,
    context::{Context, Finding, holds, same, works},
    privilege::{become_user, own_mounts},
};

const EVENTS: [Event; 4] = [Event::Prepare, Event::Freeze, Event::Cancel, Event::Finish];

/// Requires that all that has power over the machine is refused.
pub(super) fn has_no_power(driver: &impl Drive) -> Result<(), Finding> {
    let session = Name::new("of-a-service").map_err(|_| Finding::new("a name", "none"))?;
    for event in EVENTS {
        denied(&format!("{event} through an unprivileged control"), Errno::PERM, driver.signal(event))?;
    }
    denied("STATUS through an unprivileged control", Errno::PERM, driver.status())?;
    denied("SESSION_CREATE through an unprivileged control", Errno::PERM, driver.create_session(&session))?;
    denied("SESSION_RETRIEVE through an unprivileged control", Errno::PERM, driver.retrieve_session(&session))
}

/// A user with a user namespace of its own mounts one and has all of its use, without /dev and without power over
/// the machine, which moves with the instance in it.
pub(in crate::checks) fn needs_no_privilege(context: &mut Context) -> Result<(), Finding> {
    let device = context.device()?;
    let before = device.status()?.participants;
    Aside::run(|| {
        become_user(1000)?;
        denied("a mount by a user who may mount nothing", Errno::PERM, named("plain").mount())
    })?;
    let (service, ()) = Aside::start(|kept| {
        become_service(1000)?;
        works("mount of a tmpfs", mount("none", "/dev", "tmpfs", MountFlags::empty(), None))?;
        denied("open of the device where there is no /dev", Errno::NOENT, Device::open())?;
        let instance = named("service").mount()?;
        let text = content(1, 5000);
        reads(write_file(&instance, "ledger", &text)?, "a service's file", &text)?;

        let control = instance.control()?;
        same("the state for a service", State::Normal, control.state()?)?;
        has_no_power(&control)?;
        for event in EVENTS {
            let written = instance.state()?.write(event);
            denied(&format!("{event} written to an unprivileged state"), Errno::PERM, written)?;
        }
        let counter = works("eventfd", eventfd(3, EventfdFlags::CLOEXEC))?;
        let memory = control.create_memory(4096, PageSize::Any)?;
        let memory = control.preserve(&memory, PreserveFlags::NONE)?;
        let token = control.preserve(&counter, PreserveFlags::NONE)?;
        control.depend(token, Need::File(memory))?;
        control.unpreserve(token)?;

        instance.attach(place("/dev/instance")?)?;
        same("the mounts of kexecfs in a service's namespace", Some(1), mounts_of("self"))?;
        let found = all(done("open by path", fs::File::open("/dev/instance/ledger"))?)?;
        holds("the bytes by path too", found == text, format!("{} bytes", found.len()))?;
        kept.push(Box::new(instance));
        Ok(())
    })?;
    // The instance and the memory file.
    same("the participants with a service", before + 2, device.status()?.participants)?;
    device.prepare()?;
    device.cancel()?;
    service.kill()?;
    same("the participants without the service", before, device.status()?.participants)
}

/// Mounted but attached nowhere, an instance stands in no process's mountinfo; attached, in those of its
/// namespace alone.
pub(in crate::checks) fn stands_in_no_mountinfo(context: &mut Context) -> Result<(), Finding> {
    drop(context.device()?);
    let everywhere = || -> Result<Vec<String>, Finding> {
        let processes = done("list /proc", fs::read_dir("/proc"))?.flatten();
        let names = processes.filter_map(|process| process.file_name().into_string().ok());
        let numbers = names.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
        Ok(numbers.filter(|process| mounts_of(process).is_some_and(|mounts| mounts > 0)).collect())
    };
    let nobody = Vec::<String>::new();
    let instance = named("private").mount()?;
    let text = content(2, 4096);
    write_file(&instance, "secret", &text)?;
    // One in the same namespace, and one that took a copy of it afterwards.
    let (_same, ()) = Aside::start(|_| Ok(()))?;
    let (other, seen) = Aside::start(|_| {
        own_mounts()?;
        Ok(mounts_of("self"))
    })?;
    same("the mounts of kexecfs in a namespace made meanwhile", Some(0), seen)?;
    holds("many processes to look at", done("list /proc", fs::read_dir("/proc"))?.count() > 4, "few")?;
    same("the processes whose mountinfo names a detached instance", nobody.clone(), everywhere()?)?;
    reads(instance.open("secret")?, "a file of a detached instance", &text)?;

    // That this would be seen: attached, it is, but not by PID 1 and the other one.
    instance.attach(place("/private")?)?;
    let seen = everywhere()?;
    let me = std::process::id().to_string();
    holds("the attached instance in one's own mountinfo", seen.contains(&me), format!("{seen:?}"))?;
    for (process, mounts) in [("1".to_owned(), mounts_of("1")), ("another".to_owned(), mounts_of(&other.number()))] {
        same(&format!("the mounts of kexecfs in the namespace of process {process}"), Some(0), mounts)?;
    }
    works("umount", unmount("/private", UnmountFlags::DETACH))?;
    same("the processes that see it afterwards", nobody, everywhere()?)?;
    // The descriptor of the mount still holds it.
    reads(instance.open("secret")?, "a file of an instance unmounted but held", &text)
}

/// Services of different users, each in namespaces of its own and with nothing passed to it, see their own
/// instance alone, though all call it by one name.
pub(in crate::checks) fn services_see_their_own(context: &mut Context) -> Result<(), Finding> {
    let device = context.device()?;
    let mut services = Vec::new();
    for id in [1001, 1002, 1003] {
        let (service, ()) = Aside::start(|kept| {
            become_service(id)?;
            let instance = named("state").mount()?;
            has_files(&instance, "a service's own fresh instance", &[])?;
            write_file(&instance, &format!("of-{id}"), &content(id.into(), 100))?;
            has_files(&instance, "a service's own instance", &[&format!("of-{id}")])?;
            kept.push(Box::new(instance));
            Ok(())
        })?;
        // Nor by way of another one's descriptors.
        for other in services.iter().map(Aside::number).chain(["1".to_owned()]) {
            let opened = Aside::run(move || {
                become_service(id)?;
                Ok(fs::read_dir(format!("/proc/{other}/fd")).err().and_then(|error| error.raw_os_error()))
            })?;
            same("the errno of a look at another user's descriptors", Some(libc::EACCES), opened)?;
        }
        services.push(service);
    }
    // Root has no shortcut: the name is its own one.
    let own = named("state").mount()?;
    has_files(&own, "root's own fresh instance", &[])?;
    denied("a retrieval of theirs by root", Errno::NOENT, named("other").retrieve().mount())?;

    // One state machine, and each sees it.
    let watched = Aside::start(|kept| {
        become_service(1004)?;
        let instance = named("state").mount()?;
        let before = instance.control()?.state()?;
        kept.push(Box::new(instance));
        Ok(before as u32)
    })?;
    same("the state for a fourth service", State::Normal as u32, watched.1)?;
    device.prepare()?;
    let seen = own.state()?.read();
    device.cancel()?;
    same("the state for everybody", State::Prepared, seen?)
}
