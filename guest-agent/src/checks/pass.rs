//! Open files handed from process to process over a socket.

use std::{io::IoSlice, mem::MaybeUninit};

use rustix::{
    fd::{AsFd, OwnedFd},
    io::IoSliceMut,
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
        SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
    },
};

use super::context::{Finding, works};

/// Longest message.
const MOST: usize = 256;

/// Two sockets, each the other's end. A message is kept whole.
pub(super) fn pair() -> Result<(OwnedFd, OwnedFd), Finding> {
    let pair = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None);
    works("socketpair", pair)
}

/// Sends a message, with a file perhaps.
pub(super) fn send(socket: &OwnedFd, message: &[u8], file: Option<&OwnedFd>) -> Result<(), Finding> {
    let files: Vec<_> = file.iter().map(|file| file.as_fd()).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut rights = SendAncillaryBuffer::new(&mut space);
    if !files.is_empty() && !rights.push(SendAncillaryMessage::ScmRights(&files)) {
        return Err(Finding::new("room for one descriptor", "none"));
    }
    works("sendmsg", sendmsg(socket, &[IoSlice::new(message)], &mut rights, SendFlags::NOSIGNAL)).map(drop)
}

/// Receives a message, and the file that came with it. An empty message: the other end is closed.
pub(super) fn receive(socket: &OwnedFd) -> Result<(Vec<u8>, Option<OwnedFd>), Finding> {
    let mut message = [0; MOST];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut rights = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(&mut message)];
    let got = recvmsg(socket, &mut parts, &mut rights, RecvFlags::CMSG_CLOEXEC);
    let got = works("recvmsg", got)?.bytes;
    let file = rights.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut files) => files.next(),
        _ => None,
    });
    Ok((message[..got].to_vec(), file))
}

/// The file that was sent here.
pub(super) fn receive_file(socket: &OwnedFd) -> Result<OwnedFd, Finding> {
    receive(socket)?.1.ok_or_else(|| Finding::new("a descriptor over the socket", "a message without one"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_comes_whole_and_with_its_file() {
        let (one, other) = pair().unwrap();
        let file = OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        send(&one, b"null", Some(&file)).unwrap();
        send(&one, b"none", None).unwrap();
        let (message, came) = receive(&other).unwrap();
        assert_eq!(message, b"null");
        let node = |file: &OwnedFd| rustix::fs::fstat(file).unwrap().st_rdev;
        assert_eq!(node(&came.unwrap()), node(&file));
        assert!(receive_file(&other).is_err());
        drop(one);
        assert_eq!(receive(&other).unwrap().0, b"");
    }
}
