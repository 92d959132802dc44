//! A restore that fails says so, loses nothing, and can be made again.

use liveupdate_client::{Control, PageSize, Preserve as _, PreserveFlags, State, kexecfs::Instance};
use protocol::check::Notes;
use rustix::{
    event::{EventfdFlags, eventfd},
    fd::OwnedFd,
    fs::{MemfdFlags, memfd_create},
    io::Errno,
    process::{Resource, Rlimit, getrlimit, setrlimit},
};

use super::{
    carried::known,
    context::{Context, Finding, holds, refused, same, works},
    fault,
    raw::{self, Argument},
    seat::{called, content, denied, descriptors, filled, has, in_state, retrieved, session},
};
use crate::frames::write_all;

/// Folios of 4 KiB, all of them different files' troubles: small pages, huge ones, a page that is not full.
const SMALL: usize = 64 * 4096;
const HUGE: usize = 4 << 20;
const ODD: usize = 40 * 4096 + 17;
const COUNT: u64 = 7;

/// What is left: the files' tokens in their order, and the seed of their bytes.
type Left = (u64, Vec<u64>);

fn fill(seat: &Control, seed: u64) -> Result<(Vec<OwnedFd>, Vec<u64>), Finding> {
    let memfd = works("memfd_create", memfd_create("retry", MemfdFlags::CLOEXEC))?;
    works("write to the memfd", write_all(&memfd, &content(seed, SMALL)))?;
    let counter = works("eventfd", eventfd(COUNT as u32, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK))?;
    let files = vec![
        filled(seat, SMALL, PageSize::Small, seed)?,
        filled(seat, HUGE, PageSize::Huge, seed)?,
        filled(seat, ODD, PageSize::Any, seed)?,
        memfd,
        counter,
    ];
    let mut tokens = Vec::new();
    for file in &files {
        tokens.push(seat.preserve(file, PreserveFlags::MEMFD)?.get());
    }
    Ok((files, tokens))
}

/// Files of each sort, of a seat of its own and of a session; on kexecfs one with a name too.
pub(super) fn leave(context: &mut Context) -> Result<Notes, Finding> {
    let seat = context.seat("retry")?;
    let named = session(&seat, "retry")?;
    let seed = crate::now().0;
    let (mut files, mut tokens) = fill(&seat, seed)?;
    let more = fill(&named, seed)?;
    files.extend(more.0);
    tokens.extend(more.1);
    if context.on_instance() {
        let instance = Instance::builder().name(called("retry-files")).mount()?;
        for name in ["one", "other"] {
            let file = instance.create(name)?;
            works("write", write_all(&file, &content(seed, SMALL)))?;
            files.push(file);
        }
        files.push(instance.into());
    }
    context.stay_with((seat, named, files));
    Ok(Notes::of::<Left>(&(seed, tokens))?)
}

/// Whatever stands in the way, in turn: no descriptor, nowhere to put the number, no memory at any step.
pub(super) fn find(context: &mut Context, notes: &Notes) -> Result<(), Finding> {
    let (seed, tokens): Left = notes.read()?;
    let (seat, failures) =
        fault::again_and_again("a mount or an open device", || context.try_seat("retry"), || Ok(()))?;
    holds("a mount or an open device to fail at first", failures >= 1, failures.to_string())?;
    in_state(&seat, State::Updated)?;
    let (named, _) = fault::again_and_again("SESSION_RETRIEVE", || retrieved(&seat, "retry"), || Ok(()))?;
    let (one, other) = tokens.split_at(tokens.len() / 2);
    for (by, tokens, insist) in [(&seat, one, at_its_steps as Insist), (&named, other, at_its_ends)] {
        for (&token, bytes) in tokens.iter().zip([SMALL, HUGE, ODD, SMALL, 0]) {
            let open = descriptors()?;
            let waits = || {
                same("whether it counts as restored after a failure", false, by.info(known(token)?)?.restored)?;
                same("open descriptors after a failed restore", open, descriptors()?)
            };
            let file = insist(by, token, bytes, &waits)?;
            restored_once(by, token, file, bytes, seed)?;
        }
    }
    if context.on_instance() {
        mount_at_last(seed)?;
    }
    Ok(())
}

/// A way to have one token fail before it is restored. `bytes`: 0 for the eventfd.
type Insist = fn(&Control, u64, usize, &dyn Fn() -> Result<(), Finding>) -> Result<OwnedFd, Finding>;

/// No memory, at one step after the other.
fn at_its_steps(
    seat: &Control,
    token: u64,
    bytes: usize,
    waits: &dyn Fn() -> Result<(), Finding>,
) -> Result<OwnedFd, Finding> {
    let token = known(token)?;
    let (file, failures) = fault::again_and_again("FD_RESTORE", || seat.restore(token), waits)?;
    // Each folio has steps of its own. How many folios a file has that could choose is not said.
    let least = match bytes {
        0 => 1,
        SMALL => 8,
        _ => 2,
    };
    holds(&format!("at least {least} failures on the way"), failures >= least, failures.to_string())?;
    Ok(file)
}

/// No descriptor to begin with, and no place for its number in the end.
fn at_its_ends(
    seat: &Control,
    token: u64,
    bytes: usize,
    waits: &dyn Fn() -> Result<(), Finding>,
) -> Result<OwnedFd, Finding> {
    for _ in 0..2 {
        without_descriptors(seat, token)?;
        waits()?;
        without_a_place(seat, token, bytes == 0)?;
        waits()?;
    }
    Ok(seat.restore(known(token)?)?)
}

fn restored_once(seat: &Control, token: u64, file: OwnedFd, bytes: usize, seed: u64) -> Result<(), Finding> {
    let token = known(token)?;
    match bytes {
        0 => {
            let mut count = [0; 8];
            works("read of the eventfd", rustix::io::read(&file, &mut count))?;
            same("the eventfd's count", COUNT, u64::from_ne_bytes(count))?;
        }
        bytes => has(&file, bytes, seed)?,
    }
    same("whether it counts as restored", true, seat.info(token)?.restored)?;
    denied("a second FD_RESTORE", Errno::NOENT, seat.restore(token))?;
    drop(file);
    denied("FD_RESTORE of what was closed again", Errno::NOENT, seat.restore(token))
}

/// Out of descriptors: EMFILE, for an eventfd even before the module is asked.
fn without_descriptors(seat: &Control, number: u64) -> Result<(), Finding> {
    let token = known(number)?;
    let next = works("dup", rustix::io::dup(seat))?;
    let limit = u64::try_from(std::os::fd::AsRawFd::as_raw_fd(&next)).unwrap_or_default();
    drop(next);
    let usual = getrlimit(Resource::Nofile);
    works("setrlimit", setrlimit(Resource::Nofile, Rlimit { current: Some(limit), ..usual }))?;
    let refused = denied("FD_RESTORE without a free descriptor", Errno::MFILE, seat.restore(token));
    works("setrlimit", setrlimit(Resource::Nofile, usual))?;
    refused
}

/// Nowhere to write the descriptor's number to: EFAULT.
fn without_a_place(seat: &Control, number: u64, counter: bool) -> Result<(), Finding> {
    let brought = works("eventfd", eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK))?;
    let fd = if counter { std::os::fd::AsRawFd::as_raw_fd(&brought) } else { -1 };
    let mut page = Argument::new()?;
    let mut bytes = [16u32.to_ne_bytes(), fd.to_ne_bytes()].concat();
    bytes.extend(number.to_ne_bytes());
    let argument = page.put(&bytes)?;
    page.read_only()?;
    refused("FD_RESTORE into memory that is read-only", Errno::FAULT, raw::call(seat, raw::FD_RESTORE, argument))?;
    if counter {
        let mut count = [0; 8];
        let empty = rustix::io::read(&brought, &mut count);
        refused("read of the eventfd that took nothing over", Errno::AGAIN, empty)?;
    }
    Ok(())
}

/// A mount that retrieves an instance fails at each of its steps, and is made again.
fn mount_at_last(seed: u64) -> Result<(), Finding> {
    let open = descriptors()?;
    let builder = Instance::builder().name(called("retry-files")).retrieve();
    let closed = || same("open descriptors after a failed mount", open, descriptors()?);
    let (instance, failures) = fault::again_and_again("a mount", || builder.mount(), closed)?;
    holds("at least 24 failures on the way", failures >= 24, failures.to_string())?;
    for name in ["one", "other"] {
        has(&instance.open(name)?, SMALL, seed)?;
    }
    let mut names = instance.files()?;
    names.sort();
    holds("its two files", names == ["one", "other"], format!("{names:?}"))
}
