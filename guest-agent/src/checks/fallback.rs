//! A kexec that the module cannot call off, as on a kernel without kprobes.

use liveupdate_client::{Drive as _, Preserve as _, State, Token};
use protocol::check::Notes;
use rustix::{
    io::Errno,
    mount::{MountFlags, mount},
};

use super::{
    context::{Context, Finding, holds, refused, same, works},
    face::{Side, content, declined, has_content},
    selftest::{Fail, Selftest},
};

const BYTES: usize = 3 * 4096;
const NAME: &str = "fallback";

/// Takes the module's probe out of action: what is left then is the reboot notifier.
fn disarm() -> Result<(), Finding> {
    let log = crate::kernel_log::read(crate::kernel_log::LIMIT)?;
    if log.contains("a kexec cannot be called off on this kernel") {
        return Ok(());
    }
    match mount(c"debugfs", c"/sys/kernel/debug", c"debugfs", MountFlags::empty(), None) {
        Err(Errno::NODEV | Errno::NOENT) => {
            return Err(Finding::lacks("the kernel has no debugfs to disarm kprobes by"));
        }
        done => works("mount of debugfs", done)?,
    }
    let written = std::fs::write("/sys/kernel/debug/kprobes/enabled", "0");
    written.map_err(|error| Finding::new("kprobes to be disarmed", error.to_string()))
}

/// Prepared, with a FREEZE that will fail on the way down.
pub(super) fn leave(context: &mut Context) -> Result<Notes, Finding> {
    let (side, selftest) = (Side::fresh(context, NAME)?, Selftest::open(context)?);
    disarm()?;
    let (file, token) = side.file("ledger", BYTES as u64)?;
    works("write", rustix::io::pwrite(&file, &content(1, BYTES), 0))?;
    works("registration", selftest.register_failing(NAME, &[], Fail::Freeze(Errno::NOSPC)))?;
    side.prepare()?;
    side.is(State::Prepared)?;
    context.stay_with((side, file));
    Ok(Notes::of(&token)?)
}

/// No half of it came: the machine is as after a cold boot, and the next update works.
pub(super) fn find(context: &mut Context, notes: &Notes) -> Result<(), Finding> {
    let token: u64 = notes.read()?;
    // An instance can be made afresh: that would be refused if the old one were there.
    let (side, selftest) = (Side::fresh(context, NAME)?, Selftest::open(context)?);
    side.is(State::Normal)?;
    let status = side.status()?;
    same("generation and files from the previous kernel", (1, 0), (status.generation, status.inherited))?;
    if let Some(token) = Token::new(token) {
        declined("a restore of what was not frozen", Errno::BUSY, side.restore(token))?;
    }
    works("registration", selftest.register(NAME, &[]))?;
    refused("data that nobody left", Errno::BUSY, selftest.data(NAME))?;
    let (file, _) = side.file("ledger", BYTES as u64)?;
    let zeros = vec![0; BYTES];
    has_content(&file, &zeros)?;
    side.goes_round()?;
    let log = crate::kernel_log::read(crate::kernel_log::LIMIT)?;
    holds("the log to tell of nothing from before", !log.contains("from the previous kernel"), "it does")?;
    works("unregistration", selftest.unregister(NAME))
}
