//! Garbage for what the previous kernel left: nobody gets it by chance, and it is there in the end.

use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use liveupdate_client::{
    Control, Device, Drive as _, PageSize, Preserve as _, PreserveFlags, Token,
    kexecfs::{Instance, Key},
};
use protocol::{check::Notes, message::Interface};
use rustix::{
    event::{EventfdFlags, eventfd},
    fs::{MemfdFlags, memfd_create},
    io::{pread, pwrite},
};

use super::{
    Fuzz, ROUNDS,
    ground::{Ground, named},
    located,
};
use crate::checks::{
    context::{Context, Finding, holds, same, works},
    dice::Dice,
};

/// What is left: the name of the session and of the instance, which has a key too.
const NAME: &str = "left";
const COUNT: u64 = 5;
const TEXT: &[u8] = b"left by the previous kernel";

fn instance() -> Result<Instance, Finding> {
    Ok(Instance::builder().name(named(NAME)?).key(Key::from([0xA5; 16])).mount()?)
}

/// A file of each kind, with the one who registers it; and in a session file the same again.
pub(crate) fn leave(context: &mut Context) -> Result<Notes, Finding> {
    let device = context.device()?;
    let (root, owner) = match context.face() {
        Interface::Kexecfs => {
            let root = instance()?;
            let control = root.control()?;
            works("write", pwrite(root.create("named")?, TEXT, 0))?;
            (Some(root), control)
        }
        _ => (None, Control::from_fd(device.into())?),
    };
    let session = owner.create_session(&named(NAME)?)?;
    let session = Control::from_fd(session.into())?;
    let mut tokens = Vec::new();
    for registrar in [&owner, &session] {
        let memory = registrar.create_memory(2 * 4096, PageSize::Any)?;
        let memfd = works("memfd_create", memfd_create("left", MemfdFlags::CLOEXEC))?;
        for file in [&memory, &memfd] {
            works("write", pwrite(file, TEXT, 0))?;
        }
        let counter = works("eventfd", eventfd(COUNT as u32, EventfdFlags::CLOEXEC))?;
        for file in [memory, memfd, counter] {
            tokens.push(registrar.preserve(&file, PreserveFlags::MEMFD)?.get());
        }
    }
    context.stay_with((root, owner, session));
    Ok(Notes::of(&tokens)?)
}

pub(crate) fn find(context: &mut Context, notes: &Notes) -> Result<(), Finding> {
    let tokens: Vec<u64> = notes.read()?;
    let device = context.device()?;
    let (root, owner) = match context.face() {
        Interface::Kexecfs => {
            let root = instance()?;
            let control = root.control()?;
            (Some(root), control)
        }
        _ => (None, Control::from_fd(device.into())?),
    };
    let unclaimed = owner.status()?.unclaimed;
    let mut fuzz = Fuzz::new(Ground::new(context)?)?;
    (fuzz.pool.tokens, fuzz.pool.lasting) = (tokens.clone(), tokens.len());
    fuzz.ground.add_owner(owner.as_fd().as_raw_fd());
    fuzz.left = vec![owner.as_fd().as_raw_fd()];
    if context.face() == Interface::Module {
        // Open devices have no name to be told apart by.
        fuzz.left.extend(fuzz.ground.driver());
    }
    let (seed, rounds) = (context.dice().seed, context.dice().rounds.unwrap_or(ROUNDS / 2));
    for round in 0..rounds {
        fuzz.round(&mut Dice::new(seed, round)).map_err(|finding| located(finding, seed, round))?;
    }
    same("what nobody has restored", unclaimed, owner.status()?.unclaimed)?;
    fuzz.ground.leave()?;

    if let Some(root) = &root {
        is_text(&root.open("named")?)?;
    }
    let driver = match context.face() {
        Interface::Kexecfs => {
            root.as_ref().map_or_else(|| Err(Finding::new("an instance", "none")), |root| Ok(root.control()?))?
        }
        _ => Control::from_fd(Device::open()?.into())?,
    };
    let session = Control::from_fd(driver.retrieve_session(&named(NAME)?)?.into())?;
    for (of, tokens) in [&owner, &session].into_iter().zip(tokens.chunks(3)) {
        let restore = |at: usize| match Token::new(tokens[at]) {
            Some(token) => Ok(of.restore(token)?),
            None => Err(Finding::new("a token", "0")),
        };
        is_text(&restore(0)?)?;
        is_text(&restore(1)?)?;
        let mut count = [0; 8];
        works("read of the eventfd", rustix::io::read(restore(2)?, &mut count))?;
        same("the eventfd's count", COUNT, u64::from_ne_bytes(count))?;
    }
    Ok(())
}

fn is_text(file: &OwnedFd) -> Result<(), Finding> {
    let mut found = [0; TEXT.len()];
    works("read", pread(file, &mut found, 0))?;
    holds("what was left to be there", found == TEXT, "other bytes")
}
