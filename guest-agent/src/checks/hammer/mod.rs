//! Many processes at once, each of which knows what may come of what it does.

mod crew;
mod roles;

use std::{
    os::fd::{AsFd as _, OwnedFd},
    time::{Duration, Instant},
};

use liveupdate_client::{Control, Device, Drive as _, Name, PageSize, Preserve as _, State, kexecfs::Instance};
use protocol::message::Interface;
use rustix::{
    event::{EventfdFlags, eventfd},
    fs::{MemfdFlags, ftruncate, memfd_create},
    io::{Errno, pread, pwrite},
};

use self::crew::Crew;
use super::{
    context::{Context, Finding, errno_name, holds, same, works},
    dice::Dice,
    fuzz::works_as_before,
};

/// What each process does, unless the step says how many; and when it stops whatever it has done.
const ROUNDS: u32 = 2000;
const LONGEST: Duration = Duration::from_secs(20);
/// As much less memory than after a shorter run is no leak: caches of the kernel's grow with use.
const STILL: u64 = 2 << 20;
const BYTES: usize = 64 << 10;

/// What all of them have open.
pub(super) struct Shared {
    face: Interface,
    /// Memory that nobody changes, memory that everybody does, a memfd and an eventfd.
    files: [OwnedFd; 4],
    /// An instance that everybody uses.
    instance: Instance,
    seed: u32,
    rounds: u32,
    deadline: Instant,
}

pub(super) const STEADY: usize = 0;
pub(super) const LOOSE: usize = 1;
pub(super) const MEMFD: usize = 2;

pub(super) fn named(name: &str) -> Result<Name, Finding> {
    Name::new(name).map_err(|error| Finding::new("a name", error.to_string()))
}

impl Shared {
    /// A session of its own, which can drive the machine.
    pub(super) fn driver(&self) -> Result<Control, Finding> {
        Ok(match self.face {
            Interface::Kexecfs => self.instance.control()?,
            _ => Control::from_fd(Device::open()?.into())?,
        })
    }

    /// The rounds of one process.
    fn rounds(&self, who: u32, mut work: impl FnMut(&mut Dice) -> Result<(), Finding>) -> Result<(), Finding> {
        let mut dice = Dice::new(self.seed, who);
        for _ in 0..self.rounds {
            if Instant::now() > self.deadline {
                break;
            }
            work(&mut dice)?;
        }
        Ok(())
    }
}

/// Requires that something works, or is refused with one of these; whether it worked.
pub(super) fn may<T>(what: &str, refusals: &[Errno], came: Result<T, Errno>) -> Result<Option<T>, Finding> {
    match came {
        Ok(value) => Ok(Some(value)),
        Err(errno) if refusals.contains(&errno) => Ok(None),
        Err(errno) => {
            let allowed: Vec<String> = refusals.iter().map(|errno| errno_name(errno.raw_os_error())).collect();
            let expected = format!("{what} to work or to be refused with one of {allowed:?}");
            Err(Finding::new(expected, errno_name(errno.raw_os_error())))
        }
    }
}

/// The check.
pub(super) fn hammer(context: &mut Context) -> Result<(), Finding> {
    let (seed, rounds) = (context.dice().seed, context.dice().rounds.unwrap_or(ROUNDS));
    drop(context.device()?);
    // The first time fills the kernel's caches.
    once(context, seed ^ 1, rounds / 8 + 1)?;
    let before = crate::memory::settled()?.free;
    once(context, seed, rounds)?;
    let after = crate::memory::settled()?.free;
    eprintln!("hammer: {} KiB free before, {} KiB after", before >> 10, after >> 10);
    let came = format!("{} KiB less", before.saturating_sub(after) >> 10);
    holds(&format!("all memory but {} KiB to be free again", STILL >> 10), after + STILL >= before, came)
}

fn once(context: &Context, seed: u32, rounds: u32) -> Result<(), Finding> {
    let instance = Instance::builder().name(named("hammer")?).size(4 << 20).mount()?;
    let driver = instance.control()?;
    let memfd = works("memfd_create", memfd_create("hammer", MemfdFlags::CLOEXEC))?;
    works("ftruncate", ftruncate(&memfd, BYTES as u64))?;
    let files = [
        driver.create_memory(BYTES as u64, PageSize::Any)?,
        driver.create_memory(BYTES as u64, PageSize::Small)?,
        memfd,
        works("eventfd", eventfd(3, EventfdFlags::CLOEXEC))?,
    ];
    for file in [STEADY, MEMFD] {
        works("write", pwrite(&files[file], &[0x5A; BYTES], 0))?;
    }
    let shared = Shared { face: context.face(), files, instance, seed, rounds, deadline: Instant::now() + LONGEST };
    let mut crew = Crew::new()?;
    for (who, (role, work)) in (0..).zip(roles::ALL) {
        crew.add(role, || work(&shared, who))?;
    }
    crew.go()?;
    if driver.state()? != State::Normal {
        driver.cancel()?;
    }
    // The instance is one of them; what the processes registered with it through a `control` of their own is its own.
    for file in [STEADY, MEMFD] {
        let mut found = vec![0; BYTES + 1];
        let read = works("read", pread(shared.files[file].as_fd(), &mut found[..], 0))?;
        holds(
            "memory that nobody changed to be as it was",
            read == BYTES && found[..BYTES] == [0x5A; BYTES],
            "not so",
        )?;
    }
    works_as_before(&driver)?;
    let Shared { instance, files, .. } = shared;
    drop((driver, instance, files));
    let device = Control::from_fd(Device::open()?.into())?;
    let status = device.status()?;
    same("the state when all are gone", State::Normal, status.state)?;
    same("participants when all are gone", 0, status.participants)
}
