//! A kernel that hands nothing over.

use liveupdate_client::{Drive as _, PageSize, Preserve as _, PreserveFlags, State};
use rustix::io::Errno;

use super::{
    context::{Context, Finding, holds, same},
    seat::{denied, filled, has, in_state},
};
use crate::kernel_log;

const BYTES: usize = 3 * 4096;

/// The module says so when it is loaded; memory and registrations work, and PREPARE is refused every time.
pub(super) fn handover_is_told(context: &mut Context) -> Result<(), Finding> {
    let seat = context.seat("off")?;
    let log = kernel_log::read(kernel_log::LIMIT)?;
    let told = log.lines().filter(|line| line.contains("liveupdate_lab: ") && line.contains("HandOver is off"));
    same("lines in the log that say that Kexec HandOver is off", 1, told.count())?;
    in_state(&seat, State::Normal)?;
    let file = filled(&seat, BYTES, PageSize::Any, 1)?;
    let token = seat.preserve(&file, PreserveFlags::NONE)?;
    for _ in 0..2 {
        denied("PREPARE", Errno::OPNOTSUPP, seat.prepare())?;
        let reason = seat.reason();
        holds("a reason that names kho=on", reason.contains("kho=on"), reason)?;
        in_state(&seat, State::Normal)?;
    }
    denied("CANCEL", Errno::OPNOTSUPP, seat.cancel())?;
    seat.unpreserve(token)?;
    has(&file, BYTES, 1)
}
