//! An instance through three kernels, mounted in the first process's namespace: no process of the service's lives
//! over a kexec, or between two checks.

use std::fs;

use liveupdate_client::{Drive as _, kexecfs::Instance};
use protocol::check::Notes;
use rustix::{
    fd::AsFd as _,
    fs::ftruncate,
    io::Errno,
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

use super::{content, denied, done, has_files, named, place, put, reads, write_file};
use crate::checks::context::{Context, Finding, same, works};

const PLACE: &str = "/generations";

/// Enters the mount namespace of PID 1, where a mount needs nobody to last.
fn enter() -> Result<(), Finding> {
    let namespace = done("open of PID 1's mount namespace", fs::File::open("/proc/1/ns/mnt"))?;
    works("setns", move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Mount)))
}

/// Leaves an instance mounted there.
pub(in crate::checks) fn leave_first(context: &mut Context) -> Result<Notes, Finding> {
    drop(context.device()?);
    enter()?;
    let seed = crate::now().0;
    let instance = named("generations").mount()?;
    write_file(&instance, "kept", &content(seed, 3 * 4096 + 5))?;
    write_file(&instance, "changed", &content(seed ^ 1, 20_000))?;
    write_file(&instance, "removed", &content(seed ^ 2, 30_000))?;
    instance.attach(place(PLACE)?)?;
    // Nobody stays.
    Ok(Notes::of(&seed)?)
}

/// Mounts it again in the second kernel, and leaves it there.
pub(in crate::checks) fn find_first(context: &mut Context, notes: &Notes) -> Result<(), Finding> {
    drop(context.device()?);
    enter()?;
    let seed: u64 = notes.read()?;
    let instance = named("generations").retrieve().mount()?;
    has_files(&instance, "the instance", &["changed", "kept", "removed"])?;
    reads(instance.open("kept")?, "kept", &content(seed, 3 * 4096 + 5))?;
    reads(instance.open("changed")?, "changed", &content(seed ^ 1, 20_000))?;
    reads(instance.open("removed")?, "removed", &content(seed ^ 2, 30_000))?;
    done("write of the seed for the next check", fs::write("/generations.seed", seed.to_le_bytes()))?;
    Ok(instance.attach(place(PLACE)?)?)
}

/// In the second kernel, after FINISH: what came is changed, and handed over again.
pub(in crate::checks) fn leave_second(context: &mut Context) -> Result<Notes, Finding> {
    drop(context.device()?);
    enter()?;
    let seed = done("read of the seed", fs::read("/generations.seed"))?;
    let seed = u64::from_le_bytes(done("read of the seed", seed.try_into())?);
    denied("a second mount of it", Errno::BUSY, named("generations").mount())?;
    let instance = Instance::at(PLACE)?;
    let changed = instance.open("changed")?;
    put(&changed, 5000, &content(!seed, 5000))?;
    put(&changed, 50_000, &content(!seed ^ 1, 10))?;
    works("truncate", ftruncate(instance.open("kept")?, 3 * 4096 + 1))?;
    instance.remove("removed")?;
    write_file(&instance, "new", &content(!seed ^ 2, 6000))?;
    Ok(Notes::of(&seed)?)
}

pub(in crate::checks) fn find_second(context: &mut Context, notes: &Notes) -> Result<(), Finding> {
    let device = context.device()?;
    let seed: u64 = notes.read()?;
    same("the generation that this kernel writes", 3, device.status()?.generation)?;
    let instance = named("generations").retrieve().mount()?;
    has_files(&instance, "the instance", &["changed", "kept", "new"])?;
    reads(instance.open("kept")?, "kept", &content(seed, 3 * 4096 + 1))?;
    let mut changed = content(seed ^ 1, 20_000);
    changed[5000..10_000].copy_from_slice(&content(!seed, 5000));
    changed.resize(50_000, 0);
    changed.extend(content(!seed ^ 1, 10));
    reads(instance.open("changed")?, "changed", &changed)?;
    reads(instance.open("new")?, "new", &content(!seed ^ 2, 6000))
}
