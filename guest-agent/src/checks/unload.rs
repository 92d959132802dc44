//! When the module can be taken out of the kernel, and when not.

use liveupdate_client::{Drive as _, PageSize, Preserve as _, PreserveFlags, State};
use protocol::check::Notes;
use rustix::{io::Errno, system::delete_module};

use super::{
    carried::known,
    context::{Context, Finding, refused, same, works},
    seat::{filled, has, in_state},
};

const BYTES: usize = 5 * 4096;

pub(super) fn unload() -> Result<(), Errno> {
    delete_module(c"liveupdate_lab", libc::O_NONBLOCK)
}

/// In NORMAL it goes when nothing of it is open, and comes back; in PREPARED and FROZEN it stays, though nobody has
/// anything open.
pub(super) fn only_in_normal(context: &mut Context) -> Result<(), Finding> {
    let seat = context.seat("unload")?;
    refused("unload with the seat open", Errno::AGAIN, unload())?;
    let file = filled(&seat, BYTES, PageSize::Any, 1)?;
    drop(seat);
    refused("unload with a memory file open", Errno::AGAIN, unload())?;
    has(&file, BYTES, 1)?;
    drop(file);
    works("unload with nothing open", unload())?;
    refused("a second unload", Errno::NOENT, unload())?;

    let seat = context.seat("unload")?;
    in_state(&seat, State::Normal)?;
    let file = filled(&seat, BYTES, PageSize::Any, 2)?;
    seat.preserve(&file, PreserveFlags::NONE)?;
    seat.prepare()?;
    drop((seat, file));
    let prepared = unload();
    let device = context.device()?;
    same("the state", State::Prepared, device.state()?)?;
    device.freeze()?;
    drop(device);
    let frozen = unload();
    let device = context.device()?;
    same("the state", State::Frozen, device.state()?)?;
    device.cancel()?;
    drop(device);
    refused("unload in PREPARED", Errno::AGAIN, prepared)?;
    refused("unload in FROZEN", Errno::AGAIN, frozen)?;
    works("unload after CANCEL", unload())?;
    in_state(&context.seat("unload")?, State::Normal)
}

pub(super) fn leave(context: &mut Context) -> Result<Notes, Finding> {
    let seat = context.seat("unload")?;
    let file = filled(&seat, BYTES, PageSize::Any, 3)?;
    let token = seat.preserve(&file, PreserveFlags::NONE)?.get();
    seat.prepare()?;
    seat.freeze()?;
    context.stay_with((seat, file));
    Ok(Notes::of(&token)?)
}

/// In UPDATED it stays; after FINISH it goes, and when it comes back it does not take this boot's description again.
pub(super) fn find(context: &mut Context, notes: &Notes) -> Result<(), Finding> {
    let token: u64 = notes.read()?;
    drop(context.device()?);
    refused("unload in UPDATED", Errno::AGAIN, unload())?;
    let seat = context.seat("unload")?;
    in_state(&seat, State::Updated)?;
    let file = seat.restore(known(token)?)?;
    has(&file, BYTES, 3)?;
    seat.finish()?;
    drop(seat);
    refused("unload with a restored file open", Errno::AGAIN, unload())?;
    has(&file, BYTES, 3)?;
    drop(file);
    works("unload after FINISH", unload())?;
    in_state(&context.seat("unload")?, State::Normal)
}
