//! The agent's port: frames both ways, an epoch for each generation.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use protocol::frame::{self, Decoder, Frame};
use protocol::message::{Reply, Request};

use super::{Error, Signal};

/// The host's end of the agent's port.
#[derive(Debug)]
pub struct ControlPort {
    stream: UnixStream,
    epoch: u32,
    sequence: u32,
}

impl ControlPort {
    pub(super) fn attach(stream: UnixStream, signals: SyncSender<Signal>) -> Result<Self, Error> {
        // A guest that does not listen must not keep the host from listening.
        stream.set_write_timeout(Some(Duration::from_secs(10))).map_err(Error::io("set a time limit"))?;
        let mut reader = stream.try_clone().map_err(Error::io("share the agent's port"))?;
        std::thread::spawn(move || {
            let mut decoder = Decoder::default();
            let mut buffer = vec![0; 64 << 10];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                let mut heard = true;
                decoder.feed::<Reply>(&buffer[..count], |frame| heard &= signals.send(Signal::Agent(frame)).is_ok());
                if !heard {
                    break;
                }
            }
        });
        Ok(Self { stream, epoch: 0, sequence: 0 })
    }

    /// Begins the next epoch: what was said before counts no more.
    pub fn next_epoch(&mut self) {
        self.epoch += 1;
        self.sequence = 0;
    }

    /// The epoch under way.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Sends a request.
    ///
    /// # Errors
    /// The port is closed, or the request does not fit in a frame.
    pub fn send(&mut self, message: &Request) -> Result<(), Error> {
        self.sequence += 1;
        let frame = Frame { epoch: self.epoch, sequence: self.sequence, message };
        let bytes = frame::encode(&frame)?;
        self.stream.write_all(&bytes).map_err(Error::io("write to the agent's port"))
    }
}
