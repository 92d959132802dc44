//! Frames over a file descriptor.

use std::collections::VecDeque;

use protocol::frame::{self, Decoder, Frame};
use rustix::{fd::AsFd, io::Errno};
use serde::{Serialize, de::DeserializeOwned};

use crate::failure::refuse;

/// Writes all of `bytes`.
pub(crate) fn write_all(fd: impl AsFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(&fd, bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Reads once and puts the sound frames found into `found`; the others are dropped.
///
/// Gives the number of bytes read: zero is the stream's end, or a port whose host has gone.
pub(crate) fn read_some<M: DeserializeOwned>(
    fd: impl AsFd,
    decoder: &mut Decoder,
    found: &mut VecDeque<Frame<M>>,
) -> Result<usize, Errno> {
    // A virtio port gives at most a page at a time.
    let mut bytes = [0; 8192];
    let read = match rustix::io::read(&fd, &mut bytes[..]) {
        Err(Errno::INTR) => return read_some(fd, decoder, found),
        other => other?,
    };
    decoder.feed(&bytes[..read], |frame| found.extend(frame.ok()));
    Ok(read)
}

/// Encodes a reply; one that fits in no frame becomes a failure that does.
pub(crate) fn encode_reply(epoch: u32, sequence: u32, message: &protocol::message::Reply) -> Vec<u8> {
    encode(epoch, sequence, message)
        .or_else(|| {
            let failure = refuse("encode the reply", "it does not fit in a frame");
            encode(epoch, sequence, &protocol::message::Reply::Failed(failure))
        })
        .unwrap_or_default()
}

/// Encodes one message, or nothing if it does not fit in a frame.
pub(crate) fn encode<M: Serialize>(epoch: u32, sequence: u32, message: &M) -> Option<Vec<u8>> {
    frame::encode(&Frame { epoch, sequence, message }).ok()
}
