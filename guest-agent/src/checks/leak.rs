//! Nothing leaks: not what is registered and taken back, and not what an update leaves that failed half-way.

use liveupdate_client::{
    Control, Drive as _, Need, PageSize, Preserve as _, PreserveFlags, State, Token, kexecfs::Instance,
};
use rustix::{
    event::{EventfdFlags, eventfd},
    fd::OwnedFd,
    fs::{FileType, MemfdFlags, ftruncate, memfd_create},
    io::Errno,
};

use super::{
    context::{Context, Finding, holds, same, works},
    fault,
    seat::{called, content, denied, filled, has, in_state, session},
};

const MIB: u64 = 1 << 20;
/// What comes and goes by itself.
const SLACK: u64 = MIB / 4;

/// A change of free memory that `work`, done often, must not bring. It was done once before, to warm the caches.
pub(super) fn no_change(what: &str, mut work: impl FnMut() -> Result<(), Finding>) -> Result<(), Finding> {
    work()?;
    let before = crate::memory::settled()?.free;
    work()?;
    let after = crate::memory::settled()?.free;
    let lost = before.saturating_sub(after);
    holds(&format!("no memory to be lost by {what}"), lost <= SLACK, format!("{lost} bytes less"))
}

/// Registered and taken back: once each for large files, often for a small one, and with a fault at each step.
pub(super) fn unpreserve(context: &mut Context) -> Result<(), Finding> {
    let seat = context.seat("leak")?;
    let named = session(&seat, "leak")?;
    let before = seat.status()?.participants;
    let both = [&seat, &named];
    no_change("FD_UNPRESERVE of large files", || {
        for by in both {
            let file = by.create_memory(32 * MIB, PageSize::Huge)?;
            let token = by.preserve(&file, PreserveFlags::NONE)?;
            by.unpreserve(token)?;
            denied("a second FD_UNPRESERVE", Errno::NOENT, by.unpreserve(token))?;
        }
        Ok(())
    })?;
    let files = some_files(&seat)?;
    // A leak of 32 bytes each is as much as is let pass.
    no_change("8192 registrations", || {
        for turn in 0..8192 {
            let (by, file) = (both[turn % 2], &files[turn % files.len()]);
            let token = by.preserve(file, PreserveFlags::MEMFD)?;
            by.unpreserve(token)?;
        }
        Ok(())
    })?;
    no_change("registrations that fail", || {
        for turn in 0..200 {
            let (by, file) = (both[turn % 2], &files[turn % files.len()]);
            let register = || by.preserve(file, PreserveFlags::MEMFD);
            let nothing = || same("participants", before, seat.status()?.participants);
            fault::at_every_step("FD_PRESERVE", register, nothing, |token| Ok(by.unpreserve(token)?))?;
        }
        Ok(())
    })?;
    no_change("sessions that cannot be made", || {
        for _ in 0..100 {
            let make = || session(&seat, "another");
            let failures = fault::at_every_step(
                "SESSION_CREATE",
                make,
                || Ok(()),
                |made| {
                    drop(made);
                    Ok(())
                },
            )?;
            holds("SESSION_CREATE to have steps that fail", failures >= 2, failures.to_string())?;
        }
        Ok(())
    })?;
    same("participants at the end", before, seat.status()?.participants)
}

fn some_files(by: &Control) -> Result<Vec<OwnedFd>, Finding> {
    let memfd = works("memfd_create", memfd_create("leak", MemfdFlags::CLOEXEC))?;
    works("write to the memfd", crate::frames::write_all(&memfd, &content(1, FILE)))?;
    Ok(vec![filled(by, FILE, PageSize::Small, 1)?, works("eventfd", eventfd(3, EventfdFlags::CLOEXEC))?, memfd])
}

const FILE: usize = 32 * 4096;

/// Seats with files of every sort that need each other, ready for PREPARE.
struct Workload {
    driver: Control,
    named: Control,
    instance: Option<Instance>,
    files: Vec<OwnedFd>,
    tokens: Vec<Token>,
}

impl Workload {
    fn new(context: &Context) -> Result<Self, Finding> {
        let driver = context.seat("leak")?;
        let named = session(&driver, "leak")?;
        let mut work = Self { driver, named, instance: None, files: Vec::new(), tokens: Vec::new() };
        for by in [&work.driver, &work.named] {
            let files = some_files(by)?;
            let huge = filled(by, 2 << 20, PageSize::Huge, 1)?;
            for file in files.iter().chain([&huge]) {
                work.tokens.push(by.preserve(file, PreserveFlags::MEMFD)?);
            }
            if let [.., one, other] = work.tokens[..] {
                by.depend(one, Need::File(other))?;
            }
            work.files.extend(files);
            work.files.push(huge);
        }
        if context.on_instance() {
            let instance = Instance::builder().name(called("leaking")).mount()?;
            let file = instance.create("file")?;
            works("write", crate::frames::write_all(&file, &content(1, FILE)))?;
            work.files.push(file);
            work.instance = Some(instance);
        }
        Ok(work)
    }

    /// Everything is as before PREPARE: the state, the books, and files whose size can change again.
    fn is_undone(&self, participants: u64) -> Result<(), Finding> {
        in_state(&self.driver, State::Normal)?;
        denied("CANCEL after a failure", Errno::NOENT, self.driver.cancel())?;
        same("participants", participants, self.driver.status()?.participants)?;
        for file in &self.files {
            let stat = works("fstat", rustix::fs::fstat(file))?;
            // An eventfd has no size.
            if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
                let size = stat.st_size.unsigned_abs();
                works("ftruncate of a file that is not prepared", ftruncate(file, size + 1))?;
                works("ftruncate back", ftruncate(file, size))?;
            }
        }
        Ok(())
    }
}

/// PREPARE and FREEZE fail at each of their steps: NORMAL each time, nothing is lost, the next attempt works.
pub(super) fn failed_update(context: &mut Context) -> Result<(), Finding> {
    let work = Workload::new(context)?;
    let driver = &work.driver;
    let participants = driver.status()?.participants;
    let undone = || work.is_undone(participants);
    let cancel = |()| {
        driver.cancel()?;
        undone()
    };
    let (mut prepares, mut freezes) = (0, 0);
    no_change("events that fail at each of their steps", || {
        prepares = fault::at_every_step("PREPARE", || driver.prepare(), undone, cancel)?;
        for _ in 0..8 {
            // What is armed before PREPARE would fail that.
            let mut step = 0;
            freezes = loop {
                step += 1;
                driver.prepare()?;
                fault::arm(step)?;
                let frozen = driver.freeze();
                let came = fault::disarm()?;
                match frozen {
                    Ok(()) => {
                        cancel(())?;
                        if !came {
                            break step - 1;
                        }
                    }
                    Err(error) => {
                        holds("FREEZE to fail with ENOMEM", error.errno() == Errno::NOMEM && came, error.to_string())?;
                        undone()?;
                    }
                }
            };
        }
        Ok(())
    })?;
    // Some for each file and each block of its pages, and those of the description. How many blocks small pages
    // make depends on where they lie.
    holds("PREPARE to have more than 40 steps", prepares > 40, prepares.to_string())?;
    holds("FREEZE to have a step that fails", freezes >= 1, freezes.to_string())?;
    driver.prepare()?;
    driver.freeze()?;
    cancel(())?;
    for (file, bytes) in work.files.iter().zip([FILE, 0, FILE, 2 << 20, FILE, 0, FILE, 2 << 20, FILE]) {
        if bytes > 0 {
            has(file, bytes, 1)?;
        }
    }
    let (held, Workload { driver, named, instance, .. }) = (work.tokens.len() as u64, work);
    drop(named);
    let left = driver.status()?.participants;
    same("participants when the session is closed", participants - held / 2, left)?;
    drop(instance);
    drop(session(&driver, "leak")?);
    same("the session's name", Ok(()), driver.create_session(&called("leak")).map(drop))
}
