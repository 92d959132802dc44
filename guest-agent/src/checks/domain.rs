//! Whose a token is, and what a session file can do for those who have nothing else.

use std::collections::BTreeSet;

use liveupdate_client::{
    Control, Device, Drive as _, Need, PageSize, Preserve as _, PreserveFlags, State, kexecfs::Instance,
};
use protocol::check::Notes;
use rustix::{
    fd::OwnedFd,
    io::Errno,
    mount::{MountFlags, mount},
    thread::UnshareFlags,
};

use super::{
    aside::Aside,
    carried::known,
    context::{Context, Finding, Kept, holds, same, works},
    pass,
    privilege::{become_user, unshare},
    seat::{called, denied, filled, has, retrieved, session},
};

const BYTES: usize = 2 * 4096;

/// Everything that only the machine's operator may do is refused; so is the device.
pub(super) fn no_power(seat: &Control) -> Result<(), Finding> {
    denied("PREPARE", Errno::PERM, seat.prepare())?;
    denied("FREEZE", Errno::PERM, seat.freeze())?;
    denied("CANCEL", Errno::PERM, seat.cancel())?;
    denied("FINISH", Errno::PERM, seat.finish())?;
    denied("STATUS", Errno::PERM, seat.status())?;
    denied("SESSION_CREATE", Errno::PERM, seat.create_session(&called("mine")))?;
    denied("SESSION_RETRIEVE", Errno::PERM, seat.retrieve_session(&called("mine")))?;
    denied("open of the device", Errno::ACCESS, Device::open())
}

/// All that a service without privileges needs: it registers, changes its mind, and registers again.
fn serve(seat: Control, foreign: &[u64], seed: u64, kept: &mut Kept) -> Result<u64, Finding> {
    no_power(&seat)?;
    let file = filled(&seat, BYTES, PageSize::Any, seed)?;
    let first = seat.preserve(&file, PreserveFlags::NONE)?;
    denied("FD_PRESERVE of a file that is registered", Errno::EXIST, seat.preserve(&file, PreserveFlags::NONE))?;
    seat.unpreserve(first)?;
    let token = seat.preserve(&file, PreserveFlags::NONE)?;
    holds("another token for another registration", token != first, token.to_string())?;
    for &other in foreign {
        let other = known(other)?;
        denied("FD_UNPRESERVE of another session's token", Errno::NOENT, seat.unpreserve(other))?;
        denied("DEPEND on another session's token", Errno::NOENT, seat.depend(token, Need::File(other)))?;
        denied("DEPEND of another session's token", Errno::NOENT, seat.depend(other, Need::File(token)))?;
    }
    kept.push(Box::new((seat, file)));
    Ok(token.get())
}

/// The seed of the file that the user of this number has.
fn seed_of(user: u32) -> u64 {
    u64::from(user) << 32
}

const BY_INHERITANCE: u32 = 1000;
const BY_SOCKET: u32 = 1001;
const BY_MOUNT: u32 = 1002;

/// An instance that belongs to a user, for the face that has such.
fn owned_instance(context: &Context) -> Result<Option<Instance>, Finding> {
    if !context.on_instance() {
        return Ok(None);
    }
    Ok(Some(Instance::builder().name(called("owned")).uid(BY_MOUNT).gid(BY_MOUNT).mode(0o700).mount()?))
}

/// Sessions in processes without privileges, which got them in different ways. Each has a file, and no other's.
pub(super) fn leave(context: &mut Context) -> Result<Notes, Finding> {
    let agent = context.seat("domain-agent")?;
    let mut tokens = Vec::new();

    let inherited: OwnedFd = session(&agent, "inherited")?.into();
    let (one, token) = Aside::start(|kept| {
        become_user(BY_INHERITANCE)?;
        serve(Control::from_fd(inherited)?, &[], seed_of(BY_INHERITANCE), kept)
    })?;
    tokens.push(token);

    let (here, there) = pass::pair()?;
    // Sent before the other process exists, so that it has it from the socket alone.
    pass::send(&here, b"sent", Some(&session(&agent, "sent")?.into()))?;
    let (other, token) = Aside::start(|kept| {
        become_user(BY_SOCKET)?;
        serve(Control::from_fd(pass::receive_file(&there)?)?, &tokens, seed_of(BY_SOCKET), kept)
    })?;
    tokens.push(token);

    let mut third = None;
    if let Some(instance) = owned_instance(context)? {
        let (aside, token) = Aside::start(|kept| {
            become_user(BY_MOUNT)?;
            let seat = instance.control()?;
            let token = serve(seat, &tokens, seed_of(BY_MOUNT), kept)?;
            kept.push(Box::new(instance));
            Ok(token)
        })?;
        tokens.push(token);
        third = Some(aside);
    }
    for &token in &tokens {
        denied("FD_UNPRESERVE of a session's token by its agent", Errno::NOENT, agent.unpreserve(known(token)?))?;
    }
    context.stay_with((agent, one, other, third));
    Ok(Notes::of(&tokens)?)
}

/// What a service finds again, and what it cannot have.
fn claim(seat: &Control, own: u64, others: &[u64], seed: u64) -> Result<(), Finding> {
    no_power(seat)?;
    for &other in others {
        let other = known(other)?;
        denied("FD_INFO of another session's token", Errno::NOENT, seat.info(other).map(drop))?;
        let mut guess = super::raw::Argument::new()?;
        let mut bytes = [16u32.to_ne_bytes(), (-1i32).to_ne_bytes()].concat();
        bytes.extend(other.get().to_ne_bytes());
        let at = guess.put(&bytes)?;
        let restored = super::raw::call(seat, super::raw::FD_RESTORE, at);
        super::context::refused("FD_RESTORE of another session's token", Errno::NOENT, restored)?;
    }
    has(&seat.restore(known(own)?)?, BYTES, seed)?;
    denied("a second FD_RESTORE", Errno::NOENT, seat.restore(known(own)?))
}

fn others(tokens: &[u64], own: usize) -> Vec<u64> {
    tokens.iter().copied().enumerate().filter(|(at, _)| *at != own).map(|(_, token)| token).collect()
}

/// Each finds its own file, and none of another's: neither may the open device have it.
pub(super) fn find(context: &mut Context, notes: &Notes) -> Result<(), Finding> {
    let tokens: Vec<u64> = notes.read()?;
    let agent = context.seat("domain-agent")?;
    for &token in &tokens {
        denied("FD_RESTORE of a session's token by its agent", Errno::NOENT, agent.restore(known(token)?))?;
    }
    let inherited: OwnedFd = retrieved(&agent, "inherited")?.into();
    Aside::run(|| {
        become_user(BY_INHERITANCE)?;
        claim(&Control::from_fd(inherited)?, tokens[0], &others(&tokens, 0), seed_of(BY_INHERITANCE))
    })?;
    let (here, there) = pass::pair()?;
    pass::send(&here, b"sent", Some(&retrieved(&agent, "sent")?.into()))?;
    Aside::run(|| {
        become_user(BY_SOCKET)?;
        let seat = Control::from_fd(pass::receive_file(&there)?)?;
        claim(&seat, tokens[1], &others(&tokens, 1), seed_of(BY_SOCKET))
    })?;
    match owned_instance(context)? {
        Some(instance) => Aside::run(|| {
            become_user(BY_MOUNT)?;
            claim(&instance.control()?, tokens[2], &others(&tokens, 2), seed_of(BY_MOUNT))
        }),
        None => Ok(()),
    }
}

/// 64 bits each, none of them fixed, none of the tokens twice.
pub(super) fn tokens_are_random(context: &mut Context) -> Result<(), Finding> {
    const MANY: u32 = 4096;
    let seat = context.seat("tokens")?;
    let file = seat.create_memory(4096, PageSize::Any)?;
    let mut seen = BTreeSet::new();
    let (mut ones, mut last) = ([0u32; 64], 0u64);
    let mut changes = 0;
    for _ in 0..MANY {
        let token = seat.preserve(&file, PreserveFlags::NONE)?;
        seat.unpreserve(token)?;
        denied("FD_UNPRESERVE of a token that is used up", Errno::NOENT, seat.unpreserve(token))?;
        holds("a token that was not given before", seen.insert(token.get()), token.to_string())?;
        for (bit, ones) in ones.iter_mut().enumerate() {
            *ones += u32::from(token.get() >> bit & 1 == 1);
        }
        changes += (token.get() ^ last).count_ones();
        last = token.get();
    }
    // Twelve standard deviations.
    let half = MANY / 2 - MANY / 10..MANY / 2 + MANY / 10;
    for (bit, ones) in ones.into_iter().enumerate() {
        holds(&format!("bit {bit} set in half of the tokens"), half.contains(&ones), format!("{ones} of {MANY}"))?;
    }
    let mean = changes / MANY;
    holds("half of the bits to change from token to token", (30..=33).contains(&mean), mean.to_string())
}

/// What is delegated to another namespace: the session file, or the whole of an instance that is mounted nowhere.
fn delegated(context: &Context, by: &Control, again: bool) -> Result<OwnedFd, Finding> {
    Ok(match (context.on_instance(), again) {
        (true, _) => Instance::builder().name(called("delegated")).mount()?.into(),
        (false, false) => session(by, "delegated")?.into(),
        (false, true) => retrieved(by, "delegated")?.into(),
    })
}

/// Work in a user namespace of its own, without `/dev`, with what a socket brings.
fn elsewhere<T>(
    context: &Context,
    socket: &OwnedFd,
    work: impl FnOnce(Control) -> Result<T, Finding>,
) -> Result<T, Finding> {
    unshare(UnshareFlags::NEWUSER | UnshareFlags::NEWNS)?;
    denied("open of the device by a stranger", Errno::ACCESS, Device::open())?;
    works("mount of a tmpfs over /dev", mount("tmpfs", "/dev", "tmpfs", MountFlags::empty(), None))?;
    denied("open of a device that is not to be seen", Errno::NOENT, Device::open())?;
    let file = pass::receive_file(socket)?;
    let seat = match context.on_instance() {
        true => Instance::from_fd(file)?.control()?,
        false => Control::from_fd(file)?,
    };
    denied("PREPARE by the root of a namespace", Errno::PERM, seat.prepare())?;
    denied("STATUS for the root of a namespace", Errno::PERM, seat.status())?;
    work(seat)
}

pub(super) fn leave_elsewhere(context: &mut Context) -> Result<Notes, Finding> {
    let agent = context.seat("elsewhere-agent")?;
    let (here, there) = pass::pair()?;
    pass::send(&here, b"delegated", Some(&delegated(context, &agent, false)?))?;
    let (aside, token) = Aside::start(|kept| {
        elsewhere(context, &there, |seat| {
            let file = filled(&seat, BYTES, PageSize::Any, 5)?;
            let token = seat.preserve(&file, PreserveFlags::NONE)?;
            seat.unpreserve(token)?;
            let token = seat.preserve(&file, PreserveFlags::NONE)?;
            same("the state", State::Normal, seat.state()?)?;
            kept.push(Box::new((seat, file)));
            Ok(token.get())
        })
    })?;
    context.stay_with((agent, aside));
    Ok(Notes::of(&token)?)
}

pub(super) fn find_elsewhere(context: &mut Context, notes: &Notes) -> Result<(), Finding> {
    let token: u64 = notes.read()?;
    let agent = context.seat("elsewhere-agent")?;
    let (here, there) = pass::pair()?;
    pass::send(&here, b"delegated", Some(&delegated(context, &agent, true)?))?;
    Aside::run(|| elsewhere(context, &there, |seat| has(&seat.restore(known(token)?)?, BYTES, 5)))
}
