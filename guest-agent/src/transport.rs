//! The conversation with the host, over the control port.

use std::collections::VecDeque;

use protocol::{
    frame::{Decoder, Frame},
    message::{Reply, Request},
};
use rustix::{fd::OwnedFd, io::Errno};

use crate::frames;

/// Which frames belong to the running epoch.
#[derive(Debug, Default)]
pub(crate) struct Conversation {
    epoch: Option<u32>,
    heard: Option<u32>,
    said: u32,
}

impl Conversation {
    /// Whether the frame is to be acted on. A `Hello` opens its epoch.
    fn accept(&mut self, frame: &Frame<Request>) -> bool {
        let hello = matches!(frame.message, Request::Hello { .. });
        // A lower epoch is a frame from before a kexec, a higher one needs a Hello.
        if hello && self.epoch.is_none_or(|epoch| frame.epoch > epoch) {
            if frame.epoch != self.epoch() {
                self.said = 0;
            }
            self.epoch = Some(frame.epoch);
        } else if self.epoch != Some(frame.epoch) || self.heard.is_some_and(|heard| frame.sequence <= heard) {
            return false;
        }
        self.heard = Some(frame.sequence);
        true
    }

    /// The epoch to speak in.
    fn epoch(&self) -> u32 {
        self.epoch.unwrap_or(0)
    }

    /// The sequence number of the next frame said.
    fn next(&mut self) -> u32 {
        let sequence = self.said;
        self.said = self.said.wrapping_add(1);
        sequence
    }
}

/// The control port.
pub(crate) struct Link {
    port: OwnedFd,
    decoder: Decoder,
    conversation: Conversation,
    found: VecDeque<Frame<Request>>,
}

impl Link {
    /// Speaks over `port`, in epoch 0.
    pub(crate) fn new(port: OwnedFd) -> Self {
        Self { port, decoder: Decoder::default(), conversation: Conversation::default(), found: VecDeque::new() }
    }

    /// To wait for.
    pub(crate) fn port(&self) -> &OwnedFd {
        &self.port
    }

    /// Whether a `Hello` has come.
    pub(crate) fn is_open(&self) -> bool {
        self.conversation.epoch.is_some()
    }

    /// The running epoch.
    pub(crate) fn epoch(&self) -> u32 {
        self.conversation.epoch()
    }

    /// Reads once and queues the requests that count, each with its epoch. False if the host has gone.
    pub(crate) fn receive(&mut self, queue: &mut VecDeque<(u32, Request)>) -> Result<bool, Errno> {
        let read = frames::read_some(&self.port, &mut self.decoder, &mut self.found)?;
        for frame in self.found.drain(..) {
            if self.conversation.accept(&frame) {
                queue.push_back((frame.epoch, frame.message));
            }
        }
        Ok(read > 0)
    }

    /// Says `reply` in the running epoch. Waits while no host is connected.
    pub(crate) fn send(&mut self, reply: &Reply) {
        let sequence = self.conversation.next();
        let bytes = frames::encode_reply(self.conversation.epoch(), sequence, reply);
        if let Err(errno) = frames::write_all(&self.port, &bytes) {
            eprintln!("guest-agent: control port: {errno}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(epoch: u32, sequence: u32) -> Frame<Request> {
        Frame { epoch, sequence, message: Request::Hello { nonce: 1, revival: None } }
    }

    fn ask(epoch: u32, sequence: u32) -> Frame<Request> {
        Frame { epoch, sequence, message: Request::ReadTsc }
    }

    #[test]
    fn nothing_counts_before_hello() {
        let mut conversation = Conversation::default();
        assert!(!conversation.accept(&ask(0, 5)));
        assert!(conversation.accept(&hello(3, 7)));
        assert!(conversation.accept(&ask(3, 8)));
    }

    #[test]
    fn a_sequence_number_must_rise() {
        let mut conversation = Conversation::default();
        assert!(conversation.accept(&hello(1, 4)));
        assert!(!conversation.accept(&ask(1, 4)));
        assert!(!conversation.accept(&hello(1, 3)));
        assert!(conversation.accept(&hello(1, 5)));
    }

    #[test]
    fn another_epoch_is_dropped_unless_a_later_one_opens() {
        let mut conversation = Conversation::default();
        assert!(conversation.accept(&hello(2, 9)));
        assert!(!conversation.accept(&ask(1, 10)));
        assert!(!conversation.accept(&ask(3, 10)));
        assert!(!conversation.accept(&hello(1, 10)));
        assert!(conversation.accept(&hello(3, 0)));
        assert!(conversation.accept(&ask(3, 1)));
    }

    #[test]
    fn what_is_said_counts_anew_in_each_epoch() {
        let mut conversation = Conversation::default();
        assert_eq!((conversation.next(), conversation.next()), (0, 1));
        // Epoch 0 is the one already spoken in.
        assert!(conversation.accept(&hello(0, 0)));
        assert_eq!(conversation.next(), 2);
        assert!(conversation.accept(&hello(1, 0)));
        assert_eq!(conversation.next(), 0);
        assert!(conversation.accept(&hello(1, 1)));
        assert_eq!(conversation.next(), 1);
    }
}
