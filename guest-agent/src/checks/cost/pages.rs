//! What the same bytes cost each interface: first in turn in one kernel, each preserved and given up again some
//! times over; then all three handed over together, and retrieved in turn.
//!
//! Each file is made anew, of whatever pages have become free: sometimes they lie in a row, sometimes scattered,
//! which is what costs the module most. And each is preserved twice: the first time is "cold", that of a memfd
//! moving what lies under the next kernel's scratch memory, where the module's files never are.

use std::fs;

use liveupdate_client::{
    Drive as _, Name, PageSize, Preserve as _, PreserveFlags, Token as ClientToken,
    kexecfs::{Huge, Instance},
};
use protocol::{
    check::Notes,
    message::{self, Claim, Event, ObjectId, Token},
};
use rustix::fd::{AsFd as _, OwnedFd};

use super::{NAME, check_marks, freeze, mark};
use crate::{
    checks::context::{Context, Finding, holds},
    interface, now,
};

const FILE: ObjectId = ObjectId(1);
/// One page beside it, which is retrieved first: what the first retrieval of all costs is the same whatever is
/// retrieved, and most of it an emulator's that sees the code for the first time.
const FIRST: ObjectId = ObjectId(2);
const PAGE: u64 = 4096;
const FEW: u64 = 64 << 20;
const MANY: u64 = 1 << 30;

/// Where the kernel says whether a memfd gets pages of 2 MiB: no flag of memfd_create(2) that the in-tree
/// orchestrator takes asks for them.
const HUGE_SHMEM: &str = "/sys/kernel/mm/transparent_hugepage/shmem_enabled";

/// The instance of that page.
const FIRST_NAME: Name = match Name::new("first") {
    Ok(name) => name,
    Err(_) => panic!("not a name"),
};

#[derive(Clone, Copy)]
struct Work {
    bytes: u64,
    huge: bool,
    seed: u64,
}

pub(in crate::checks) fn leave_few_small(context: &mut Context) -> Result<Notes, Finding> {
    leave(context, FEW, false, 7)
}

pub(in crate::checks) fn leave_few_huge(context: &mut Context) -> Result<Notes, Finding> {
    leave(context, FEW, true, 7)
}

pub(in crate::checks) fn leave_many_small(context: &mut Context) -> Result<Notes, Finding> {
    leave(context, MANY, false, 3)
}

pub(in crate::checks) fn leave_many_huge(context: &mut Context) -> Result<Notes, Finding> {
    leave(context, MANY, true, 3)
}

pub(in crate::checks) fn find_few(context: &mut Context, notes: &Notes) -> Result<(), Finding> {
    find(context, FEW, notes)
}

pub(in crate::checks) fn find_many(context: &mut Context, notes: &Notes) -> Result<(), Finding> {
    find(context, MANY, notes)
}

fn leave(context: &mut Context, bytes: u64, huge: bool, rounds: usize) -> Result<Notes, Finding> {
    let work = Work { bytes, huge, seed: now().0 };
    for round in 0..rounds {
        // Whoever comes first finds the caches cold, or the others' dirt.
        for turn in 0..3 {
            match (round + turn) % 3 {
                0 => luo_in_turn(context, &work)?,
                1 => module_in_turn(context, &work)?,
                _ => kexecfs_in_turn(context, &work)?,
            }
        }
    }

    let (memfd, memory) = (memfd(&work)?, memory(context, &work)?);
    let first = Work { bytes: PAGE, huge: false, ..work };
    let mut luo = interface::open(message::Interface::Luo)?;
    luo.preserve(FILE, memfd.as_fd())?;
    luo.preserve(FIRST, self::memfd(&first)?.as_fd())?;
    let device = context.device()?;
    let token = device.preserve(&memory, PreserveFlags::NONE)?.get();
    let first_token = device.preserve(self::memory(context, &first)?, PreserveFlags::NONE)?.get();
    let instances = (mounted(NAME, &work)?, mounted(FIRST_NAME, &first)?);
    device.prepare()?;
    device.freeze()?;
    context.stay_with((luo, device, instances, memfd, memory));
    Ok(Notes::of(&(token, first_token, work.seed))?)
}

fn memfd(work: &Work) -> Result<OwnedFd, Finding> {
    let shmem = |word| match fs::write(HUGE_SHMEM, word) {
        Ok(()) => Ok(()),
        Err(error) => Err(Finding::lacks(format!("{HUGE_SHMEM} takes no {word}: {error}"))),
    };
    if work.huge {
        shmem("always")?;
    }
    let before = huge_shmem();
    let memfd = interface::open(message::Interface::Luo)?.create(FILE, work.bytes)?;
    mark(&memfd, work.seed)?;
    if work.huge {
        shmem("never")?;
        let pages = huge_shmem() - before;
        holds("a memfd in pages of 2 MiB", pages >= work.bytes, format!("{pages} bytes in such"))?;
    }
    Ok(memfd)
}

/// Bytes of shmem in pages of 2 MiB.
fn huge_shmem() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix("ShmemHugePages:"));
    let kilobytes =
        value.and_then(|value| value.trim().strip_suffix(" kB")).and_then(|value| value.trim().parse().ok());
    kilobytes.unwrap_or(0) << 10
}

fn memory(context: &Context, work: &Work) -> Result<OwnedFd, Finding> {
    let pages = if work.huge { PageSize::Huge } else { PageSize::Small };
    let memory = context.device()?.create_memory(work.bytes, pages)?;
    mark(&memory, work.seed)?;
    Ok(memory)
}

fn mounted(name: Name, work: &Work) -> Result<(Instance, OwnedFd), Finding> {
    let huge = if work.huge { Huge::Always } else { Huge::Never };
    let instance = Instance::builder().name(name).size(work.bytes).huge(huge).fresh().mount()?;
    let file = instance.create_allocated("file", work.bytes)?;
    mark(&file, work.seed)?;
    Ok((instance, file))
}

fn luo_in_turn(context: &mut Context, work: &Work) -> Result<(), Finding> {
    let memfd = memfd(work)?;
    for face in ["cold luo", "luo"] {
        let mut luo = interface::open(message::Interface::Luo)?;
        // There is no other step that could be timed: the rest is reboot(2)'s.
        context.timed(&format!("{face}: preserve"), || Ok(luo.preserve(FILE, memfd.as_fd())?))?;
        context.timed_drop(&format!("{face}: undo"), luo);
    }
    Ok(())
}

fn module_in_turn(context: &mut Context, work: &Work) -> Result<(), Finding> {
    let memory = memory(context, work)?;
    for face in ["cold module", "module"] {
        let device = context.device()?;
        let from = now();
        device.preserve(&memory, PreserveFlags::NONE)?;
        let registered = now();
        let frozen = freeze(context, &device, face)?;
        context.report(&format!("{face}: register"), from, registered);
        context.report(&format!("{face}: preserve"), from, frozen);
        context.timed(&format!("{face}: undo"), || Ok(device.cancel()?))?;
    }
    Ok(())
}

fn kexecfs_in_turn(context: &mut Context, work: &Work) -> Result<(), Finding> {
    let (instance, _file) = mounted(NAME, work)?;
    let control = instance.control()?;
    for face in ["cold kexecfs", "kexecfs"] {
        let from = now();
        let frozen = freeze(context, &control, face)?;
        context.report(&format!("{face}: preserve"), from, frozen);
        context.timed(&format!("{face}: undo"), || Ok(control.cancel()?))?;
    }
    Ok(())
}

fn find(context: &mut Context, bytes: u64, notes: &Notes) -> Result<(), Finding> {
    let (token, first_token, seed): (u64, u64, u64) = notes.read()?;
    let from = now();
    let device = context.device()?;
    context.report("module: load", from, now());
    let mut luo = interface::open(message::Interface::Luo)?;
    let mut retrieve = |context: &mut Context, turn: u64, first: bool| {
        let what = if first { "first" } else { "retrieve" };
        match turn % 3 {
            0 => context.timed(&format!("luo: {what}"), || {
                let id = if first { FIRST } else { FILE };
                let found = luo.retrieve(Claim { id, token: Token(id.0.into()) })?;
                found.ok_or_else(|| Finding::new("the memfd that was left", "the kernel has none"))
            }),
            1 => context.timed(&format!("module: {what}"), || {
                let token = ClientToken::new(if first { first_token } else { token });
                Ok(device.restore(token.ok_or_else(|| Finding::new("a token", "0"))?)?)
            }),
            _ => {
                let name = if first { FIRST_NAME } else { NAME };
                let (instance, file) = context.timed(&format!("kexecfs: {what}"), || {
                    let instance = Instance::builder().name(name).retrieve().mount()?;
                    let file = instance.open("file")?;
                    Ok((instance, file))
                })?;
                context.stay_with(instance);
                Ok(file)
            }
        }
    };
    let begin = now().0 % 3;
    for turn in begin..begin + 3 {
        check_marks(retrieve(context, turn, true)?, seed, PAGE)?;
    }
    let kept = (begin..begin + 3).map(|turn| retrieve(context, turn, false)).collect::<Result<Vec<_>, _>>()?;
    for file in &kept {
        check_marks(file, seed, bytes)?;
    }
    context.timed("luo: finish", || Ok(luo.signal(Event::Finish)?))?;
    context.timed("module: finish", || Ok(device.finish()?))
}
