//! The control file: the device's calls, and the same answers.

use std::os::fd::AsRawFd as _;

use liveupdate_client::{
    Drive, Name, Need, PageSize, Preserve, PreserveFlags, Session, State, Token, kexecfs::Instance,
};
use rustix::{
    event::{EventfdFlags, eventfd},
    fd::AsFd,
    fs::{MemfdFlags, memfd_create},
    io::Errno,
};

use super::{mounting::has_no_power, named};
use crate::checks::{
    aside::Aside,
    context::{Context, Finding, holds, same, works},
    privilege::become_user,
};

const NUMBERS: [u8; 15] = [0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x10];

/// The errno of a call whose structure says to be of no size: it is known, but such a one it refuses.
fn errno_of_nothing(file: impl AsFd, number: u8) -> Option<i32> {
    let mut argument = [0u64; 64];
    let request = libc::c_ulong::from(number) | 0xBB << 8;
    // SAFETY: the argument is as long as any that the kernel knows.
    let result = unsafe { libc::ioctl(file.as_fd().as_raw_fd(), request as _, argument.as_mut_ptr()) };
    (result < 0).then(|| std::io::Error::last_os_error().raw_os_error().unwrap_or(0))
}

/// Every number there is, on both faces: those of the list are known, no others.
pub(in crate::checks) fn takes_every_ioctl(context: &mut Context) -> Result<(), Finding> {
    let device = context.device()?;
    let control = named("calls").mount()?.control()?;
    for number in 0..=u8::MAX {
        let expected = if NUMBERS.contains(&number) { libc::EINVAL } else { libc::ENOTTY };
        for (face, came) in
            [("the device", errno_of_nothing(&device, number)), ("control", errno_of_nothing(&control, number))]
        {
            same(&format!("the errno of ioctl {number:#04x} without a size on {face}"), Some(expected), came)?;
        }
    }
    same("the state after all of them", State::Normal, control.state()?)
}

type Answers = Vec<(&'static str, Result<(), Errno>)>;

/// Every call in every state that one kernel can have without an update, and what came.
fn ask<D: Drive>(face: &D, name: &str) -> Result<Answers, Finding> {
    let name = Name::new(name).map_err(|error| Finding::new("a name", error.to_string()))?;
    let foreign = works("memfd_create", memfd_create("foreign", MemfdFlags::CLOEXEC))?;
    let counter = works("eventfd", eventfd(7, EventfdFlags::CLOEXEC))?;
    let null = std::fs::File::open("/dev/null").map_err(|error| Finding::new("/dev/null", error.to_string()))?;
    let unknown = Token::new(1).ok_or_else(|| Finding::new("a token", "none"))?;
    let mut answers = Answers::new();
    let mut said = |what, result: liveupdate_client::Result<()>| {
        answers.push((what, result.map_err(|error| error.errno())));
    };

    said("GET_STATE", face.state().map(drop));
    let memory = face.create_memory(8192, PageSize::Small)?;
    let first = face.preserve(&memory, PreserveFlags::NONE)?;
    let second = face.preserve(&counter, PreserveFlags::NONE)?;
    said("FD_PRESERVE again", face.preserve(&counter, PreserveFlags::NONE).map(drop));
    said("FD_PRESERVE of /dev/null", face.preserve(&null, PreserveFlags::NONE).map(drop));
    said("FD_PRESERVE of a memfd without the flag", face.preserve(&foreign, PreserveFlags::NONE).map(drop));
    said("FD_UNPRESERVE of no token", face.unpreserve(unknown));
    said("FD_INFO in NORMAL", face.info(first).map(drop));
    said("FD_RESTORE in NORMAL", face.restore(first).map(drop));
    said("DEPEND", face.depend(first, Need::File(second)));
    said("DEPEND in a circle", face.depend(second, Need::File(first)));
    said("DEPEND of no token", face.depend(unknown, Need::File(first)));
    let session = face.create_session(&name);
    said("SESSION_CREATE again", face.create_session(&name).map(drop));
    said("SESSION_RETRIEVE in NORMAL", face.retrieve_session(&name).map(drop));
    let session: Session = session?;
    said("STATUS", face.status().map(drop));
    said("FREEZE in NORMAL", face.freeze());
    said("CANCEL in NORMAL", face.cancel());
    said("FINISH in NORMAL", face.finish());
    said("PREPARE", face.prepare());
    said("PREPARE in PREPARED", face.prepare());
    said("FINISH in PREPARED", face.finish());
    said("FD_PRESERVE in PREPARED", face.preserve(&foreign, PreserveFlags::MEMFD).map(drop));
    said("FD_UNPRESERVE in PREPARED", face.unpreserve(first));
    said("DEPEND in PREPARED", face.depend(second, Need::File(first)));
    said("FD_INFO in PREPARED", face.info(first).map(drop));
    said("SESSION_CREATE in PREPARED", face.create_session(&name).map(drop));
    said("FREEZE", face.freeze());
    said("FREEZE in FROZEN", face.freeze());
    said("PREPARE in FROZEN", face.prepare());
    said("FD_UNPRESERVE in FROZEN", face.unpreserve(first));
    said("MEM_CREATE in FROZEN", face.create_memory(4096, PageSize::Any).map(drop));
    said("CANCEL in FROZEN", face.cancel());
    said("CANCEL afterwards", face.cancel());
    said("FD_UNPRESERVE", face.unpreserve(first));
    said("FD_UNPRESERVE a second time", face.unpreserve(first));
    said("FD_PRESERVE of a memfd with the flag", face.preserve(&foreign, PreserveFlags::MEMFD).map(drop));
    drop(session);
    Ok(answers)
}

const EXPECTED: &[(&str, Result<(), Errno>)] = &[
    ("GET_STATE", Ok(())),
    ("FD_PRESERVE again", Err(Errno::EXIST)),
    ("FD_PRESERVE of /dev/null", Err(Errno::NOENT)),
    ("FD_PRESERVE of a memfd without the flag", Err(Errno::OPNOTSUPP)),
    ("FD_UNPRESERVE of no token", Err(Errno::NOENT)),
    ("FD_INFO in NORMAL", Err(Errno::BUSY)),
    ("FD_RESTORE in NORMAL", Err(Errno::BUSY)),
    ("DEPEND", Ok(())),
    ("DEPEND in a circle", Err(Errno::LOOP)),
    ("DEPEND of no token", Err(Errno::NOENT)),
    ("SESSION_CREATE again", Err(Errno::EXIST)),
    ("SESSION_RETRIEVE in NORMAL", Err(Errno::BUSY)),
    ("STATUS", Ok(())),
    ("FREEZE in NORMAL", Err(Errno::INVAL)),
    ("CANCEL in NORMAL", Err(Errno::NOENT)),
    ("FINISH in NORMAL", Err(Errno::INVAL)),
    ("PREPARE", Ok(())),
    ("PREPARE in PREPARED", Err(Errno::EXIST)),
    ("FINISH in PREPARED", Err(Errno::INVAL)),
    ("FD_PRESERVE in PREPARED", Err(Errno::BUSY)),
    ("FD_UNPRESERVE in PREPARED", Err(Errno::BUSY)),
    ("DEPEND in PREPARED", Err(Errno::BUSY)),
    ("FD_INFO in PREPARED", Err(Errno::BUSY)),
    ("SESSION_CREATE in PREPARED", Err(Errno::BUSY)),
    ("FREEZE", Ok(())),
    ("FREEZE in FROZEN", Err(Errno::INVAL)),
    ("PREPARE in FROZEN", Err(Errno::EXIST)),
    ("FD_UNPRESERVE in FROZEN", Err(Errno::BUSY)),
    ("MEM_CREATE in FROZEN", Ok(())),
    ("CANCEL in FROZEN", Ok(())),
    ("CANCEL afterwards", Err(Errno::NOENT)),
    ("FD_UNPRESERVE", Ok(())),
    ("FD_UNPRESERVE a second time", Err(Errno::NOENT)),
    ("FD_PRESERVE of a memfd with the flag", Ok(())),
];

/// The same conversation with both faces: the same answers, and those that the interface documents.
pub(in crate::checks) fn answers_as_the_device(context: &mut Context) -> Result<(), Finding> {
    let device = context.device()?;
    let instance: Instance = named("answers").mount()?;
    let control = instance.control()?;
    // Each session's registrations have to go before the other face can have the like.
    let of_device = ask(&device, "answers-device")?;
    let of_control = ask(&control, "answers-control")?;
    for ((what, expected), (device, control)) in EXPECTED.iter().zip(of_device.iter().zip(&of_control)) {
        same("the question", (*what, *what), (device.0, control.0))?;
        same(&format!("the device's answer to {what}"), *expected, device.1)?;
        same(&format!("control's answer to {what}"), *expected, control.1)?;
    }
    same("the number of answers", (EXPECTED.len(), EXPECTED.len()), (of_device.len(), of_control.len()))?;
    same("the state afterwards", State::Normal, control.state()?)?;

    // In words too: why the last call was refused.
    let told = |result: liveupdate_client::Result<()>| result.err().map(|error| error.reason().to_owned());
    let words = (told(device.freeze()), told(control.freeze()));
    holds("a reason in words", words.0.as_deref().is_some_and(|words| !words.is_empty()), format!("{words:?}"))?;
    same("control's reason", words.0.clone(), words.1)?;
    same("the file's reason", words.0, Some(instance.reason()?))
}

/// A control is what its opener could do: handed on it keeps that, opened without privileges it has none.
pub(in crate::checks) fn is_delegated(context: &mut Context) -> Result<(), Finding> {
    drop(context.device()?);
    let instance = named("delegated").uid(1000).gid(1000).mount()?;
    let opened_by_root = instance.control()?;
    Aside::run(|| {
        become_user(1000)?;
        opened_by_root.prepare()?;
        same("the state, moved by who was handed a control", State::Prepared, opened_by_root.state()?)?;
        opened_by_root.cancel()?;
        // The owner of the instance opens its own, which cannot.
        has_no_power(&instance.control()?)
    })?;
    Aside::run(|| {
        become_user(1001)?;
        super::denied("open of another user's control", Errno::ACCESS, instance.control())
    })?;
    let opened_by_owner = super::state::as_user(1000, || instance.control())??;
    has_no_power(&opened_by_owner)
}
