//! What the processes do.

use std::{os::fd::AsFd, time::Duration};

use liveupdate_client::{Drive as _, Event, Need, PageSize, Preserve as _, PreserveFlags, Token, kexecfs::Instance};
use rustix::{
    fs::{AtFlags, FallocateFlags, Mode, OFlags, fallocate, ftruncate, openat, renameat, unlinkat},
    io::{Errno, pwrite},
    mm::{Advice, MapFlags, ProtFlags, madvise, mmap, munmap},
    process::{Pid, Signal, WaitOptions, kill_process, waitpid},
};

use super::{LOOSE, Shared, may, named};
use crate::checks::{
    context::{Finding, works},
    dice::Dice,
};

pub(super) type Role = fn(&Shared, u32) -> Result<(), Finding>;

/// Each with its name; some are there twice.
pub(super) const ALL: [(&str, Role); 10] = [
    ("registrar", registrar),
    ("another registrar", registrar),
    ("driver", driver),
    ("another driver", driver),
    ("maker", maker),
    ("filer", filer),
    ("another filer", filer),
    ("mapper", mapper),
    ("mounter", mounter),
    ("victim", victim),
];

fn errno<T>(result: liveupdate_client::Result<T>) -> Result<T, Errno> {
    result.map_err(|error| error.errno())
}

/// Registers what everybody has open, and takes it back: its own tokens are always good.
fn registrar(shared: &Shared, who: u32) -> Result<(), Finding> {
    let session = shared.driver()?;
    let mut own: Vec<Token> = Vec::new();
    shared.rounds(who, |dice| {
        match dice.below(8) {
            0..4 => {
                let file = &shared.files[dice.below(shared.files.len())];
                let made = errno(session.preserve(file, PreserveFlags::MEMFD));
                own.extend(may("FD_PRESERVE", &[Errno::EXIST, Errno::BUSY], made)?);
            }
            4 if own.len() > 1 => {
                let made = errno(session.depend(dice.pick(&own), Need::File(dice.pick(&own))));
                may("DEPEND on one's own file", &[Errno::LOOP, Errno::BUSY], made)?;
            }
            5.. if !own.is_empty() => {
                let at = dice.below(own.len());
                let gone = may("FD_UNPRESERVE of one's own file", &[Errno::BUSY], errno(session.unpreserve(own[at])))?;
                if gone.is_some() {
                    own.swap_remove(at);
                }
            }
            _ => {}
        }
        Ok(())
    })
}

/// Moves the machine, mostly the way that it can go.
fn driver(shared: &Shared, who: u32) -> Result<(), Finding> {
    let session = shared.driver()?;
    shared.rounds(who, |dice| {
        let event =
            dice.pick(&[Event::Prepare, Event::Prepare, Event::Freeze, Event::Cancel, Event::Cancel, Event::Finish]);
        let refusals: &[Errno] = match event {
            // Who needs a file that was taken back; a memfd whose last pages somebody is looking at.
            Event::Prepare => &[Errno::EXIST, Errno::NOENT, Errno::BUSY],
            Event::Cancel => &[Errno::NOENT],
            _ => &[Errno::INVAL],
        };
        may(event.word(), refusals, errno(session.signal(event)))?;
        works("GET_STATE", errno(session.state()))?;
        works("STATUS", errno(session.status())).map(drop)
    })
}

/// Makes sessions and memory and lets them go.
fn maker(shared: &Shared, who: u32) -> Result<(), Finding> {
    let session = shared.driver()?;
    let names = [named("a")?, named("b")?];
    let mut kept = Vec::new();
    shared.rounds(who, |dice| {
        let made = errno(session.create_session(&dice.pick(&names)));
        if let Some(made) = may("SESSION_CREATE", &[Errno::EXIST, Errno::BUSY], made)? {
            let file = works("MEM_CREATE", errno(made.create_memory(3 * 4096, PageSize::Any)))?;
            may("FD_PRESERVE of a new file", &[Errno::BUSY], errno(made.preserve(&file, PreserveFlags::NONE)))?;
            kept.push(made);
        }
        if dice.once_in(2) {
            kept.clear();
        }
        Ok(())
    })
}

const NAMES: [&str; 3] = ["x", "y", "z"];
const FLAGS: OFlags = OFlags::RDWR.union(OFlags::CLOEXEC);

/// Works with the files of the instance that everybody uses.
fn filer(shared: &Shared, who: u32) -> Result<(), Finding> {
    let root = &shared.instance;
    shared.rounds(who, |dice| {
        let (name, other) = (dice.pick(&NAMES), dice.pick(&NAMES));
        match dice.below(8) {
            0 => {
                let gone = unlinkat(root, name, AtFlags::empty());
                return may("unlink", &[Errno::NOENT, Errno::BUSY], gone).map(drop);
            }
            1 => return may("rename", &[Errno::NOENT, Errno::BUSY], renameat(root, name, root, other)).map(drop),
            _ => {}
        }
        let made = openat(root, name, FLAGS | OFlags::CREATE, Mode::RUSR | Mode::WUSR);
        let Some(file) = may("open", &[Errno::BUSY], made)? else { return Ok(()) };
        let at = 4096 * dice.below(64) as u64;
        let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        let done = match dice.below(4) {
            0 => pwrite(&file, &[7; 6000], at).map(drop),
            1 => ftruncate(&file, at),
            2 => fallocate(&file, FallocateFlags::empty(), at, 20_000),
            _ => fallocate(&file, punch, at, 9000),
        };
        may("a change of a file", &[Errno::BUSY, Errno::NOSPC], done).map(drop)
    })
}

/// Writes through mappings of what others cut short.
fn mapper(shared: &Shared, who: u32) -> Result<(), Finding> {
    shared.rounds(who, |dice| {
        let opened = match dice.once_in(2) {
            true => None,
            false => openat(&shared.instance, dice.pick(&NAMES), FLAGS, Mode::empty()).ok(),
        };
        let file = opened.as_ref().map_or(shared.files[LOOSE].as_fd(), AsFd::as_fd);
        touch(file)?;
        if opened.is_none() {
            let bytes = 4096 * dice.below(32) as u64;
            may("ftruncate", &[Errno::BUSY], ftruncate(file, bytes))?;
        }
        Ok(())
    })
}

fn touch(file: impl AsFd) -> Result<(), Finding> {
    const BYTES: usize = 32 * 4096;
    let protection = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a new mapping, wherever the kernel sees fit; nobody reads or writes it but the kernel, which says
    // EFAULT where a process would get SIGBUS.
    let mapped = unsafe { mmap(std::ptr::null_mut(), BYTES, protection, MapFlags::SHARED, file, 0) };
    let Some(base) = may("mmap", &[Errno::BUSY], mapped)? else { return Ok(()) };
    // SAFETY: as above.
    let touched = unsafe { madvise(base, BYTES, Advice::LinuxPopulateWrite) };
    // SAFETY: mapped just now and nowhere else used.
    works("munmap", unsafe { munmap(base, BYTES) })?;
    may("a write through a mapping", &[Errno::FAULT, Errno::BUSY], touched).map(drop)
}

/// Mounts, leaves a file, and unmounts.
fn mounter(shared: &Shared, who: u32) -> Result<(), Finding> {
    let names = [named("m1")?, named("m2")?];
    let mut mounted: [Option<Instance>; 2] = [None, None];
    shared.rounds(who, |dice| {
        let at = dice.below(2);
        if mounted[at].take().is_some() {
            return Ok(());
        }
        // Its name is in use as long as an update keeps the one before.
        let made = errno(Instance::builder().name(names[at]).size(1 << 20).mount());
        if let Some(instance) = may("mount", &[Errno::BUSY], made)? {
            let made = openat(&instance, "file", FLAGS | OFlags::CREATE, Mode::RUSR);
            if let Some(file) = may("create", &[Errno::BUSY], made)? {
                may("write", &[Errno::BUSY], pwrite(&file, &[1; 5000], 0))?;
            }
            mounted[at] = Some(instance);
        }
        Ok(())
    })
}

/// Starts a process that does all of this, and kills it amidst.
fn victim(shared: &Shared, who: u32) -> Result<(), Finding> {
    let mut round = 0u32;
    shared.rounds(who, |dice| {
        round += 1;
        if !round.is_multiple_of(16) {
            return Ok(());
        }
        // SAFETY: this process has one thread; the new one is killed and tidies nothing up.
        match unsafe { libc::fork() } {
            -1 => Err(Finding::new("fork to work", std::io::Error::last_os_error().to_string())),
            0 => {
                let _ = suffer(shared, dice);
                // SAFETY: as above.
                unsafe { libc::_exit(1) }
            }
            pid => {
                std::thread::sleep(Duration::from_micros(dice.below(4000) as u64));
                let Some(pid) = Pid::from_raw(pid) else { return Ok(()) };
                works("kill", kill_process(pid, Signal::KILL))?;
                works("waitpid", rustix::io::retry_on_intr(|| waitpid(Some(pid), WaitOptions::empty()))).map(drop)
            }
        }
    })
}

fn suffer(shared: &Shared, dice: &mut Dice) -> Result<(), Finding> {
    loop {
        let session = shared.driver()?;
        let file = session.create_memory(4096 * (1 + dice.below(200)) as u64, PageSize::Small)?;
        let _ = session.preserve(&file, PreserveFlags::NONE);
        let mount = Instance::builder().name(named("victim")?).mount();
        let _ = session.prepare();
        let _ = session.freeze();
        let _ = session.cancel();
        drop((file, mount, session));
    }
}
