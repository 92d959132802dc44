//! The module that makes subsystems on request, `kmod/selftest/uapi/liveupdate_lab_selftest.h`.

use std::{fs::File, io::Read as _};

use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
    ioctl::{Updater, ioctl, opcode},
    system::{delete_module, finit_module},
};

use super::context::{Context, Finding, holds, works};

const DEVICE: &str = "/dev/liveupdate_lab_selftest";
const FILE: &str = "/lib/liveupdate_lab_selftest.ko";

const TYPE: u8 = 0xBC;
const REGISTER: u32 = opcode::none(TYPE, 0x00);
const UNREGISTER: u32 = opcode::none(TYPE, 0x01);
const DATA: u32 = opcode::none(TYPE, 0x02);
const RACE: u32 = opcode::none(TYPE, 0x03);

type Name = [u8; 64];

#[repr(C)]
struct RegisterArgument {
    size: u32,
    fail: u32,
    error: u32,
    reserved: u32,
    name: Name,
    depends: [Name; 4],
}
const _: () = assert!(size_of::<RegisterArgument>() == 336);

#[repr(C)]
struct UnregisterArgument {
    size: u32,
    reserved: u32,
    name: Name,
}
const _: () = assert!(size_of::<UnregisterArgument>() == 72);

#[repr(C, align(8))]
struct DataArgument {
    size: u32,
    reserved: u32,
    data: u64,
    name: Name,
}
const _: () = assert!(size_of::<DataArgument>() == 80);

#[repr(C, align(8))]
struct RaceArgument {
    size: u32,
    threads: u32,
    rounds: u32,
    reserved: u32,
    registered: u64,
    exist: u64,
    busy: u64,
    other: u64,
}
const _: () = assert!(size_of::<RaceArgument>() == 48);

/// Where a subsystem is to fail.
#[derive(Clone, Copy)]
pub(super) enum Fail {
    Prepare(Errno),
    Freeze(Errno),
}

/// How the registrations of a race ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Race {
    pub(super) registered: u64,
    pub(super) exist: u64,
    pub(super) busy: u64,
    pub(super) other: u64,
}

/// The module's open device.
pub(super) struct Selftest(File);

impl Selftest {
    /// Opens it, loading the module, and the one that it is for, if there is need. What was logged before is gone.
    pub(super) fn open(context: &Context) -> Result<Self, Finding> {
        drop(context.device()?);
        let flags = OFlags::RDWR | OFlags::CLOEXEC;
        let device = match rustix::fs::open(DEVICE, flags, Mode::empty()) {
            Err(Errno::NOENT) => {
                let file = rustix::fs::open(FILE, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
                let file = works("open of the selftest module", file)?;
                works("load of the selftest module", finit_module(&file, c"", 0))?;
                rustix::fs::open(DEVICE, flags, Mode::empty())
            }
            other => other,
        };
        let selftest = Self(File::from(works("open of the selftest device", device)?));
        selftest.calls()?;
        Ok(selftest)
    }

    pub(super) fn register(&self, name: &str, needs: &[&str]) -> Result<(), Errno> {
        self.register_one(name, needs, None)
    }

    pub(super) fn register_failing(&self, name: &str, needs: &[&str], fail: Fail) -> Result<(), Errno> {
        self.register_one(name, needs, Some(fail))
    }

    fn register_one(&self, name: &str, needs: &[&str], fail: Option<Fail>) -> Result<(), Errno> {
        let (fail, error) = match fail {
            None => (0, 0),
            Some(Fail::Prepare(errno)) => (1, errno.raw_os_error().unsigned_abs()),
            Some(Fail::Freeze(errno)) => (2, errno.raw_os_error().unsigned_abs()),
        };
        let size = size_of::<RegisterArgument>() as u32;
        let mut depends = [[0; 64]; 4];
        for (slot, need) in depends.iter_mut().zip(needs) {
            *slot = terminated(need);
        }
        let mut argument = RegisterArgument { size, fail, error, reserved: 0, name: terminated(name), depends };
        // SAFETY: the argument has the layout that this ioctl reads and writes.
        unsafe { ioctl(&self.0, Updater::<REGISTER, _>::new(&mut argument)) }
    }

    pub(super) fn unregister(&self, name: &str) -> Result<(), Errno> {
        let size = size_of::<UnregisterArgument>() as u32;
        let mut argument = UnregisterArgument { size, reserved: 0, name: terminated(name) };
        // SAFETY: the argument has the layout that this ioctl reads and writes.
        unsafe { ioctl(&self.0, Updater::<UNREGISTER, _>::new(&mut argument)) }
    }

    /// What the subsystem left in the previous kernel.
    pub(super) fn data(&self, name: &str) -> Result<u64, Errno> {
        let size = size_of::<DataArgument>() as u32;
        let mut argument = DataArgument { size, reserved: 0, data: 0, name: terminated(name) };
        // SAFETY: the argument has the layout that this ioctl reads and writes.
        unsafe { ioctl(&self.0, Updater::<DATA, _>::new(&mut argument)) }?;
        Ok(argument.data)
    }

    /// Threads that register and unregister against one another; comes back when all have ended.
    pub(super) fn race(&self, threads: u32, rounds: u32) -> Result<Race, Errno> {
        let size = size_of::<RaceArgument>() as u32;
        let mut argument =
            RaceArgument { size, threads, rounds, reserved: 0, registered: 0, exist: 0, busy: 0, other: 0 };
        // SAFETY: the argument has the layout that this ioctl reads and writes.
        unsafe { ioctl(&self.0, Updater::<RACE, _>::new(&mut argument)) }?;
        let RaceArgument { registered, exist, busy, other, .. } = argument;
        Ok(Race { registered, exist, busy, other })
    }

    /// The callbacks since the last time, in the order of the calls: `prepare NAME` and so on.
    pub(super) fn calls(&self) -> Result<Vec<String>, Finding> {
        let (mut text, mut piece) = (Vec::new(), vec![0; 32 << 10]);
        loop {
            match (&self.0).read(&mut piece) {
                Ok(0) => break,
                Ok(read) => text.extend_from_slice(&piece[..read]),
                Err(error) => return Err(Finding::new("the selftest module's log to be readable", error.to_string())),
            }
        }
        Ok(String::from_utf8_lossy(&text).lines().map(str::to_owned).collect())
    }

    /// Requires that these callbacks came since the last time, in this order, and no others.
    pub(super) fn called(&self, expected: &[String]) -> Result<(), Finding> {
        let came = self.calls()?;
        holds(&format!("the callbacks {expected:?}"), came == expected, format!("{came:?}"))
    }

    /// Unloads the module.
    pub(super) fn unload(self) -> Result<(), Errno> {
        drop(self.0);
        unload()
    }
}

/// Unloads the module, which nobody here may have open.
pub(super) fn unload() -> Result<(), Errno> {
    // What is refused is refused at once, as rmmod would have it.
    delete_module(c"liveupdate_lab_selftest", libc::O_NONBLOCK)
}

/// `prepare a`, `prepare b` and so on.
pub(super) fn each<'a>(what: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    names.into_iter().map(|name| format!("{what} {name}")).collect()
}

/// The number that the subsystem of this name leaves from its prepare; one more from its freeze on.
pub(super) fn number(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

/// Cut where a name must end.
fn terminated(name: &str) -> Name {
    let mut bytes = [0; 64];
    let length = name.len().min(63);
    bytes[..length].copy_from_slice(&name.as_bytes()[..length]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_module_s() {
        assert_eq!(number(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(number("a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(each("prepare", ["a", "b"]), ["prepare a", "prepare b"]);
    }
}
