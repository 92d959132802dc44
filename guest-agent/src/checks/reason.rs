//! What is said of a call that was refused.

use liveupdate_client::{Drive as _, Need, PageSize, Preserve as _, PreserveFlags, State, Token};
use protocol::check::Notes;
use rustix::{
    event::{EventfdFlags, eventfd},
    fd::AsFd as _,
    fs::{Mode, OFlags, open, openat},
    io::Errno,
};

use super::{
    context::{Context, Finding, refused, same, works},
    face::{Side, declined},
    raw::{self, Argument},
};

const NAME: &str = "reason";
const MIB: u64 = 1 << 20;
/// Ioctls by number.
const PREPARE: u32 = 0x04;
const REASON: u32 = 0x0c;

/// Requires that a call is refused so and in these words, on an instance in its file `reason` too.
fn says<T>(
    side: &Side,
    what: &str,
    errno: Errno,
    words: &str,
    result: liveupdate_client::Result<T>,
) -> Result<(), Finding> {
    let reason = declined(what, errno, result)?;
    same(&format!("what is said of {what}"), words, reason.as_str())?;
    match &side.instance {
        Some(instance) => same("what the file says", words, instance.reason()?.as_str()),
        None => Ok(()),
    }
}

/// What is refused before an update.
pub(super) fn leave(context: &mut Context) -> Result<Notes, Finding> {
    let side = Side::fresh(context, NAME)?;
    let counter = works("eventfd", eventfd(1, EventfdFlags::CLOEXEC))?;
    let token = side.preserve(counter.as_fd(), PreserveFlags::NONE)?;
    let Some(unknown) = Token::new(token.get() ^ 1) else { return Err(Finding::new("a token", "0")) };

    let no_file = format!("this session has no file {unknown}");
    says(&side, "FD_UNPRESERVE of an unknown token", Errno::NOENT, &no_file, side.unpreserve(unknown))?;
    says(&side, "DEPEND of an unknown token", Errno::NOENT, &no_file, side.depend(unknown, Need::File(token)))?;
    says(&side, "DEPEND on an unknown token", Errno::NOENT, &no_file, side.depend(token, Need::File(unknown)))?;
    for bytes in [1, 2 * MIB - 1, 3 * MIB, 4 * MIB + 4096] {
        let words = format!("{bytes} bytes: a file of huge pages must be whole ones of 2 MiB");
        says(&side, "a length of huge pages", Errno::INVAL, &words, side.create_memory(bytes, PageSize::Huge))?;
    }
    let words = format!("{} bytes: longer than a file can be", u64::MAX);
    says(&side, "no length of a file", Errno::FBIG, &words, side.create_memory(u64::MAX, PageSize::Any))?;
    let zero = works("open", open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()))?;
    let odd = side.preserve(zero.as_fd(), PreserveFlags::NONE);
    says(&side, "FD_PRESERVE of a device", Errno::NOENT, "no handler for such a file", odd)?;
    says(&side, "FREEZE in NORMAL", Errno::INVAL, "not in state normal", side.freeze())?;
    if let Some(instance) = &side.instance {
        let state = openat(instance, "state", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty());
        let state = works("open of the state", state)?;
        refused("a word that is none", Errno::INVAL, rustix::io::write(&state, b"prepared"))?;
        let words = "the words are prepare, freeze, cancel and finish";
        same("what is said of that", words, instance.reason()?.as_str())?;
    }

    // What was said of one call is not said of the next, which fails for want of an argument.
    declined("FREEZE in NORMAL", Errno::INVAL, side.freeze())?;
    let mut argument = Argument::new()?;
    let short = argument.put(&4u32.to_ne_bytes())?;
    refused("a PREPARE of 4 bytes", Errno::INVAL, raw::call(&*side, PREPARE, short))?;
    same("what is said of that", 0, said(&side, &mut argument)?)?;
    declined("FREEZE in NORMAL", Errno::INVAL, side.freeze())?;
    drop(side.create_memory(4096, PageSize::Any)?);
    same("what is said of a call that works", 0, said(&side, &mut argument)?)?;

    side.prepare()?;
    says(&side, "a second PREPARE", Errno::EXIST, "not in state prepared", side.prepare())?;
    side.freeze()?;
    context.stay_with((side, counter));
    Ok(Notes::of(&(token.get(), unknown.get()))?)
}

/// How many bytes REASON has to say.
fn said(side: &Side, argument: &mut Argument) -> Result<u32, Finding> {
    let mut bytes = [0; 248];
    bytes[..4].copy_from_slice(&248u32.to_ne_bytes());
    let place = argument.put(&bytes)?;
    works("REASON", raw::call(&**side, REASON, place))?;
    match argument.last(248)[4..8] {
        [a, b, c, d] => Ok(u32::from_ne_bytes([a, b, c, d])),
        _ => Ok(0),
    }
}

/// What is refused after one.
pub(super) fn find(context: &mut Context, notes: &Notes) -> Result<(), Finding> {
    let (token, unknown): (u64, u64) = notes.read()?;
    let side = Side::retrieved(context, NAME)?;
    let (Some(token), Some(unknown)) = (Token::new(token), Token::new(unknown)) else {
        return Err(Finding::new("tokens", "0"));
    };
    let no_file = format!("the previous kernel left this session no file {unknown}");
    says(&side, "FD_RESTORE of an unknown token", Errno::NOENT, &no_file, side.restore(unknown))?;
    says(&side, "FD_INFO of an unknown token", Errno::NOENT, &no_file, side.info(unknown))?;
    let used = works("eventfd", eventfd(1, EventfdFlags::CLOEXEC))?;
    let words = "an eventfd is restored into a new one: counter 0, EFD_SEMAPHORE as it had";
    says(&side, "a restore into an old eventfd", Errno::INVAL, words, side.restore_into(token, &used))?;
    drop(side.restore(token)?);
    let words = format!("file {token} is restored already");
    says(&side, "a second restore", Errno::NOENT, &words, side.restore(token))?;
    says(&side, "PREPARE in UPDATED", Errno::INVAL, "not in state updated", side.prepare())?;
    side.finish()?;
    side.is(State::Normal)?;
    says(&side, "FD_RESTORE in NORMAL", Errno::BUSY, "not in state normal", side.restore(token))
}
