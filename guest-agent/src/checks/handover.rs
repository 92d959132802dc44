//! What subsystems and an update that nobody froze leave to the next kernel.

use liveupdate_client::{Drive as _, Preserve as _, PreserveFlags, State};
use protocol::check::Notes;
use rustix::{
    event::{EventfdFlags, eventfd},
    fd::AsFd as _,
    io::Errno,
};

use super::{
    context::{Context, Finding, refused, same, works},
    face::{Side, content, declined, has_content},
    selftest::{Selftest, number},
};

/// Three names with a number each, of which the next kernel will ask for two.
pub(super) fn leave_data(context: &mut Context) -> Result<Notes, Finding> {
    let (side, selftest) = (Side::fresh(context, "data")?, Selftest::open(context)?);
    for name in ["data-a", "data-b", "data-c"] {
        works("registration", selftest.register(name, &[]))?;
    }
    // The number of the last attempt counts.
    side.goes_round()?;
    side.prepare()?;
    side.freeze()?;
    Ok(Notes::default())
}

/// The numbers are there under their names; who left none gets none, and is not told of the end.
pub(super) fn find_data(context: &mut Context, _: &Notes) -> Result<(), Finding> {
    let (side, selftest) = (Side::retrieved(context, "data")?, Selftest::open(context)?);
    side.is(State::Updated)?;
    refused("data of one that is not registered here", Errno::NOENT, selftest.data("data-a"))?;
    for name in ["data-c", "data-a", "data-new"] {
        works("registration", selftest.register(name, &[]))?;
    }
    // As often as one likes, and for who comes again.
    works("unregistration", selftest.unregister("data-c"))?;
    works("registration", selftest.register("data-c", &[]))?;
    for name in ["data-a", "data-c", "data-a"] {
        same("the number that was left", number(name) + 1, works("data", selftest.data(name))?)?;
    }
    refused("data of one that left none", Errno::NOENT, selftest.data("data-new"))?;
    declined("PREPARE before FINISH", Errno::INVAL, side.prepare())?;
    side.finish()?;
    side.is(State::Normal)?;
    selftest.called(&["finish data-a", "finish data-c"].map(str::to_owned))?;
    refused("data after FINISH", Errno::BUSY, selftest.data("data-a"))?;
    side.goes_round()?;
    selftest.calls()?;
    ["data-a", "data-c", "data-new"].iter().try_for_each(|name| works("unregistration", selftest.unregister(name)))
}

const BYTES: usize = 3 * 4096 + 17;

/// Prepared, and then changed where that is still possible; FREEZE is left to the restart.
pub(super) fn leave_unfrozen(context: &mut Context) -> Result<Notes, Finding> {
    let (side, selftest) = (Side::fresh(context, "unfrozen")?, Selftest::open(context)?);
    works("registration", selftest.register("unfrozen", &[]))?;
    let (file, token) = side.file("ledger", BYTES as u64)?;
    let counter = works("eventfd", eventfd(0, EventfdFlags::CLOEXEC))?;
    let bell = side.preserve(counter.as_fd(), PreserveFlags::NONE)?;
    side.prepare()?;
    works("write to what is prepared", rustix::io::pwrite(&file, &content(bell.get(), BYTES), 0))?;
    works("write to the eventfd", rustix::io::write(&counter, &9u64.to_ne_bytes()))?;
    Ok(Notes::of(&(bell.get(), token))?)
}

/// It was frozen on the way: the numbers are those of FREEZE, and the contents those of the end.
pub(super) fn find_unfrozen(context: &mut Context, notes: &Notes) -> Result<(), Finding> {
    let (bell, token): (u64, u64) = notes.read()?;
    let (side, selftest) = (Side::retrieved(context, "unfrozen")?, Selftest::open(context)?);
    side.is(State::Updated)?;
    works("registration", selftest.register("unfrozen", &[]))?;
    same("the number from FREEZE on", number("unfrozen") + 1, works("data", selftest.data("unfrozen"))?)?;
    has_content(side.found(token, "ledger")?, &content(bell, BYTES))?;
    let mut count = [0; 8];
    works("read of the eventfd", rustix::io::read(side.found(bell, "")?, &mut count))?;
    same("the eventfd's count", 9, u64::from_ne_bytes(count))?;
    side.finish()?;
    side.is(State::Normal)?;
    selftest.called(&["finish unfrozen".to_owned()])?;
    works("unregistration", selftest.unregister("unfrozen"))
}
