//! Services over a live update: one that an instance is bind-mounted into, and several with one name.

use std::{fs, os::unix::fs::FileExt as _, path::Path};

use liveupdate_client::{Drive as _, kexecfs::Instance};
use protocol::check::Notes;
use rustix::{
    io::Errno,
    mount::{UnmountFlags, mount_bind, unmount},
};

use super::{
    content, denied, done, has_files, mounting::has_no_power, mounts_of, named, own::become_service, place, reads,
    write_file,
};
use crate::checks::{
    aside::Aside,
    context::{Context, Finding, same, works},
};

const SERVICE: u32 = 1001;
const SHARE: &str = "/services/ledger";
const STATE: &str = "/services/ledger/state";

/// What a manager does at every start of the service, under every kernel: it mounts the instance, binds it into
/// the service's tree and starts the service, which is somebody else in namespaces of its own.
fn start<T>(manager: &Instance, service: impl FnOnce() -> Result<T, Finding>) -> Result<T, Finding>
where
    T: serde::Serialize + serde::de::DeserializeOwned,
{
    manager.attach(place("/services/mounted")?)?;
    place(SHARE)?;
    works("mount --bind", mount_bind("/services/mounted", place(STATE)?))?;
    works("umount", unmount("/services/mounted", UnmountFlags::DETACH))?;
    let found = Aside::run(|| {
        // The manager's descriptor is not the service's.
        become_service(SERVICE)?;
        same("the mounts of kexecfs that the service sees", Some(1), mounts_of("self"))?;
        service()
    });
    works("umount", unmount(STATE, UnmountFlags::empty()))?;
    found
}

fn by_manager() -> liveupdate_client::kexecfs::Builder {
    named("ledger").uid(SERVICE).gid(SERVICE)
}

/// The service knows nothing of instances: it writes a file in its directory.
pub(in crate::checks) fn leave_bound(context: &mut Context) -> Result<Notes, Finding> {
    drop(context.device()?);
    let seed = crate::now().0;
    let instance = by_manager().mount()?;
    start(&instance, || {
        let directory = Path::new(STATE);
        let accounts = directory.join("accounts");
        done("write of the service's state", fs::write(&accounts, content(seed, 20_000)))?;
        done("rename", fs::rename(&accounts, directory.join("accounts.db")))?;
        has_no_power(&Instance::at(STATE)?.control()?)
    })?;
    context.stay_with(instance);
    Ok(Notes::of(&seed)?)
}

pub(in crate::checks) fn find_bound(context: &mut Context, notes: &Notes) -> Result<(), Finding> {
    drop(context.device()?);
    let seed: u64 = notes.read()?;
    start(&by_manager().mount()?, || {
        let directory = Path::new(STATE);
        let listed = done("list of the service's directory", fs::read_dir(directory))?.flatten();
        let mut names: Vec<_> = listed.map(|entry| entry.file_name()).collect();
        names.sort();
        same(
            "what lies there",
            ["accounts.db", "control", "preserve_fd", "reason", "state"].map(Into::into).to_vec(),
            names,
        )?;
        let file = done("open", fs::File::options().read(true).write(true).open(directory.join("accounts.db")))?;
        reads(&file, "the service's state", &content(seed, 20_000))?;
        // It goes on from there.
        done("write", file.write_all_at(b"one more", 20_000))?;
        done("write of another file", fs::write(directory.join("journal"), b"restarted"))?;
        has_no_power(&Instance::at(STATE)?.control()?)
    })
}

/// Each has the same words for its instance, and nothing passed to it.
const SERVICES: [u32; 3] = [2001, 2002, 0];

fn each(id: u32, work: impl FnOnce(Instance) -> Result<(), Finding>, retrieve: bool) -> Result<(), Finding> {
    if id != 0 {
        become_service(id)?;
    }
    let builder = named("state");
    work(if retrieve { builder.retrieve() } else { builder }.mount()?)
}

pub(in crate::checks) fn leave_several(context: &mut Context) -> Result<Notes, Finding> {
    drop(context.device()?);
    let seed = crate::now().0;
    for id in SERVICES {
        let (service, ()) = Aside::start(|kept| {
            each(
                id,
                |instance| {
                    has_files(&instance, "a service's new instance", &[])?;
                    write_file(&instance, "mine", &content(seed ^ u64::from(id), 7000))?;
                    write_file(&instance, &format!("of-{id}"), b"me")?;
                    kept.push(Box::new(instance));
                    Ok(())
                },
                false,
            )
        })?;
        context.stay_with(service);
    }
    Ok(Notes::of(&seed)?)
}

pub(in crate::checks) fn find_several(context: &mut Context, notes: &Notes) -> Result<(), Finding> {
    let device = context.device()?;
    let seed: u64 = notes.read()?;
    let open = device.status()?.unclaimed;
    Aside::run(|| {
        become_service(2003)?;
        denied("a retrieval by one who left nothing", Errno::NOENT, named("state").retrieve().mount())?;
        has_files(&named("state").mount()?, "the instance of one who left nothing", &[])
    })?;
    same("the files that nobody asked for after that", open, device.status()?.unclaimed)?;
    let mut services = Vec::new();
    for id in SERVICES {
        let (service, ()) = Aside::start(|kept| {
            each(
                id,
                |instance| {
                    has_files(&instance, "a service's instance", &["mine", &format!("of-{id}")])?;
                    reads(instance.open("mine")?, "a service's file", &content(seed ^ u64::from(id), 7000))?;
                    kept.push(Box::new(instance));
                    Ok(())
                },
                true,
            )
        })?;
        services.push(service);
    }
    Ok(())
}
