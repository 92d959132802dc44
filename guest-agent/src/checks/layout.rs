//! The layout of the ioctls' arguments: size first, reserved fields zero, room to grow.

use liveupdate_client::{Control, Drive as _, PageSize, Preserve as _, Token};
use rustix::{
    fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
    io::Errno,
};

use super::{
    context::{Context, Finding, refused, same, works},
    raw::{self, Argument, IN_TREE, TYPE, any_call},
    seat::{descriptors, session},
};

const PAGE: usize = 4096;

/// What a call that worked has left to be undone.
#[derive(Clone, Copy)]
enum Undo {
    Nothing,
    /// The token at 8.
    Unpreserve,
    /// The descriptor at 4.
    Close,
    Cancel,
}

/// An ioctl as the header publishes it, and a call of it.
struct Row {
    name: &'static str,
    number: u32,
    /// Length when it was first published.
    first: usize,
    /// An argument that is as it should be, but for its size.
    sound: Vec<u8>,
    /// What then comes.
    usual: Result<(), Errno>,
    /// Fields that must be zero, or have no bit but those given.
    closed: &'static [(usize, u32)],
    /// Whether something is written back.
    answers: bool,
    undo: Undo,
    /// Whether the call is made in PREPARED.
    prepared: bool,
}

const TOKEN: usize = 8;

/// All of them, for who may drive the machine or not, with the number of an open memory file.
fn rows(admin: bool, file: i32) -> Vec<Row> {
    const RESERVED_4: &[(usize, u32)] = &[(4, 0)];
    let row = |name, number, size: usize, usual| Row {
        name,
        number,
        first: size,
        sound: vec![0; size],
        usual,
        closed: &[],
        answers: false,
        undo: Undo::Nothing,
        prepared: false,
    };
    let power = |usual| if admin { usual } else { Err(Errno::PERM) };
    let event = |name, number, usual, undo, prepared| Row {
        closed: RESERVED_4,
        undo,
        prepared: prepared && admin,
        ..row(name, number, 8, power(usual))
    };
    let with = |mut row: Row, at: usize, bytes: &[u8]| {
        row.sound[at..at + bytes.len()].copy_from_slice(bytes);
        row
    };
    let none: Result<(), Errno> = Err(Errno::NOENT);
    let early: Result<(), Errno> = Err(Errno::BUSY);
    let done: Result<(), Errno> = Ok(());
    let preserve = Row {
        first: 16,
        closed: &[(16, 1), (20, 0)],
        answers: true,
        undo: Undo::Unpreserve,
        ..row("FD_PRESERVE", 0x00, 24, done)
    };
    let unpreserve = Row { closed: RESERVED_4, ..row("FD_UNPRESERVE", 0x01, 16, none) };
    let create = Row { answers: true, undo: Undo::Close, ..row("SESSION_CREATE", 0x08, 72, power(done)) };
    let depend = Row { closed: RESERVED_4, ..row("DEPEND", 0x0a, 88, none) };
    let memory = Row {
        first: 16,
        closed: &[(16, 3), (20, 0)],
        answers: true,
        undo: Undo::Close,
        ..row("MEM_CREATE", 0x10, 24, done)
    };
    vec![
        with(preserve, 4, &file.to_ne_bytes()),
        with(unpreserve, TOKEN, &[1]),
        with(row("FD_RESTORE", 0x02, 16, early), TOKEN, &[1]),
        Row { answers: true, ..row("GET_STATE", 0x03, 8, done) },
        event("PREPARE", 0x04, done, Undo::Cancel, false),
        event("FREEZE", 0x05, done, Undo::Cancel, true),
        event("CANCEL", 0x06, done, Undo::Nothing, true),
        event("FINISH", 0x07, Err(Errno::INVAL), Undo::Nothing, false),
        with(create, 8, b"layout"),
        with(row("SESSION_RETRIEVE", 0x09, 72, power(early)), 8, b"layout"),
        with(with(depend, TOKEN, &[1]), 16, &[2]),
        with(row("FD_INFO", 0x0b, 32, early), TOKEN, &[1]),
        Row { answers: true, ..row("REASON", 0x0c, 248, done) },
        Row { answers: true, ..row("STATUS", 0x0d, 48, power(done)) },
        with(memory, 9, &[0x10]),
    ]
}

/// One of whom it is asked, and who undoes what it did.
struct Bench<'a> {
    seat: &'a Control,
    driver: &'a Control,
    page: Argument,
}

impl Bench<'_> {
    /// Calls with these bytes, the first four of which become `size`.
    fn call(&mut self, row: &Row, size: usize, mut bytes: Vec<u8>) -> Result<Result<(), Errno>, Finding> {
        bytes[..4].copy_from_slice(&(size as u32).to_ne_bytes());
        let at = self.page.put(&bytes)?;
        self.call_at(row, at, bytes.len())
    }

    fn call_at(&mut self, row: &Row, at: usize, length: usize) -> Result<Result<(), Errno>, Finding> {
        if row.prepared {
            self.driver.prepare()?;
        }
        let came = raw::call(self.seat, row.number, at);
        match (came, row.undo) {
            (Ok(()), Undo::Unpreserve) => {
                let bytes = self.page.last(length);
                let token = bytes.get(TOKEN..TOKEN + 8).and_then(|token| token.try_into().ok());
                let token = token.and_then(|token| Token::new(u64::from_ne_bytes(token)));
                self.seat.unpreserve(token.ok_or_else(|| Finding::new("a token", "none"))?)?;
            }
            (Ok(()), Undo::Close) => {
                let bytes = self.page.last(length);
                let fd = bytes.get(4..8).and_then(|fd| fd.try_into().ok()).map_or(-1, i32::from_ne_bytes);
                if fd < 0 {
                    return Err(Finding::new("a descriptor", fd.to_string()));
                }
                // SAFETY: the kernel has just opened it for this process, and nobody else knows of it.
                drop(unsafe { OwnedFd::from_raw_fd(fd) });
            }
            (Ok(()), Undo::Cancel) => self.driver.cancel()?,
            (Err(_), _) if row.prepared => self.driver.cancel()?,
            _ => {}
        }
        Ok(came)
    }

    fn expect(
        &mut self,
        row: &Row,
        why: &str,
        size: usize,
        bytes: Vec<u8>,
        as_usual: Result<(), Errno>,
    ) -> Result<(), Finding> {
        let came = self.call(row, size, bytes)?;
        verdict(&format!("{} {why}", row.name), as_usual, came)
    }

    fn sizes(&mut self, row: &Row) -> Result<(), Finding> {
        let full = row.sound.len();
        let cut = |length: usize| row.sound[..length.clamp(4, full)].to_vec();
        let grown = |length: usize, set: Option<usize>| {
            let mut bytes = row.sound.clone();
            bytes.resize(length, 0);
            if let Some(at) = set {
                bytes[at] = 1;
            }
            bytes
        };
        for size in 0..row.first {
            self.expect(row, &format!("of {size} bytes"), size, cut(size), Err(Errno::INVAL))?;
        }
        for size in row.first..=full {
            self.expect(row, &format!("of {size} bytes"), size, cut(size), row.usual)?;
        }
        for size in [full + 1, full + 8, full + 333, PAGE] {
            self.expect(row, &format!("of {size} bytes, zero at the end"), size, grown(size, None), row.usual)?;
            for set in [full, size - 1] {
                let why = format!("of {size} bytes with byte {set} set");
                self.expect(row, &why, size, grown(size, Some(set)), Err(Errno::TOOBIG))?;
            }
        }
        for size in [PAGE + 1, 1 << 16, i32::MAX as usize, u32::MAX as usize] {
            self.expect(row, &format!("of {size} bytes, it says"), size, row.sound.clone(), Err(Errno::TOOBIG))?;
        }
        Ok(())
    }

    fn closed_fields(&mut self, row: &Row) -> Result<(), Finding> {
        for &(at, known) in row.closed {
            for bit in (0..32).filter(|bit| known >> bit & 1 == 0) {
                let mut bytes = row.sound.clone();
                bytes[at + bit / 8] |= 1 << (bit % 8);
                let why = format!("with bit {bit} of the field at {at}");
                self.expect(row, &why, row.sound.len(), bytes, Err(Errno::INVAL))?;
            }
        }
        Ok(())
    }

    fn places(&mut self, row: &Row) -> Result<(), Finding> {
        let full = row.sound.len();
        for at in [0, 1, PAGE, self.page.nowhere(), self.page.nowhere() - 3, 0xffff_8880_0000_0000, usize::MAX - 3] {
            let came = self.call_at(row, at, 0)?;
            verdict(&format!("{} with its argument at {at:#x}", row.name), Err(Errno::FAULT), came)?;
        }
        let mut sized = row.sound.clone();
        sized[..4].copy_from_slice(&(full as u32).to_ne_bytes());
        for there in [4, full / 2, full - 1] {
            let at = self.page.put_before_end(&sized, there)?;
            let came = self.call_at(row, at, there)?;
            verdict(&format!("{} of which {there} bytes can be read", row.name), Err(Errno::FAULT), came)?;
        }
        let at = self.page.put(&sized)?;
        self.page.read_only()?;
        let expected = if row.answers && row.usual.is_ok() { Err(Errno::FAULT) } else { row.usual };
        let came = self.call_at(row, at, full)?;
        verdict(&format!("{} whose answer cannot be written", row.name), expected, came)
    }
}

fn verdict(what: &str, expected: Result<(), Errno>, came: Result<(), Errno>) -> Result<(), Finding> {
    match expected {
        Ok(()) => works(what, came),
        Err(errno) => refused(what, errno, came),
    }
}

/// Every ioctl of the header, on the seat and on a session file: right and wrong sizes, fields and places.
/// Whatever failed has left nothing behind.
pub(super) fn arguments(context: &mut Context) -> Result<(), Finding> {
    let driver = context.seat("layout")?;
    let named = session(&driver, "other")?;
    let file = driver.create_memory(PAGE as u64, PageSize::Any)?;
    for (seat, admin) in [(&driver, true), (&named, false)] {
        let mut bench = Bench { seat, driver: &driver, page: Argument::new()? };
        let before = (driver.status()?.participants, descriptors()?);
        for row in rows(admin, file.as_raw_fd()) {
            bench.sizes(&row)?;
            bench.closed_fields(&row)?;
            bench.places(&row)?;
            let after = (driver.status()?.participants, descriptors()?);
            same(&format!("participants and descriptors after {}", row.name), before, after)?;
        }
    }
    Ok(())
}

/// Every number that the header does not have, and those that it has with another type or direction.
pub(super) fn unknown_commands(context: &mut Context) -> Result<(), Finding> {
    let driver = context.seat("layout")?;
    let named = session(&driver, "other")?;
    let known: Vec<u32> = rows(true, -1).iter().map(|row| row.number).collect();
    let mut page = Argument::new()?;
    let mut bytes = vec![0; 256];
    bytes[..4].copy_from_slice(&256u32.to_ne_bytes());
    let at = page.put(&bytes)?;
    for seat in [&driver, &named] {
        for number in 0..256 {
            let plain = |kind: u32| kind << 8 | number;
            let mut wrong = vec![plain(IN_TREE), plain(TYPE) | 1 << 16];
            for direction in 1..4u32 {
                wrong.push(direction << 30 | 16 << 16 | plain(TYPE));
            }
            if !known.contains(&number) {
                wrong.push(plain(TYPE));
            }
            for command in wrong {
                refused(&format!("ioctl {command:#x}"), Errno::NOTTY, any_call(seat, command, at))?;
            }
        }
    }
    same("the state", liveupdate_client::State::Normal, driver.state()?)
}
