//! Mount options and control files.

use std::ffi::CString;

use kmod_core::state::{self, Event, Verdict, decide};
use liveupdate_client::State;
use rustix::{
    fs::{Mode, OFlags, openat},
    io::Errno,
    mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsmount, fsopen},
};

use super::{
    arena::Arena,
    call::{last, told},
};
use crate::checks::{
    context::{Finding, errno_name, holds, works},
    dice::Dice,
};

const KEYS: &[&str] = &[
    "name", "size", "huge", "mode", "uid", "gid", "key", "retrieve", "fresh", "source", "ro", "nonsense", "", "name=",
];
const VALUES: &[&str] = &[
    "",
    "a",
    "b",
    "fuzz",
    "ground",
    "a/b",
    "..",
    "a b",
    "\n",
    "\u{fc}",
    "0",
    "1",
    "-1",
    "4k",
    "1g",
    "0%",
    "50%",
    "100%",
    "101%",
    "%",
    "18446744073709551615",
    "99999999999999999999999",
    "0x1000",
    "7777",
    "10000",
    "755",
    "8",
    "4294967295",
    "4294967294",
    "65534",
    "never",
    "always",
    "maybe",
    "0123456789abcdef0123456789abcdef",
    "0123456789abcdef0123456789abcdeg",
];
/// Of fsconfig(2).
const SET_FLAG: u32 = 0;
const SET_STRING: u32 = 1;
const SET_BINARY: u32 = 2;
const SET_PATH: u32 = 3;
const SET_FD: u32 = 5;
const CREATE: u32 = 6;
const RECONFIGURE: u32 = 7;

fn fsconfig(context: i32, command: u32, key: Option<&str>, value: Option<&[u8]>, aux: i32) -> Result<(), Errno> {
    let key = key.map(|key| CString::new(key).unwrap_or_default());
    let key = key.as_ref().map_or(std::ptr::null(), |key| key.as_ptr());
    let value = value.map_or(std::ptr::null(), <[u8]>::as_ptr);
    // SAFETY: both texts end with a zero, or have `aux` bytes, or are none.
    match unsafe { libc::syscall(libc::SYS_fsconfig, context, command, key, value, aux) } {
        0 => Ok(()),
        _ => Err(last()),
    }
}

/// A mount with whatever options. One that succeeds is used a little.
pub(super) fn mount(dice: &mut Dice) -> Result<(), Finding> {
    use std::os::fd::AsRawFd as _;

    let context = works("fsopen", fsopen("kexecfs", FsOpenFlags::FSOPEN_CLOEXEC))?;
    let mut options = Vec::new();
    for _ in 0..dice.below(5) {
        let (key, mut value) = (dice.pick(KEYS), dice.pick(VALUES).to_owned());
        if dice.once_in(12) {
            value = value.repeat(40);
        }
        let text = [value.as_bytes(), &[0]].concat();
        let raw = context.as_raw_fd();
        let said = match dice.below(16) {
            0 => fsconfig(raw, SET_FLAG, Some(key), None, 0),
            1 => fsconfig(raw, SET_BINARY, Some(key), Some(&text), value.len() as i32),
            2 => fsconfig(raw, SET_PATH, Some(key), Some(&text), libc::AT_FDCWD),
            3 => fsconfig(raw, SET_FD, Some(key), None, dice.pick(&[0, -1, raw])),
            4 => fsconfig(raw, dice.pick(&[RECONFIGURE, 8, 99, u32::MAX]), None, None, 0),
            _ if matches!(key, "retrieve" | "fresh") => fsconfig(raw, SET_FLAG, Some(key), None, 0),
            _ => fsconfig(raw, SET_STRING, Some(key), Some(&text), 0),
        };
        options.push(format!("{key}={value}"));
        let allowed = [Errno::INVAL, Errno::OPNOTSUPP, Errno::BUSY, Errno::NOENT, Errno::BADF, Errno::NAMETOOLONG];
        one_of("fsconfig", &options, said, &allowed)?;
    }
    let made = fsconfig(context.as_raw_fd(), CREATE, None, None, 0);
    one_of("fsconfig CREATE", &options, made, &[Errno::BUSY, Errno::NOENT, Errno::EXIST, Errno::INVAL, Errno::ACCESS])?;
    if made.is_err() {
        return Ok(());
    }
    let root = works("fsmount", fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty()))?;
    let made = openat(&root, "data", OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC, Mode::RWXU);
    let Ok(file) = made else {
        return one_of("create", &options, made.map(drop), &[Errno::BUSY, Errno::EXIST, Errno::ROFS]);
    };
    let bytes = dice.pick(&[1, 4096, 5000, 1 << 21, 1 << 40, (1 << 40) + 1, i64::MAX as u64]);
    let written = match dice.below(3) {
        0 => rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), dice.below(9000) as u64, bytes),
        1 => rustix::fs::ftruncate(&file, bytes),
        _ => rustix::io::pwrite(&file, &[7; 9000], bytes).map(drop),
    };
    one_of("growth of a file", &options, written, &[Errno::NOSPC, Errno::FBIG, Errno::NOMEM, Errno::INVAL])
}

fn one_of(what: &str, options: &[String], came: Result<(), Errno>, allowed: &[Errno]) -> Result<(), Finding> {
    let refused = came.err().map_or(String::new(), |errno| errno_name(errno.raw_os_error()));
    let so = came.is_ok() || came.is_err_and(|errno| allowed.contains(&errno));
    holds(&format!("{what} with {options:?} to work or to be refused with one of {allowed:?}"), so, refused)
}

fn write(file: i32, address: usize, bytes: usize) -> Result<(), Errno> {
    // SAFETY: the kernel reads what is there or refuses.
    match unsafe { libc::pwrite(file, address as *const _, bytes, 0) } {
        0.. => Ok(()),
        _ => Err(last()),
    }
}

const WORDS: &[&str] = &[
    "prepare",
    "freeze",
    "cancel",
    "finish",
    "prepare\n",
    " freeze ",
    "cancel\n\n",
    "PREPARE",
    "prepared",
    "",
    "\n",
    "\0",
    "prepare\0",
    "cancel\0cancel",
    "freeze freeze",
    "                        cancel",
    "0123456789012345678901234567890",
    "01234567890123456789012345678901",
    "finish                                                     ",
];

/// A word for `state`: what must come of it is known.
pub(super) fn state(
    dice: &mut Dice,
    file: i32,
    arena: &mut Arena,
    now: State,
    may_finish: bool,
) -> Result<(), Finding> {
    let word = dice.pick(WORDS).as_bytes();
    let place = arena.place(dice, word.len());
    let there = arena.bytes(place);
    let bytes = word.len().min(there.len());
    there[..bytes].copy_from_slice(&word[..bytes]);
    let text = word.trim_ascii();
    let event = match text {
        b"prepare" => Some(Event::Prepare),
        b"freeze" => Some(Event::Freeze),
        b"cancel" => Some(Event::Cancel),
        b"finish" => Some(Event::Finish),
        _ => None,
    };
    if event == Some(Event::Finish) && !may_finish {
        return Ok(());
    }
    let now = match now {
        State::Normal => state::State::Normal,
        State::Prepared => state::State::Prepared,
        State::Frozen => state::State::Frozen,
        State::Updated => state::State::Updated,
    };
    let came = write(file, place.address, word.len());
    let expected = match (word.len() < 32, bytes == word.len(), event) {
        // Of an address that is no process's the kernel knows that at once.
        (false, ..) | (_, _, None) if place.readable == 0 => vec![Err(Errno::INVAL), Err(Errno::FAULT)],
        (false, ..) => vec![Err(Errno::INVAL)],
        // The kernel looks at no memory for nothing.
        (_, false, _) => vec![Err(Errno::FAULT)],
        (_, _, None) => vec![Err(Errno::INVAL)],
        (_, _, Some(event)) => match decide(now, event) {
            // A need that is missing, or seals that cannot be kept.
            Verdict::Move(_) => vec![Ok(()), Err(Errno::NOENT), Err(Errno::OPNOTSUPP)],
            Verdict::Refuse(state::Refusal::Exists) => vec![Err(Errno::EXIST)],
            Verdict::Refuse(state::Refusal::NotFound) => vec![Err(Errno::NOENT)],
            _ => vec![Err(Errno::INVAL)],
        },
    };
    let what = format!(
        "{:?} written to state in {now:?}, at {}, to give one of {expected:?}",
        word.escape_ascii().to_string(),
        told(arena, place)
    );
    holds(&what, expected.contains(&came), format!("{came:?}"))
}

/// A number, or none, for `preserve_fd`.
pub(super) fn preserve_fd(dice: &mut Dice, file: i32, arena: &mut Arena, fds: &[i32]) -> Result<(), Finding> {
    let word = match dice.below(6) {
        0 => dice.pick(WORDS).to_owned(),
        1 => format!("{}x", dice.pick(fds)),
        2 => format!("+{}\n", dice.pick(fds)),
        3 => "99999999999999".to_owned(),
        _ => format!("{}\n", dice.pick(fds)),
    };
    let place = arena.place(dice, word.len());
    let there = arena.bytes(place);
    let bytes = word.len().min(there.len());
    there[..bytes].copy_from_slice(&word.as_bytes()[..bytes]);
    let came = write(file, place.address, word.len());
    let allowed = [
        Errno::FAULT,
        Errno::INVAL,
        Errno::RANGE,
        Errno::BADF,
        Errno::BUSY,
        Errno::NOENT,
        Errno::EXIST,
        Errno::OPNOTSUPP,
    ];
    let number = word.trim().parse::<i32>().is_ok();
    let so = came.map_or_else(|errno| allowed.contains(&errno), |()| number && bytes == word.len());
    holds(
        &format!("{word:?} written to preserve_fd to be a descriptor's number or to be refused"),
        so,
        format!("{came:?}"),
    )
}

/// A read of whatever length from wherever.
pub(super) fn read(dice: &mut Dice, file: i32, arena: &mut Arena) -> Result<(), Finding> {
    let length = dice.pick(&[0, 1, 5, 19, 20, 240, 300, 4096]);
    let place = arena.place(dice, length);
    let from = dice.pick(&[0, 1, 7, 19, 100, 1 << 40, i64::MAX, -1, i64::MIN]);
    // SAFETY: the kernel writes where the place is, which is the arena's, or refuses.
    let read = unsafe { libc::pread(file, place.address as *mut _, length, from) };
    let came = if read < 0 { Err(last()) } else { Ok(read as usize) };
    let so = match came {
        Ok(read) => read <= length && (read == 0 || place.writable) && from >= 0,
        Err(Errno::FAULT) => !place.writable || place.readable < length,
        Err(errno) => errno == Errno::INVAL && (from < 0 || from.checked_add(length as i64).is_none()),
    };
    holds(&format!("a read of {length} bytes from {from} to {place:?} to be read or refused"), so, format!("{came:?}"))
}
