//! One ioctl with whatever argument, and what must come of it.

use rustix::io::Errno;

use super::arena::{Arena, Place};
use crate::checks::dice::Dice;

/// Most bytes that an argument may say that it has.
const PAGE: u32 = 4096;

/// What the interface's header says of a command.
#[derive(Clone, Copy, Debug)]
pub(super) struct Command {
    pub(super) name: &'static str,
    pub(super) number: u8,
    /// The structure that this kernel knows, and the first one that was published.
    pub(super) bytes: u32,
    pub(super) first: u32,
    /// Where a field lies that must be 0.
    reserved: Option<usize>,
    /// Where flags lie, and those that there are.
    flags: Option<(usize, u32)>,
    /// What else may come of it.
    pub(super) refusals: &'static [Errno],
    /// Refused by a session file.
    pub(super) driver: bool,
}

macro_rules! commands {
    ($($number:literal $name:ident $bytes:literal $(from $first:literal)? $(reserved $reserved:literal)?
        $(flags $flags:literal $known:literal)? $(, $driver:ident)? : [$($errno:ident)*];)*) => {
        &[$(Command {
            name: stringify!($name),
            number: $number,
            bytes: $bytes,
            first: commands!(@first $bytes $($first)?),
            reserved: commands!(@some $($reserved)?),
            flags: commands!(@some $($flags $known)?),
            refusals: &[$(Errno::$errno),*],
            driver: commands!(@driver $($driver)?),
        },)*]
    };
    (@first $bytes:literal) => { $bytes };
    (@first $bytes:literal $first:literal) => { $first };
    (@some) => { None };
    (@some $one:literal) => { Some($one) };
    (@some $one:literal $other:literal) => { Some(($one, $other)) };
    (@driver) => { false };
    (@driver $driver:ident) => { true };
}

pub(super) const COMMANDS: &[Command] = commands! {
    0x00 FD_PRESERVE 24 from 16 reserved 20 flags 16 1: [BADF NOENT EXIST OPNOTSUPP BUSY];
    0x01 FD_UNPRESERVE 16 reserved 4: [BUSY NOENT];
    0x02 FD_RESTORE 16: [BUSY NOENT BADF INVAL];
    0x03 GET_STATE 8: [];
    0x04 PREPARE 8 reserved 4, driver: [EXIST INVAL NOENT OPNOTSUPP];
    0x05 FREEZE 8 reserved 4, driver: [INVAL];
    0x06 CANCEL 8 reserved 4, driver: [NOENT];
    0x07 FINISH 8 reserved 4, driver: [INVAL];
    0x08 SESSION_CREATE 72, driver: [EXIST INVAL BUSY];
    0x09 SESSION_RETRIEVE 72, driver: [INVAL BUSY NOENT];
    0x0a DEPEND 88 reserved 4: [LOOP NOENT INVAL BUSY];
    0x0b FD_INFO 32: [BUSY NOENT];
    0x0c REASON 248: [];
    0x0d STATUS 48, driver: [];
    0x10 MEM_CREATE 24 from 16 reserved 20 flags 16 3: [NOMEM FBIG INVAL];
};

/// What must come of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Must {
    /// One of these.
    Refuse(Vec<Errno>),
    /// It works, or one of these.
    Either(Vec<Errno>),
}

/// A number that no command has.
pub(super) fn unknown(dice: &mut Dice) -> u32 {
    let number = u32::from(dice.pick(COMMANDS).number);
    match dice.below(4) {
        0 => 0xBB11 + dice.below(0xEF) as u32,
        1 => 0xBB0E | dice.below(2) as u32,
        // The in-tree orchestrator's type.
        2 => 0xBA00 | number,
        // Right but for the bits that tell direction and size.
        _ => 0xBB00 | number | ((1 + dice.below(3) as u32) << 30) | ((8 + dice.below(64) as u32) << 16),
    }
}

fn field(bytes: &[u8], at: usize) -> u32 {
    // What a shorter structure lacks is 0.
    let found = bytes.get(at..).map_or(&[][..], |rest| &rest[..rest.len().min(4)]);
    found.iter().rev().fold(0, |value, &byte| value << 8 | u32::from(byte))
}

/// What must come of a command by its argument alone, before anything is looked at. `None`: the argument is good.
pub(super) fn by_argument(command: &Command, place: Place, bytes: &[u8]) -> Option<Vec<Errno>> {
    if place.readable < 4 {
        return Some(vec![Errno::FAULT]);
    }
    let size = field(bytes, 0);
    if size < command.first {
        return Some(vec![Errno::INVAL]);
    }
    if size > PAGE {
        return Some(vec![Errno::TOOBIG]);
    }
    let said = size as usize;
    let tail = bytes.get(command.bytes as usize..said.min(place.readable)).unwrap_or(&[]);
    let known_there = place.readable >= said.min(command.bytes as usize);
    match (place.readable >= said, tail.iter().any(|byte| *byte != 0)) {
        (true, true) => return Some(vec![Errno::TOOBIG]),
        (true, false) => {}
        // Whichever the kernel meets first.
        (false, true) if known_there => return Some(vec![Errno::FAULT, Errno::TOOBIG]),
        (false, _) => return Some(vec![Errno::FAULT]),
    }
    let bytes = &bytes[..said.min(command.bytes as usize)];
    let unknown = command.flags.is_some_and(|(at, known)| field(bytes, at) & !known != 0);
    let reserved = command.reserved.is_some_and(|at| field(bytes, at) != 0);
    (unknown || reserved).then(|| vec![Errno::INVAL])
}

/// What must come of a command: `driver` tells whether it may drive the machine.
pub(super) fn must(command: &Command, driver: bool, place: Place, bytes: &[u8]) -> Must {
    if let Some(refused) = by_argument(command, place, bytes) {
        return Must::Refuse(refused);
    }
    if command.driver && !driver {
        return Must::Refuse(vec![Errno::PERM]);
    }
    let mut refusals = command.refusals.to_vec();
    // Everything has an answer but these, and a part of it is not to be delivered.
    let answers = !matches!(command.number, 0x01 | 0x04..=0x07 | 0x0a);
    if answers && !place.writable {
        refusals.push(Errno::FAULT);
        return Must::Refuse(refusals);
    }
    Must::Either(refusals)
}

/// Values that fields are filled with.
pub(super) struct Pool {
    pub(super) fds: Vec<i32>,
    pub(super) tokens: Vec<u64>,
    /// So many of them are not this kernel's to take back.
    pub(super) lasting: usize,
}

const LENGTHS: &[u64] =
    &[0, 1, 4095, 4096, 4097, 65_536, 1 << 21, (1 << 21) + 1, 1 << 40, (1 << 40) + 1, 1 << 63, u64::MAX];
const NAMES: &[&[u8]] =
    &[b"a", b"b", b"left", b"", b"a/b", b"a b", b"\xff\xfe", b"\n", b"..", &[b'x'; 63], &[b'x'; 64]];

/// Fills an argument in: mostly such that the kernel looks at more than its size.
pub(super) fn fill(dice: &mut Dice, command: &Command, pool: &Pool, bytes: &mut [u8]) {
    let garbage = dice.once_in(6);
    bytes.iter_mut().for_each(|byte| *byte = if garbage { dice.next() as u8 } else { 0 });
    let known = command.bytes;
    let size = match dice.below(16) {
        0 => dice.pick(&[0, 1, 4, 7, 8, 15, 16, 23, 24, 71, 4095, PAGE, PAGE + 1, u32::MAX, 1 << 31]),
        1 => known + dice.below(64) as u32,
        2 => known - dice.below(known as usize) as u32,
        3 => command.first,
        _ => known,
    };
    let mut put = |at: usize, value: &[u8]| {
        if let Some(place) = bytes.get_mut(at..).map(|rest| (rest.len().min(value.len()), rest)) {
            place.1[..place.0].copy_from_slice(&value[..place.0]);
        }
    };
    put(0, &size.to_ne_bytes());
    if garbage {
        return;
    }
    let token =
        if pool.tokens.is_empty() || dice.once_in(4) { dice.pick(&[0, 1, u64::MAX]) } else { dice.pick(&pool.tokens) };
    let other = if pool.tokens.is_empty() || dice.once_in(4) { 0 } else { dice.pick(&pool.tokens) };
    match command.number {
        0x00 | 0x02 => {
            put(4, &dice.pick(&pool.fds).to_ne_bytes());
            put(8, &token.to_ne_bytes());
        }
        0x01 | 0x0b => put(8, &token.to_ne_bytes()),
        0x08 | 0x09 => put(8, dice.pick(NAMES)),
        0x0a => {
            put(8, &if dice.once_in(4) { 0 } else { token }.to_ne_bytes());
            put(16, &other.to_ne_bytes());
            if other == 0 || dice.once_in(8) {
                put(24, dice.pick(NAMES));
            }
        }
        0x10 => put(8, &dice.pick(LENGTHS).to_ne_bytes()),
        _ => {}
    }
    if let Some((at, known)) = command.flags {
        put(at, &(if dice.once_in(8) { dice.next() as u32 } else { dice.next() as u32 & known }).to_ne_bytes());
    }
    if let Some(at) = command.reserved.filter(|_| dice.once_in(12)) {
        put(at, &1u32.to_ne_bytes());
    }
}

/// Makes the call.
pub(super) fn ioctl(fd: i32, number: u32, place: Place) -> Result<(), Errno> {
    // SAFETY: the kernel writes where the place is or refuses; the arena's memory is nobody else's.
    match unsafe { libc::ioctl(fd, number as _, place.address) } {
        0.. => Ok(()),
        _ => Err(last()),
    }
}

/// The errno of the call that has just failed.
pub(super) fn last() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

/// A place and what lies there: of this call, for a finding.
pub(super) fn told(arena: &mut Arena, place: Place) -> String {
    let bytes = arena.bytes(place);
    let shown: Vec<String> = bytes.iter().take(32).map(|byte| format!("{byte:02x}")).collect();
    let writable = if place.writable { "" } else { ", read-only" };
    format!("{:#x} ({} bytes there{writable}): {}", place.address, place.readable, shown.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(number: u8) -> &'static Command {
        COMMANDS.iter().find(|command| command.number == number).unwrap()
    }

    fn judged(number: u8, readable: usize, bytes: &[u8]) -> Option<Vec<Errno>> {
        let mut all = bytes.to_vec();
        all.resize(readable, 0);
        by_argument(command(number), Place { address: 4096, readable, writable: true }, &all)
    }

    #[test]
    fn arguments_are_judged_as_the_header_says() {
        assert_eq!(judged(3, 0, b""), Some(vec![Errno::FAULT]));
        assert_eq!(judged(3, 100, b"\x07\0\0\0"), Some(vec![Errno::INVAL]));
        assert_eq!(judged(3, 100, b"\x08\0\0\0"), None);
        assert_eq!(judged(3, 7, b"\x08\0\0\0"), Some(vec![Errno::FAULT]));
        assert_eq!(judged(3, 100, b"\x09\0\0\0"), None, "a longer one whose rest is zero");
        assert_eq!(judged(3, 100, b"\x09\0\0\0\0\0\0\0\x01"), Some(vec![Errno::TOOBIG]));
        assert_eq!(judged(3, 10, b"\x0b\0\0\0"), Some(vec![Errno::FAULT]));
        assert_eq!(judged(3, 8192, b"\x01\x10\0\0"), Some(vec![Errno::TOOBIG]));
        assert_eq!(judged(4, 100, b"\x08\0\0\0\x01"), Some(vec![Errno::INVAL]));
        assert_eq!(judged(0, 100, b"\x10\0\0\0"), None, "as it was first published");
        assert_eq!(judged(0, 100, &[&[24, 0, 0, 0][..], &[0; 12], &[2]].concat()), Some(vec![Errno::INVAL]));
        let place = Place { address: 4096, readable: 100, writable: false };
        let bytes = [&[8, 0, 0, 0][..], &[0; 96]].concat();
        assert_eq!(must(command(3), true, place, &bytes), Must::Refuse(vec![Errno::FAULT]));
        assert_eq!(must(command(6), true, place, &bytes), Must::Either(vec![Errno::NOENT]));
        assert_eq!(must(command(6), false, place, &bytes), Must::Refuse(vec![Errno::PERM]));
    }

    #[test]
    fn no_unknown_number_is_known() {
        let mut dice = Dice::new(1, 0);
        for _ in 0..2000 {
            let number = unknown(&mut dice);
            assert!(COMMANDS.iter().all(|command| 0xBB00 | u32::from(command.number) != number), "{number:#x}");
        }
    }

    #[test]
    fn most_arguments_get_past_their_size() {
        let (mut dice, pool) = (Dice::new(1, 0), Pool { fds: vec![0], tokens: vec![7], lasting: 0 });
        for command in COMMANDS {
            let good = (0..500).filter(|_| {
                let mut bytes = vec![0; 512];
                fill(&mut dice, command, &pool, &mut bytes);
                by_argument(command, Place { address: 4096, readable: 512, writable: true }, &bytes).is_none()
            });
            let good = good.count();
            assert!((200..480).contains(&good), "{}: {good}", command.name);
        }
    }
}
