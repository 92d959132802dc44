//! Who needs whom: order, circles, and what is missing.

use std::os::fd::{AsFd as _, OwnedFd};

use liveupdate_client::{Drive as _, Need, Preserve as _, PreserveFlags, State, Token};
use protocol::check::Notes;
use rustix::{
    event::{EventfdFlags, eventfd},
    io::Errno,
};

use super::{
    context::{Context, Finding, holds, refused, same, works},
    face::{Side, content, declined, has_content, name_of},
    selftest::Selftest,
};

/// Subsystems, each with what it needs: some are registered after what needs them.
const WEB: [(&str, &[&str]); 6] = [
    ("order-roof", &["order-walls", "order-beams"]),
    ("order-beams", &["order-walls"]),
    ("order-ground", &[]),
    ("order-walls", &["order-ground", "order-late"]),
    ("order-alone", &[]),
    ("order-late", &["order-ground"]),
];

/// What is needed is prepared and frozen first, and undone last.
pub(super) fn needs_come_first(context: &mut Context) -> Result<(), Finding> {
    let (side, selftest) = (Side::fresh(context, "order")?, Selftest::open(context)?);
    let (file, token) = side.file("file", 4096)?;
    for (name, needs) in WEB {
        works("registration of a subsystem", selftest.register(name, needs))?;
    }
    match Token::new(token) {
        Some(token) => side.depend(token, Need::Subsystem(name_of("order-roof")?))?,
        None => side.depend_as_a_whole(Need::Subsystem(name_of("order-roof")?))?,
    }
    side.prepare()?;
    let prepared = came(&selftest, "prepare")?;
    for (name, needs) in WEB {
        let place = |name: &str| prepared.iter().position(|other| other == name);
        for need in needs {
            let first = place(need).is_some_and(|need| place(name).is_some_and(|own| need < own));
            holds(&format!("{need} to be prepared before {name}"), first, format!("{prepared:?}"))?;
        }
    }
    same("the number of callbacks", WEB.len(), prepared.len())?;
    side.freeze()?;
    same("the order of freezing", &prepared, &came(&selftest, "freeze")?)?;
    side.cancel()?;
    let mut cancelled = came(&selftest, "cancel")?;
    cancelled.reverse();
    same("what is the reverse of the order of cancelling", &prepared, &cancelled)?;
    side.is(State::Normal)?;
    drop((side, file));
    WEB.iter().try_for_each(|(name, _)| works("unregistration of a subsystem", selftest.unregister(name)))
}

/// The names behind this word, which every line must begin with.
fn came(selftest: &Selftest, word: &str) -> Result<Vec<String>, Finding> {
    let calls = selftest.calls()?;
    let names: Option<Vec<String>> = calls
        .iter()
        .map(|call| call.strip_prefix(word)?.strip_prefix(' ').filter(|name| !name.contains(' ')).map(str::to_owned))
        .collect();
    names.ok_or_else(|| Finding::new(format!("callbacks to {word} alone"), format!("{calls:?}")))
}

/// ELOOP, the way told; and what was refused has changed nothing.
pub(super) fn a_circle_is_refused(context: &mut Context) -> Result<(), Finding> {
    let (side, selftest) = (Side::fresh(context, "circle")?, Selftest::open(context)?);
    let mut counters = Vec::new();
    let mut tokens = Vec::new();
    for _ in 0..3 {
        let counter = works("eventfd", eventfd(0, EventfdFlags::CLOEXEC))?;
        tokens.push(side.preserve(counter.as_fd(), PreserveFlags::NONE)?);
        counters.push(counter);
    }
    let [a, b, c] = tokens[..] else { return Err(Finding::new("three tokens", "others")) };
    side.depend(a, Need::File(b))?;
    side.depend(b, Need::File(c))?;
    // Once more is no circle.
    side.depend(a, Need::File(b))?;
    let reason = declined("the third side of a circle", Errno::LOOP, side.depend(c, Need::File(a)))?;
    same("the way round", format!("a circle: file {c} -> file {a} -> file {b} -> file {c}"), reason)?;
    let reason = declined("a file that needs itself", Errno::LOOP, side.depend(b, Need::File(b)))?;
    same("the way round", format!("a circle: file {b} -> file {b}"), reason)?;
    let unknown = Token::new(a.get() ^ 1).unwrap_or(b);
    declined("a need of something unknown", Errno::NOENT, side.depend(a, Need::File(unknown)))?;

    // Subsystems say at their registration what they need.
    works("registration of a subsystem", selftest.register("circle-a", &["circle-b"]))?;
    works("registration of a subsystem", selftest.register("circle-b", &["circle-c"]))?;
    refused("the third side of a circle", Errno::LOOP, selftest.register("circle-c", &["circle-a"]))?;
    refused("a subsystem that needs itself", Errno::LOOP, selftest.register("circle-c", &["circle-c"]))?;
    let log = crate::kernel_log::read(crate::kernel_log::LIMIT)?;
    let told = "a circle: subsystem circle-c -> subsystem circle-a -> subsystem circle-b -> subsystem circle-c";
    holds("the kernel's log to tell the way round", log.contains(told), "no such line")?;
    let reason = declined("PREPARE without what was refused", Errno::NOENT, side.prepare())?;
    same("the reason", "subsystem circle-b needs subsystem circle-c, which is missing".to_owned(), reason)?;
    works("registration without a circle", selftest.register("circle-c", &[]))?;
    side.goes_round()?;
    drop(side);
    ["circle-a", "circle-b", "circle-c"]
        .iter()
        .try_for_each(|name| works("unregistration of a subsystem", selftest.unregister(name)))
}

/// PREPARE fails with ENOENT and names it; as soon as it is there, PREPARE works.
pub(super) fn a_missing_need_fails_prepare(context: &mut Context) -> Result<(), Finding> {
    let (side, selftest) = (Side::fresh(context, "missing")?, Selftest::open(context)?);
    let one = works("eventfd", eventfd(0, EventfdFlags::CLOEXEC))?;
    let other = works("eventfd", eventfd(0, EventfdFlags::CLOEXEC))?;
    let one = (side.preserve(one.as_fd(), PreserveFlags::NONE)?, one);
    let other = (side.preserve(other.as_fd(), PreserveFlags::NONE)?, other);
    works("registration of a subsystem", selftest.register("missing-none", &[]))?;

    side.depend(one.0, Need::File(other.0))?;
    side.unpreserve(other.0)?;
    let reason = declined("PREPARE without a file that is needed", Errno::NOENT, side.prepare())?;
    same("the reason", format!("file {} needs file {}, which is missing", one.0, other.0), reason)?;
    side.is(State::Normal)?;
    // Nobody was asked for what would have been in vain.
    selftest.called(&[])?;
    side.unpreserve(one.0)?;
    side.goes_round()?;
    selftest.calls()?;

    let one = (side.preserve(one.1.as_fd(), PreserveFlags::NONE)?, one.1);
    side.depend(one.0, Need::Subsystem(name_of("missing-late")?))?;
    let reason = declined("PREPARE without a subsystem that is needed", Errno::NOENT, side.prepare())?;
    same("the reason", format!("file {} needs subsystem missing-late, which is missing", one.0), reason)?;
    side.is(State::Normal)?;
    selftest.called(&[])?;
    works("registration of what is needed", selftest.register("missing-late", &[]))?;
    side.goes_round()?;
    // It is there, goes, and is missed again.
    works("unregistration of what is needed", selftest.unregister("missing-late"))?;
    declined("PREPARE without a subsystem that has gone", Errno::NOENT, side.prepare())?;
    side.unpreserve(one.0)?;
    side.goes_round()?;
    works("unregistration of a subsystem", selftest.unregister("missing-none"))
}

const FILES: [&str; 2] = ["ledger", "journal"];
const BYTES: usize = 5000;

/// A set of files (an instance as a whole, or each of them) that needs its eventfd.
struct Set {
    side: Side,
    counter: OwnedFd,
    bell: Token,
    tokens: Vec<u64>,
}

impl Set {
    fn new(context: &Context) -> Result<Self, Finding> {
        let side = Side::fresh(context, "set")?;
        let counter = works("eventfd", eventfd(5, EventfdFlags::CLOEXEC))?;
        let bell = side.preserve(counter.as_fd(), PreserveFlags::NONE)?;
        let mut tokens = Vec::new();
        for name in FILES {
            let (file, token) = side.file(name, BYTES as u64)?;
            works("write", rustix::io::pwrite(&file, &content(bell.get(), BYTES), 0))?;
            if let Some(token) = Token::new(token) {
                side.depend(token, Need::File(bell))?;
            }
            tokens.push(token);
        }
        if side.instance.is_some() {
            side.depend_as_a_whole(Need::File(bell))?;
        }
        Ok(Self { side, counter, bell, tokens })
    }
}

/// Without its eventfd the set cannot go, and with it, it can.
pub(super) fn leave_set(context: &mut Context) -> Result<Notes, Finding> {
    let Set { side, bell, tokens, .. } = Set::new(context)?;
    let set = match &side.instance {
        Some(_) => "instance set".to_owned(),
        None => format!("file {:#018x}", tokens[0]),
    };
    side.unpreserve(bell)?;
    let reason = declined("PREPARE of the set without its eventfd", Errno::NOENT, side.prepare())?;
    same("the reason", format!("{set} needs file {bell}, which is missing"), reason)?;
    side.is(State::Normal)?;
    // What a set needs is not to be taken back: another one takes its place.
    drop(side);
    let Set { side, counter, bell, tokens } = Set::new(context)?;
    context.stay_with((side, counter));
    Ok(Notes::of(&(bell.get(), tokens))?)
}

pub(super) fn find_set(context: &mut Context, notes: &Notes) -> Result<(), Finding> {
    let (bell, tokens): (u64, Vec<u64>) = notes.read()?;
    let side = Side::retrieved(context, "set")?;
    for (name, token) in FILES.iter().zip(&tokens) {
        has_content(side.found(*token, name)?, &content(bell, BYTES))?;
    }
    let counter = side.found(bell, "")?;
    let mut count = [0; 8];
    works("read of the eventfd", rustix::io::read(&counter, &mut count))?;
    same("the eventfd's count", 5, u64::from_ne_bytes(count))
}
