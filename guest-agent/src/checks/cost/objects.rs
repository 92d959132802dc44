//! What many files of one page each cost, step by step: a step that takes each of them past all the others shows
//! as growth by the square.

use liveupdate_client::{
    Device, Drive as _, PageSize, Preserve as _, PreserveFlags, Token as ClientToken, kexecfs::Instance,
};
use protocol::{
    check::Notes,
    message::{Claim, Event, Interface, ObjectId, Token},
    pattern::PAGE,
};
use rustix::{
    fd::{AsFd as _, OwnedFd},
    process::{Resource, Rlimit, setrlimit},
};

use super::{NAME, check_marks, freeze, mark};
use crate::{
    checks::context::{Context, Finding, holds, works},
    now,
};

const BYTES: u64 = PAGE as u64;

pub(in crate::checks) fn leave_ten(context: &mut Context) -> Result<Notes, Finding> {
    leave(context, 10, 5)
}

pub(in crate::checks) fn leave_hundred(context: &mut Context) -> Result<Notes, Finding> {
    leave(context, 100, 5)
}

pub(in crate::checks) fn leave_thousand(context: &mut Context) -> Result<Notes, Finding> {
    leave(context, 1000, 3)
}

pub(in crate::checks) fn leave_ten_thousand(context: &mut Context) -> Result<Notes, Finding> {
    leave(context, 10_000, 2)
}

/// How many there were, their marks, and where their tokens stand.
type Left = (u32, u64, u64);

fn leave(context: &mut Context, count: u32, rounds: u32) -> Result<Notes, Finding> {
    room_for(count)?;
    let seed = now().0;
    let mut tokens = 0;
    for round in 1..=rounds {
        let last = round == rounds;
        match context.face() {
            Interface::Luo => luo(context, count, seed, last)?,
            Interface::Module => tokens = module(context, count, seed, last)?,
            Interface::Kexecfs => kexecfs(context, count, seed, last)?,
            Interface::Kho => return Err(Finding::lacks("plain Kexec HandOver preserves no files")),
        }
    }
    Ok(Notes::of::<Left>(&(count, seed, tokens))?)
}

pub(in crate::checks) fn find(context: &mut Context, notes: &Notes) -> Result<(), Finding> {
    let left: Left = notes.read()?;
    room_for(left.0)?;
    match context.face() {
        Interface::Luo => find_luo(context, left),
        Interface::Module => find_module(context, left),
        Interface::Kexecfs => find_kexecfs(context, left),
        Interface::Kho => Err(Finding::lacks("plain Kexec HandOver preserves no files")),
    }
}

/// Lets the process have so many files open.
fn room_for(count: u32) -> Result<(), Finding> {
    let files = Some(u64::from(count) + 100);
    works("setrlimit", setrlimit(Resource::Nofile, Rlimit { current: files, maximum: files }))
}

/// Makes that many, and marks each.
fn made(
    context: &mut Context,
    count: u32,
    seed: u64,
    mut make: impl FnMut(u32) -> Result<OwnedFd, Finding>,
) -> Result<Vec<OwnedFd>, Finding> {
    let files: Vec<OwnedFd> = context.timed("create", || (0..count).map(&mut make).collect())?;
    for (file, index) in files.iter().zip(0..) {
        mark(file, seed.wrapping_add(index))?;
    }
    Ok(files)
}

fn luo(context: &mut Context, count: u32, seed: u64, last: bool) -> Result<(), Finding> {
    let mut luo = context.open()?;
    let files = made(context, count, seed, |index| Ok(luo.create(ObjectId(index), BYTES)?))?;
    context.timed("register", || {
        files.iter().zip(0..).try_for_each(|(file, index)| Ok(luo.preserve(ObjectId(index), file.as_fd()).map(drop)?))
    })?;
    if last {
        context.stay_with((luo, files));
        return Ok(());
    }
    context.timed_drop("undo", luo);
    Ok(())
}

fn find_luo(context: &mut Context, (count, seed, _): Left) -> Result<(), Finding> {
    let mut luo = context.open()?;
    let half = (count / 2).max(1);
    let files: Vec<OwnedFd> = context.timed("restore half", || {
        (0..half)
            .map(|index| {
                let found = luo.retrieve(Claim { id: ObjectId(index), token: Token(index.into()) })?;
                found.ok_or_else(|| Finding::new("the memfd that was left", "the kernel has none"))
            })
            .collect()
    })?;
    marked(&files, seed)?;
    context.timed("finish", || Ok(luo.signal(Event::Finish)?))
}

/// The tokens go into one more memory file, and that one's into the notes.
fn module(context: &mut Context, count: u32, seed: u64, last: bool) -> Result<u64, Finding> {
    let device = context.device()?;
    let files = made(context, count, seed, |_| Ok(device.create_memory(BYTES, PageSize::Small)?))?;
    let register = |file: &OwnedFd| Ok(device.preserve(file, PreserveFlags::NONE)?.get());
    let tokens: Vec<u64> = context.timed("register", || files.iter().map(register).collect())?;
    let list: Vec<u8> = tokens.iter().flat_map(|token| token.to_le_bytes()).collect();
    let file = device.create_memory(list.len() as u64, PageSize::Small)?;
    works("write to a memory file", crate::frames::write_all(&file, &list))?;
    let token = register(&file)?;
    freeze(context, &device, "all")?;
    if last {
        context.stay_with((device, files, file));
        return Ok(token);
    }
    context.timed("undo", || Ok(device.cancel()?))?;
    context.timed_drop("unregister", device);
    Ok(0)
}

fn find_module(context: &mut Context, (count, seed, token): Left) -> Result<(), Finding> {
    let device = load(context)?;
    let list = device.restore(wanted(token)?)?;
    let mut bytes = vec![0; 8 * count as usize];
    let read = works("read of a memory file", rustix::io::pread(&list, &mut bytes[..], 0))?;
    holds("a token for each file", read == bytes.len(), format!("{read} bytes"))?;
    let tokens = bytes.as_chunks::<8>().0.iter().map(|token| wanted(u64::from_le_bytes(*token)));
    let half = tokens.take((count as usize / 2).max(1)).collect::<Result<Vec<_>, _>>()?;
    let restore = |token: &ClientToken| Ok(device.restore(*token)?);
    let files: Vec<OwnedFd> = context.timed("restore half", || half.iter().map(restore).collect())?;
    marked(&files, seed)?;
    context.timed("finish", || Ok(device.finish()?))
}

fn kexecfs(context: &mut Context, count: u32, seed: u64, last: bool) -> Result<(), Finding> {
    drop(context.device()?);
    let bytes = BYTES * u64::from(count);
    let instance = Instance::builder().name(NAME).size(bytes).fresh().mount()?;
    let files = made(context, count, seed, |index| Ok(instance.create_allocated(name(index), BYTES)?))?;
    let control = instance.control()?;
    freeze(context, &control, "all")?;
    if last {
        context.stay_with((instance, control, files));
        return Ok(());
    }
    context.timed("undo", || Ok(control.cancel()?))?;
    drop(files);
    context.timed_drop("unmount", (control, instance));
    Ok(())
}

fn find_kexecfs(context: &mut Context, (count, seed, _): Left) -> Result<(), Finding> {
    let device = load(context)?;
    let instance = context.timed("restore", || Ok(Instance::builder().name(NAME).retrieve().mount()?))?;
    let open = |index| Ok(instance.open(name(index))?);
    let files: Vec<OwnedFd> = context.timed("open", || (0..count).map(open).collect())?;
    marked(&files, seed)?;
    context.timed("finish", || Ok(device.finish()?))
}

fn name(index: u32) -> String {
    format!("file-{index}")
}

/// The module's device, with what the previous kernel left taken note of.
fn load(context: &mut Context) -> Result<Device, Finding> {
    let from = now();
    let device = context.device()?;
    context.report("load", from, now());
    Ok(device)
}

fn wanted(token: u64) -> Result<ClientToken, Finding> {
    ClientToken::new(token).ok_or_else(|| Finding::new("a token", "0"))
}

fn marked(files: &[OwnedFd], seed: u64) -> Result<(), Finding> {
    files.iter().zip(0..).try_for_each(|(file, index)| check_marks(file, seed.wrapping_add(index), BYTES))
}
