//! An update without memory.

use std::{
    fs,
    os::fd::{AsFd as _, OwnedFd},
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use liveupdate_client::{Control, Drive as _, Name, PageSize, Preserve as _, PreserveFlags, State, kexecfs::Instance};
use protocol::{
    check::Notes,
    message::{Claim, Interface, ObjectId, Token},
};
use rustix::{
    fs::{FallocateFlags, MemfdFlags, fallocate, ftruncate, memfd_create},
    io::{Errno, pread, pwrite},
    mm::{MapFlags, ProtFlags, mmap_anonymous},
};

use super::{
    aside::Aside,
    context::{Context, Finding, errno_name, holds, refused, same, works},
    fuzz::works_as_before,
};
use crate::{failure::Outcome, memory};

/// What a hog leaves free, more or less: enough for the processes that look on. One that was killed for being too
/// greedy is followed by one that is less so, and so are those after it: this kernel needs as much.
const LEFT: [u64; 6] = [4 << 20, 8 << 20, 12 << 20, 16 << 20, 20 << 20, 24 << 20];
/// What it takes at a time: a huge page, as long as there are some. A kernel that looks after each page takes half a
/// minute for as much memory in small ones.
const PIECE: usize = 2 << 20;
/// What the next one to go has.
const SPARE: usize = 32 << 20;
/// Of a memfd that can be filled before the hog has come.
const THIRST: u64 = 32 << 20;
/// Of a memory file.
const BYTES: u64 = 8 << 20;
/// More than the machine has.
const MORE: u64 = 512 << 20;
/// Updates without memory.
const ROUNDS: u32 = 5;

/// A process that has taken nearly all memory, and is the first to go if that was too much.
fn take_all() -> Result<Aside, Finding> {
    static KILLED: AtomicUsize = AtomicUsize::new(0);
    loop {
        let killed = KILLED.load(Ordering::Relaxed).min(LEFT.len() - 1);
        match fill_up(LEFT[killed]) {
            Err(_) if killed + 1 < LEFT.len() => KILLED.store(killed + 1, Ordering::Relaxed),
            hog => {
                // Those who judge are the last.
                let _ = fs::write("/proc/self/oom_score_adj", "-1000");
                return hog;
            }
        }
    }
}

/// A process that is the next to go, where the first one has gone and memory is wanting still: else it would be the one
/// that holds the lab's session.
fn spare() -> Result<Aside, Finding> {
    let (spare, ()) = Aside::start(|_| {
        works("write oom_score_adj", fs::write("/proc/self/oom_score_adj", "999").map_err(|_| Errno::PERM))?;
        works("mmap", take(SPARE))
    })?;
    Ok(spare)
}

/// Takes memory for as long as the process lives.
fn take(bytes: usize) -> Result<(), Errno> {
    let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE | MapFlags::POPULATE);
    // SAFETY: a new mapping, wherever the kernel sees fit, which nobody uses.
    unsafe { mmap_anonymous(std::ptr::null_mut(), bytes, protection, flags) }.map(drop)
}

fn fill_up(left: u64) -> Result<Aside, Finding> {
    let (hog, ()) = Aside::start(|_| {
        works("write oom_score_adj", fs::write("/proc/self/oom_score_adj", "1000").map_err(|_| Errno::PERM))?;
        while memory::counters()?.available > left {
            if take(PIECE).is_err() {
                break;
            }
        }
        Ok(())
    })?;
    Ok(hog)
}

/// The error that want of memory has, or none at all.
fn or_no_memory<T>(what: &str, came: Result<T, Errno>) -> Result<Option<T>, Finding> {
    match came {
        Ok(value) => Ok(Some(value)),
        Err(Errno::NOMEM) => Ok(None),
        Err(errno) => {
            Err(Finding::new(format!("{what} to work or to be refused with ENOMEM"), errno_name(errno.raw_os_error())))
        }
    }
}

fn named(name: &str) -> Result<Name, Finding> {
    Name::new(name).map_err(|error| Finding::new("a name", error.to_string()))
}

fn content(page: u64) -> [u8; 4096] {
    [(page * 31 + 7) as u8; 4096]
}

fn fill(file: &OwnedFd) -> Result<(), Finding> {
    (0..BYTES / 4096).try_for_each(|page| works("write", pwrite(file, &content(page), page * 4096)).map(drop))
}

fn is_filled(file: &OwnedFd) -> Result<(), Finding> {
    let mut found = [0; 4096];
    for page in 0..BYTES / 4096 {
        let read = works("read", pread(file, &mut found, page * 4096))?;
        holds(&format!("page {page} to hold what was written"), read == 4096 && found == content(page), "other bytes")?;
    }
    Ok(())
}

/// PREPARE, and what may come before it, while a hog has all memory.
pub(super) fn prepare(context: &mut Context) -> Result<(), Finding> {
    let device = context.device()?;
    let instance = Instance::builder().name(named("pressure")?).size(1 << 40).mount()?;
    let driver = match context.face() {
        Interface::Kexecfs => instance.control()?,
        _ => Control::from_fd(device.into())?,
    };
    let file = driver.create_memory(BYTES, PageSize::Small)?;
    fill(&file)?;
    driver.preserve(&file, PreserveFlags::NONE)?;
    let named_file = instance.create_allocated("file", BYTES)?;
    fill(&named_file)?;
    let participants = driver.status()?.participants;

    // As much as no machine here has: refused before anything is taken.
    let sparse = works("memfd_create", memfd_create("sparse", MemfdFlags::CLOEXEC))?;
    works("ftruncate", ftruncate(&sparse, 1 << 40))?;
    let token = driver.preserve(&sparse, PreserveFlags::MEMFD)?;
    for _ in 0..3 {
        let error = driver.prepare().map_err(|error| (error.errno(), !error.reason().is_empty()));
        same("what PREPARE of a memfd says that cannot be filled", Err((Errno::NOMEM, true)), error)?;
        same("the state after it", State::Normal, driver.state()?)?;
    }
    driver.unpreserve(token)?;

    // As much as there is now, but will not be: so is what PREPARE comes to after others.
    let thirsty = works("memfd_create", memfd_create("thirsty", MemfdFlags::CLOEXEC))?;
    works("ftruncate", ftruncate(&thirsty, THIRST))?;
    let token = driver.preserve(&thirsty, PreserveFlags::MEMFD)?;
    let spare = spare()?;
    let mut hog = take_all()?;
    for _ in 0..3 {
        let error = driver.prepare().map_err(|error| error.errno());
        same("what PREPARE says when the memory is gone", Err(Errno::NOMEM), error)?;
        same("the state after it", State::Normal, driver.state()?)?;
        works("a change of what had been prepared", ftruncate(&file, BYTES))?;
        works("a change of what had been prepared", ftruncate(&named_file, BYTES))?;
    }
    driver.unpreserve(token)?;

    for round in 0..ROUNDS {
        // What the kernel takes for itself may have cost the hog its life: that is the rule, and not what is asked.
        if memory::counters()?.available > THIRST {
            hog.kill()?;
            hog = take_all()?;
        }
        let made = driver.create_memory(MORE, PageSize::Any).map_err(|error| error.errno());
        refused("MEM_CREATE of more memory than there is", Errno::NOMEM, made)?;
        let grown = fallocate(&instance.create(format!("grown{round}"))?, FallocateFlags::empty(), 0, MORE);
        refused("fallocate of more memory than there is", Errno::NOMEM, grown)?;
        let said = or_no_memory("PREPARE", driver.prepare().map_err(|error| error.errno()))?;
        if said.is_some() {
            or_no_memory("FREEZE", driver.freeze().map_err(|error| error.errno()))?;
        }
        match driver.state()? {
            State::Frozen => driver.cancel()?,
            state => same("the state where memory was wanting", State::Normal, state)?,
        }
        same("participants", participants, driver.status()?.participants)?;
    }
    drop((hog, spare));
    driver.preserve(&thirsty, PreserveFlags::MEMFD)?;
    driver.prepare()?;
    driver.cancel()?;
    is_filled(&file)?;
    is_filled(&named_file)?;
    drop(file);
    works_as_before(&driver)
}

const FILES: u32 = 6;

/// Some memory, preserved by a holder that stays.
pub(super) fn leave(context: &mut Context) -> Result<Notes, Finding> {
    let mut session = context.open()?;
    let mut tokens = Vec::new();
    let mut files = Vec::new();
    for id in 1..=FILES {
        let file = session.create(ObjectId(id), BYTES)?;
        fill(&file)?;
        tokens.push(session.preserve(ObjectId(id), file.as_fd())?.0);
        files.push(file);
    }
    context.stay_with((session, files));
    Ok(Notes::of(&tokens)?)
}

/// All of it comes back, some when there is memory again.
pub(super) fn find(context: &mut Context, notes: &Notes) -> Result<(), Finding> {
    let tokens: Vec<u64> = notes.read()?;
    drop(context.device()?);
    let _spare = spare()?;
    let mut hog = Some(take_all()?);
    let begun = Instant::now();
    let mut session = None;
    let mut restored = Vec::new();
    while restored.len() < tokens.len() {
        // A while without memory; then what has failed is tried again with it.
        if begun.elapsed() > Duration::from_millis(500) {
            hog = None;
        }
        if session.is_none() {
            session = wanting(context.open(), hog.is_some())?;
        }
        let Some(open) = session.as_mut() else { continue };
        let id = restored.len();
        let claim = Claim { id: ObjectId(id as u32 + 1), token: Token(tokens[id]) };
        match wanting(open.retrieve(claim), hog.is_some())? {
            Some(Some(file)) => restored.push(file),
            Some(None) => return Err(Finding::new(format!("file {id} under its token"), "the kernel has none")),
            None => {}
        }
    }
    drop(hog);
    restored.iter().try_for_each(is_filled)
}

/// Nothing but want of memory may come between, and that only while there is a hog.
fn wanting<T>(came: Outcome<T>, hog: bool) -> Result<Option<T>, Finding> {
    match came {
        Ok(value) => Ok(Some(value)),
        Err(failure) if hog && failure.errno == Some(libc::ENOMEM) => Ok(None),
        Err(failure) => Err(failure.into()),
    }
}
