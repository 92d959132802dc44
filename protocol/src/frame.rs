//! Framing: `COBS(header ‖ message ‖ crc32) 0x00`.
//!
//! | bytes | field |
//! |---|---|
//! | 1 | [`VERSION`] |
//! | 4 | epoch, little-endian: 0 before the handshake, then as the host counts generations |
//! | 4 | sequence number, little-endian: rises by one with each frame of an epoch and direction |
//! | n | the message, in postcard |
//! | 4 | CRC-32 of all before it, little-endian |
//!
//! A zero byte appears only at the end of a frame, so a reader that starts in the middle of one, or
//! meets bytes from before a kexec, loses that one frame and no more.

use serde::{Serialize, de::DeserializeOwned};

use crate::VERSION;

/// The longest encoded frame, in bytes. Longer input is dropped up to the next frame's end.
pub const MAX_FRAME: usize = 1 << 20;

const HEADER: usize = 9;
const CHECKSUM: usize = 4;

/// A message with the place it holds in the conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame<M> {
    /// The generation that the sender believes it is in.
    pub epoch: u32,
    /// The sender's count of frames in this epoch.
    pub sequence: u32,
    /// What is said.
    pub message: M,
}

/// Why a stretch of bytes was not a frame.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FrameError {
    /// More than [`MAX_FRAME`] bytes without an end.
    #[error("frame longer than {MAX_FRAME} bytes")]
    TooLong,
    /// Not COBS, or shorter than a header and a checksum.
    #[error("not a frame ({0} bytes)")]
    Malformed(usize),
    /// The checksum does not match: bytes were lost or changed.
    #[error("frame checksum mismatch")]
    Checksum,
    /// The other side speaks another version.
    #[error("peer speaks protocol version {0}, this side speaks {VERSION}")]
    Version(u8),
    /// The frame is sound, its content is no message that this side knows.
    #[error("frame holds no known message")]
    Message,
    /// The message does not fit in a frame.
    #[error("message does not fit in a frame of {MAX_FRAME} bytes")]
    Unencodable,
}

/// Encodes one frame, its end mark included.
///
/// # Errors
/// [`FrameError::Unencodable`] if the result would be longer than [`MAX_FRAME`].
pub fn encode<M: Serialize>(frame: &Frame<M>) -> Result<Vec<u8>, FrameError> {
    let mut plain = Vec::with_capacity(64);
    plain.push(VERSION);
    plain.extend(frame.epoch.to_le_bytes());
    plain.extend(frame.sequence.to_le_bytes());
    let mut plain = postcard::to_extend(&frame.message, plain).map_err(|_| FrameError::Unencodable)?;
    plain.extend(crc32fast::hash(&plain).to_le_bytes());
    let mut bytes = cobs::encode_vec(&plain);
    bytes.push(0);
    if bytes.len() > MAX_FRAME {
        return Err(FrameError::Unencodable);
    }
    Ok(bytes)
}

fn decode<M: DeserializeOwned>(encoded: &mut [u8]) -> Result<Frame<M>, FrameError> {
    let total = encoded.len();
    let length = cobs::decode_in_place(encoded).map_err(|_| FrameError::Malformed(total))?;
    let plain = encoded.get(..length).ok_or(FrameError::Malformed(total))?;
    let body = plain.len().checked_sub(CHECKSUM).filter(|&body| body >= HEADER).ok_or(FrameError::Malformed(total))?;
    let (content, checksum) = plain.split_at(body);
    if crc32fast::hash(content).to_le_bytes() != checksum {
        return Err(FrameError::Checksum);
    }
    let (header, message) = content.split_at(HEADER);
    if header[0] != VERSION {
        return Err(FrameError::Version(header[0]));
    }
    let word = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    // A message with bytes left over is of another shape than this side's.
    let (message, rest) = postcard::take_from_bytes(message).map_err(|_| FrameError::Message)?;
    if !rest.is_empty() {
        return Err(FrameError::Message);
    }
    Ok(Frame { epoch: word(1), sequence: word(5), message })
}

/// Cuts a byte stream into frames. Holds at most [`MAX_FRAME`] bytes.
#[derive(Debug, Default)]
pub struct Decoder {
    pending: Vec<u8>,
    overlong: bool,
}

impl Decoder {
    /// Takes in `bytes` and hands each frame found, or the reason why it is none, to `sink`.
    pub fn feed<M: DeserializeOwned>(&mut self, bytes: &[u8], mut sink: impl FnMut(Result<Frame<M>, FrameError>)) {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|&byte| byte == 0) {
            self.take(&rest[..end]);
            rest = &rest[end + 1..];
            if std::mem::take(&mut self.overlong) {
                sink(Err(FrameError::TooLong));
            } else if !self.pending.is_empty() {
                sink(decode(&mut self.pending));
            }
            self.pending.clear();
        }
        self.take(rest);
    }

    fn take(&mut self, bytes: &[u8]) {
        if self.overlong || self.pending.len() + bytes.len() > MAX_FRAME {
            self.overlong = true;
            self.pending.clear();
        } else {
            self.pending.extend_from_slice(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(bytes: &[u8], chunk: usize) -> Vec<Result<Frame<Vec<u8>>, FrameError>> {
        let mut decoder = Decoder::default();
        let mut found = Vec::new();
        for piece in bytes.chunks(chunk.max(1)) {
            decoder.feed(piece, |frame| found.push(frame));
        }
        found
    }

    proptest! {
        #[test]
        fn any_message_survives_any_cut(message: Vec<u8>, epoch: u32, sequence: u32, chunk in 1usize..64) {
            let frame = Frame { epoch, sequence, message };
            let bytes = encode(&frame).unwrap();
            prop_assert_eq!(all(&bytes, chunk), vec![Ok(frame)]);
        }

        #[test]
        fn garbage_before_a_frame_costs_no_later_frame(garbage: Vec<u8>, message: Vec<u8>) {
            let frame = Frame { epoch: 1, sequence: 2, message };
            let mut bytes = garbage;
            bytes.push(0);
            bytes.extend(encode(&frame).unwrap());
            prop_assert_eq!(all(&bytes, 7).pop(), Some(Ok(frame)));
        }

        #[test]
        fn a_flipped_bit_is_never_a_frame(message: Vec<u8>, at: prop::sample::Index, bit in 0u8..8) {
            let frame = Frame { epoch: 3, sequence: 4, message };
            let mut bytes = encode(&frame).unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            bytes.push(0);
            prop_assert!(all(&bytes, 11).iter().all(|found| found.as_ref().ok() != Some(&frame)));
        }

        #[test]
        fn hostile_bytes_never_panic(bytes: Vec<u8>) {
            let _ = all(&bytes, 5);
        }
    }

    #[test]
    fn an_endless_frame_is_dropped_and_the_next_is_found() {
        let mut bytes = vec![1u8; MAX_FRAME + 10];
        bytes.push(0);
        let frame = Frame { epoch: 0, sequence: 0, message: vec![7u8] };
        bytes.extend(encode(&frame).unwrap());
        assert_eq!(all(&bytes, 4096), vec![Err(FrameError::TooLong), Ok(frame)]);
    }

    #[test]
    fn another_version_is_named() {
        let mut plain = vec![VERSION + 1];
        plain.extend([0; 8]);
        plain.extend(crc32fast::hash(&plain).to_le_bytes());
        let mut bytes = cobs::encode_vec(&plain);
        bytes.push(0);
        assert_eq!(all(&bytes, 100), vec![Err(FrameError::Version(VERSION + 1))]);
    }

    #[test]
    fn trailing_bytes_make_another_message() {
        let mut plain = vec![VERSION];
        plain.extend([0; 8]);
        plain.extend(postcard::to_allocvec(&vec![1u8]).unwrap());
        plain.push(9);
        plain.extend(crc32fast::hash(&plain).to_le_bytes());
        let mut bytes = cobs::encode_vec(&plain);
        bytes.push(0);
        assert_eq!(all(&bytes, 100), vec![Err(FrameError::Message)]);
    }
}
