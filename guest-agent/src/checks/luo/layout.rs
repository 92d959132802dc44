//! Arguments of the in-tree calls that are too short, too long, or not meant for it.

use rustix::{
    fd::{AsFd as _, AsRawFd as _, BorrowedFd},
    io::{Errno, FdFlags, fcntl_getfd},
};

use super::filled;
use crate::{
    checks::{
        context::{Context, Finding, refused, same, works},
        raw::{Argument, IN_TREE, any_call},
    },
    luo::{Session, open_device},
};

const CREATE_SESSION: u32 = 0x00;
const PRESERVE_FD: u32 = 0x40;
const RETRIEVE_FD: u32 = 0x41;
const FINISH: u32 = 0x42;

/// Sizes come first and count; descriptors are signed 32 bits wide, tokens 64. What is not known must be zero.
/// A call that does not exist is EINVAL, where a driver says ENOTTY.
pub(in crate::checks) fn arguments(_: &mut Context) -> Result<(), Finding> {
    let mut memory = Argument::new()?;
    let session = works("CREATE_SESSION", Session::create("layout"))?;
    same("the flags of a session's descriptor", FdFlags::CLOEXEC, works("F_GETFD", fcntl_getfd(&session))?)?;
    let file = filled(4096, 1)?;
    let mut call = |file: BorrowedFd<'_>, number: u32, words: &[u32]| -> Result<(), Errno> {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let at = memory.put(&bytes).map_err(|_| Errno::FAULT)?;
        any_call(file, IN_TREE << 8 | number, at)
    };
    let fd = file.as_raw_fd() as u32;
    let by = session.as_fd();
    for short in [0, 4, 8, 15] {
        refused("PRESERVE_FD with too small a size", Errno::INVAL, call(by, PRESERVE_FD, &[short, fd, 1, 0]))?;
    }
    refused("PRESERVE_FD with more than it knows", Errno::TOOBIG, call(by, PRESERVE_FD, &[24, fd, 1, 0, 0, 1]))?;
    refused("PRESERVE_FD that ends in nowhere", Errno::FAULT, call(by, PRESERVE_FD, &[16, fd, 1]))?;
    refused("PRESERVE_FD of a negative file", Errno::BADF, call(by, PRESERVE_FD, &[16, u32::MAX, 1, 0]))?;
    works("PRESERVE_FD with zeros behind", call(by, PRESERVE_FD, &[24, fd, 1, 0, 0, 0]))?;
    refused("RETRIEVE_FD before the kexec", Errno::INVAL, call(by, RETRIEVE_FD, &[16, 0, 1, 0]))?;
    refused("FINISH before the kexec", Errno::INVAL, call(by, FINISH, &[8, 0]))?;
    for unknown in [0x3F, 0x44, 0xFF] {
        refused("an unknown call to a session", Errno::INVAL, call(by, unknown, &[16, 0, 0, 0]))?;
    }
    let device = works("open of the device", open_device())?;
    let device = device.as_fd();
    let mut named = [0; 18];
    named[0] = 72;
    refused("CREATE_SESSION without a name", Errno::INVAL, call(device, CREATE_SESSION, &named))?;
    named[2..].fill(u32::from_le_bytes(*b"name"));
    refused("CREATE_SESSION with a name that does not end", Errno::INVAL, call(device, CREATE_SESSION, &named))?;
    refused("an unknown call to the device", Errno::INVAL, call(device, 0x02, &[8, 0]))?;
    let mut token = [16, fd, 1, 0];
    refused("PRESERVE_FD of a token in use", Errno::EXIST, call(by, PRESERVE_FD, &token))?;
    // The same but for the upper half.
    token[3] = 1;
    refused("PRESERVE_FD of a file that is preserved", Errno::BUSY, call(by, PRESERVE_FD, &token))
}
