//! What becomes of registrations whose owner closes or dies, in each of the states.

use liveupdate_client::{Control, Drive as _, PageSize, Preserve as _, PreserveFlags, State, Token};
use protocol::check::Notes;
use rustix::{fd::OwnedFd, io::Errno};

use super::{
    aside::Aside,
    context::{Context, Finding, refused, same},
    fault,
    seat::{called, denied, filled, has, in_state, retrieved, session},
};

const BYTES: usize = 5 * 4096;

/// Who holds, how it ends, and when.
const HOLDERS: [(&str, bool, State); 4] = [
    ("closed-prepared", false, State::Prepared),
    ("killed-prepared", true, State::Prepared),
    ("closed-frozen", false, State::Frozen),
    ("killed-frozen", true, State::Frozen),
];

/// Files of a seat of its own and of a session file, both of this name: the tokens.
struct Held {
    files: Vec<OwnedFd>,
    tokens: [u64; 2],
    seats: [Control; 2],
}

fn hold(context: &Context, by: &Control, name: &str, seed: u64) -> Result<Held, Finding> {
    let seats = [context.seat(name)?, session(by, name)?];
    let mut held = Held { files: Vec::new(), tokens: [0; 2], seats };
    for (seat, token) in held.seats.iter().zip(&mut held.tokens) {
        let file = filled(seat, BYTES, PageSize::Any, seed)?;
        *token = seat.preserve(&file, PreserveFlags::NONE)?.get();
        held.files.push(file);
    }
    Ok(held)
}

/// Closes or is killed, files first or last.
enum Holder {
    Here(Held),
    Aside(Aside),
}

impl Holder {
    fn start(
        context: &Context,
        by: &Control,
        name: &str,
        killed: bool,
        seed: u64,
    ) -> Result<(Self, [u64; 2]), Finding> {
        if !killed {
            let held = hold(context, by, name, seed)?;
            let tokens = held.tokens;
            return Ok((Self::Here(held), tokens));
        }
        let (aside, tokens) = Aside::start(|kept| {
            let held = hold(context, by, name, seed)?;
            let tokens = held.tokens;
            kept.push(Box::new(held));
            Ok(tokens)
        })?;
        Ok((Self::Aside(aside), tokens))
    }

    fn end(self) -> Result<(), Finding> {
        match self {
            Self::Here(held) => {
                drop(held);
                Ok(())
            }
            Self::Aside(aside) => aside.kill(),
        }
    }
}

/// Holders that end in PREPARED and in FROZEN, some closing, some killed. Who drives closes too: nobody is
/// left when the kexec comes.
pub(super) fn leave(context: &mut Context) -> Result<Notes, Finding> {
    let driver = context.seat("driver")?;
    let seed = crate::now().0;
    let mut holders = Vec::new();
    let mut tokens = Vec::new();
    for (name, killed, when) in HOLDERS {
        let (holder, of) = Holder::start(context, &driver, name, killed, seed)?;
        tokens.push(of);
        holders.push((holder, when));
    }
    for state in [State::Prepared, State::Frozen] {
        match state {
            State::Prepared => driver.prepare()?,
            _ => driver.freeze()?,
        }
        let ends = holders.extract_if(.., |(_, when)| *when == state);
        ends.map(|(holder, _)| holder.end()).collect::<Result<Vec<()>, Finding>>()?;
        // Refused, which must not be the end of those without a holder.
        denied("a second PREPARE", Errno::EXIST, driver.prepare())?;
        in_state(&driver, state)?;
    }
    Ok(Notes::of(&(seed, tokens))?)
}

/// All of it was handed over.
pub(super) fn find(context: &mut Context, notes: &Notes) -> Result<(), Finding> {
    let (seed, tokens): (u64, Vec<[u64; 2]>) = notes.read()?;
    let driver = context.seat("driver")?;
    in_state(&driver, State::Updated)?;
    denied("PREPARE in UPDATED", Errno::INVAL, driver.prepare())?;
    for ((name, ..), tokens) in HOLDERS.iter().zip(tokens) {
        for (seat, token) in [context.seat(name)?, retrieved(&driver, name)?].iter().zip(tokens) {
            has(&seat.restore(known(token)?)?, BYTES, seed)?;
        }
    }
    driver.finish()?;
    Ok(())
}

pub(super) fn known(token: u64) -> Result<Token, Finding> {
    Token::new(token).ok_or_else(|| Finding::new("a token in the notes", "0"))
}

/// What is closed while an update is prepared is kept for the kexec, and forgotten when that is called off: by
/// CANCEL in either state, or by a FREEZE that fails.
pub(super) fn cancel_then_forgets(context: &mut Context) -> Result<(), Finding> {
    let driver = context.seat("driver")?;
    let other = context.seat("other")?;
    let before = driver.status()?.participants;
    for killed in [false, true] {
        for way in ["CANCEL of PREPARED", "CANCEL of FROZEN", "a failed FREEZE"] {
            let files = [driver.create_memory(4096, PageSize::Any)?, driver.create_memory(4096, PageSize::Any)?];
            let register = || -> Result<[Control; 2], Finding> {
                let seats = [context.seat("holder")?, session(&driver, "holder")?];
                for (seat, file) in seats.iter().zip(&files) {
                    seat.preserve(file, PreserveFlags::NONE)?;
                }
                Ok(seats)
            };
            let mut aside = None;
            let mut here = None;
            if killed {
                let started = Aside::start(|kept| {
                    kept.push(Box::new(register()?));
                    Ok(())
                })?;
                aside = Some(started.0);
            } else {
                here = Some(register()?);
            }
            let registered = driver.status()?.participants;
            same("participants", before + 2 + u64::from(context.on_instance()), registered)?;

            driver.prepare()?;
            if way == "CANCEL of FROZEN" {
                driver.freeze()?;
            }
            drop(here);
            aside.map_or(Ok(()), Aside::kill)?;
            denied("a second PREPARE", Errno::EXIST, driver.prepare())?;
            same("participants whose holders are gone", registered, driver.status()?.participants)?;
            for file in &files {
                denied("FD_PRESERVE of another's file", Errno::BUSY, other.preserve(file, PreserveFlags::NONE))?;
            }
            if way == "a failed FREEZE" {
                fault::arm(1)?;
                let frozen = driver.freeze();
                fault::disarm()?;
                denied("FREEZE with a fault in it", Errno::NOMEM, frozen)?;
            } else {
                driver.cancel()?;
            }

            in_state(&driver, State::Normal)?;
            same(&format!("participants after {way}"), before, driver.status()?.participants)?;
            for file in &files {
                let token = other.preserve(file, PreserveFlags::NONE)?;
                other.unpreserve(token)?;
            }
            // The names are free too.
            drop((context.seat("holder")?, session(&driver, "holder")?));
        }
    }
    Ok(())
}

/// Before PREPARE what a holder had registered goes with it, closed or killed, and its names are free.
pub(super) fn gone_before_prepare(context: &mut Context) -> Result<(), Finding> {
    let driver = context.seat("driver")?;
    for killed in [false, true] {
        forgets(context, &driver, killed)?;
    }
    // None of them is in the update that comes now.
    let before = driver.status()?.participants;
    driver.prepare()?;
    same("participants", before, driver.status()?.participants)?;
    driver.cancel()?;
    Ok(())
}

/// A holder comes and goes, in a state in which that leaves nothing.
fn forgets(context: &Context, driver: &Control, killed: bool) -> Result<(), Finding> {
    let before = driver.status()?.participants;
    let (holder, tokens) = Holder::start(context, driver, "new", killed, 1)?;
    let registered = driver.status()?.participants;
    same("participants", before + 2 + u64::from(context.on_instance()), registered)?;
    denied("SESSION_CREATE of a name in use", Errno::EXIST, driver.create_session(&called("new")))?;
    holder.end()?;
    same("participants when their holder is gone", before, driver.status()?.participants)?;
    let again = session(driver, "new")?;
    for token in tokens {
        denied("FD_UNPRESERVE of a token that is gone", Errno::NOENT, again.unpreserve(known(token)?))?;
    }
    Ok(())
}

/// A file that waits in a seat and one that waits in a session.
pub(super) fn leave_waiting(context: &mut Context) -> Result<Notes, Finding> {
    let driver = context.seat("driver")?;
    let seed = crate::now().0;
    let held = hold(context, &driver, "waiting", seed)?;
    let tokens = held.tokens;
    context.stay_with((driver, held));
    Ok(Notes::of(&(seed, tokens))?)
}

/// In UPDATED what is registered goes with its holder as in NORMAL. What waits to be restored does not.
pub(super) fn close_in_updated(context: &mut Context, notes: &Notes) -> Result<(), Finding> {
    let (seed, tokens): (u64, [u64; 2]) = notes.read()?;
    let driver = context.seat("driver")?;
    in_state(&driver, State::Updated)?;
    let before = driver.status()?.unclaimed;
    for killed in [false, true] {
        forgets(context, &driver, killed)?;
        // Held, and given up with nothing restored.
        let (holder, ()) = Aside::start(|kept| {
            kept.push(Box::new((context.seat("waiting")?, retrieved(&driver, "waiting")?)));
            Ok(())
        })?;
        denied("SESSION_RETRIEVE of what is held", Errno::BUSY, driver.retrieve_session(&called("waiting")))?;
        if context.on_instance() {
            let second = context.try_seat("waiting").map_err(|error| error.errno());
            refused("a second mount of an instance", Errno::BUSY, second)?;
        }
        holder.kill()?;
        same("files that are not restored", before, driver.status()?.unclaimed)?;
    }
    for (seat, token) in [context.seat("waiting")?, retrieved(&driver, "waiting")?].iter().zip(tokens) {
        has(&seat.restore(known(token)?)?, BYTES, seed)?;
    }
    Ok(())
}
