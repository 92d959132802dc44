//! A kexec that is called off.

use liveupdate_client::{Drive as _, State};
use protocol::check::Notes;
use rustix::{
    io::Errno,
    system::{RebootCommand, reboot},
};

use super::{
    context::{Context, Finding, refused, same, works},
    face::{Side, content, has_content},
    selftest::{Fail, Selftest, each, number},
};

const BYTES: usize = 4096;
const NAMES: [&str; 2] = ["veto-a", "veto-b"];

/// reboot(2) gives the errno of the FREEZE that failed, and the machine lives on in NORMAL.
pub(super) fn leave(context: &mut Context) -> Result<Notes, Finding> {
    let (side, selftest) = (Side::fresh(context, "veto")?, Selftest::open(context)?);
    if crate::kernel_log::read(crate::kernel_log::LIMIT)?.contains("a kexec cannot be called off on this kernel") {
        return Err(Finding::lacks("the kernel has no kprobes, by which the module could call a kexec off"));
    }
    let (file, token) = side.file("ledger", BYTES as u64)?;
    works("registration", selftest.register(NAMES[0], &[]))?;
    works("registration", selftest.register_failing(NAMES[1], &[NAMES[0]], Fail::Freeze(Errno::NOSPC)))?;

    refused("a kexec without an image", Errno::INVAL, reboot(RebootCommand::Kexec))?;
    side.is(State::Normal)?;
    let image = Image::load()?;
    for _ in 0..2 {
        side.prepare()?;
        refused("a kexec whose FREEZE fails", Errno::NOSPC, reboot(RebootCommand::Kexec))?;
        side.is(State::Normal)?;
        let undone = [each("prepare", NAMES), each("freeze", NAMES), each("cancel", NAMES.into_iter().rev())];
        selftest.called(&undone.concat())?;
        works("write to what is free again", rustix::io::pwrite(&file, &content(1, BYTES), 0))?;
    }
    drop(image);

    // The next one goes through: this update is the lab's own.
    works("unregistration", selftest.unregister(NAMES[1]))?;
    works("registration", selftest.register(NAMES[1], &[NAMES[0]]))?;
    side.goes_round()?;
    works("write", rustix::io::pwrite(&file, &content(token, BYTES), 0))?;
    side.prepare()?;
    Ok(Notes::of(&token)?)
}

pub(super) fn find(context: &mut Context, notes: &Notes) -> Result<(), Finding> {
    let token: u64 = notes.read()?;
    let (side, selftest) = (Side::retrieved(context, "veto")?, Selftest::open(context)?);
    side.is(State::Updated)?;
    for name in NAMES {
        works("registration", selftest.register(name, &[]))?;
        same("the number that was left", number(name) + 1, works("data", selftest.data(name))?)?;
    }
    has_content(side.found(token, "ledger")?, &content(token, BYTES))?;
    side.finish()?;
    NAMES.iter().try_for_each(|name| works("unregistration", selftest.unregister(name)))
}

/// One page of "cli; hlt; jmp" that is loaded as if it were a kernel: enough for reboot(2) to want to go, and a
/// machine that did go would say nothing any more. Gone when dropped.
struct Image;

#[repr(C)]
struct Segment {
    buffer: *const u8,
    bytes: usize,
    place: usize,
    room: usize,
}

impl Image {
    fn load() -> Result<Self, Finding> {
        const STOP: [u8; 4] = [0xfa, 0xf4, 0xeb, 0xfc];
        let place = 16 << 20;
        let segment = Segment { buffer: STOP.as_ptr(), bytes: STOP.len(), place, room: 4096 };
        // SAFETY: one segment, which is readable; what runs after a kexec is no longer this program.
        works("kexec_load", unsafe { kexec_load(place, std::slice::from_ref(&segment)) })?;
        Ok(Self)
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        // SAFETY: no segments unload what is loaded.
        let _ = unsafe { kexec_load(0, &[]) };
    }
}

/// # Safety
/// The segments' buffers must be readable.
unsafe fn kexec_load(entry: usize, segments: &[Segment]) -> Result<(), Errno> {
    // SAFETY: by the caller's word, and there are so many segments.
    let result = unsafe { libc::syscall(libc::SYS_kexec_load, entry, segments.len(), segments.as_ptr(), 0) };
    match result {
        0 => Ok(()),
        _ => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)),
    }
}
