//! The holder process as PID 1 sees it.

use std::{
    collections::VecDeque,
    process::{ChildStdin, ChildStdout, Command, Stdio},
};

use protocol::{
    frame::{Decoder, Frame},
    message::{Failure, Reply, Request},
};
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, wait};

use crate::{
    HOLDER,
    failure::{Outcome, Tell, refuse},
    frames,
};

/// A running holder, or one that has ended and is not yet mourned.
pub(crate) struct Child {
    pid: Pid,
    ended: Option<WaitStatus>,
    requests: ChildStdin,
    replies: ChildStdout,
    decoder: Decoder,
    sequence: u32,
}

impl Child {
    /// Starts this executable in its other role.
    pub(crate) fn start() -> Outcome<Self> {
        let operation = "start the holder process";
        let mut command = Command::new("/proc/self/exe");
        command.arg(HOLDER.to_str().unwrap_or_default()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().tell(operation)?;
        // Its end is seen by `reap`, which also sees every orphan's; the standard library's handle would
        // compete for it.
        match (Pid::from_raw(child.id().cast_signed()), child.stdin.take(), child.stdout.take()) {
            (Some(pid), Some(requests), Some(replies)) => {
                Ok(Self { pid, ended: None, requests, replies, decoder: Decoder::default(), sequence: 0 })
            }
            _ => Err(refuse(operation, "it has no pipes")),
        }
    }

    /// To wait for: readable when a reply comes, or the end.
    pub(crate) fn replies(&self) -> &ChildStdout {
        &self.replies
    }

    /// Hands a request on.
    pub(crate) fn ask(&mut self, request: &Request) -> Outcome<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let operation = "hand the request to the holder";
        let bytes = frames::encode(0, self.sequence, request).ok_or_else(|| refuse(operation, "too long"))?;
        // A holder that has just died breaks the pipe; the kernel spares PID 1 the signal.
        frames::write_all(&self.requests, &bytes).tell(operation)
    }

    /// Reads once; queues what it said. False if it has ended.
    pub(crate) fn listen(&mut self, said: &mut VecDeque<Reply>) -> bool {
        let mut found = VecDeque::<Frame<Reply>>::new();
        let read = frames::read_some(&self.replies, &mut self.decoder, &mut found);
        said.extend(found.into_iter().map(|frame| frame.message));
        read.is_ok_and(|bytes| bytes > 0)
    }

    /// Kills it and waits until it is gone: its files are closed by then.
    pub(crate) fn kill(mut self) -> Outcome<()> {
        kill_process(self.pid, Signal::KILL).tell("kill the holder")?;
        self.wait();
        Ok(())
    }

    /// Waits for a holder that has closed its pipe, and tells how it ended.
    pub(crate) fn mourn(mut self) -> Failure {
        // It may also have closed the pipe alone; then it is of no use any more.
        let _ = kill_process(self.pid, Signal::KILL);
        let detail = match self.wait() {
            Some(status) => match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => format!("it exited with status {code}"),
                (_, Some(signal)) => format!("it was ended by signal {signal}"),
                _ => format!("it ended with wait status {:#x}", status.as_raw()),
            },
            None => "it ended, its wait status is lost".to_owned(),
        };
        refuse(protocol::message::HOLDER_DIED, detail)
    }

    fn wait(&mut self) -> Option<WaitStatus> {
        while self.ended.is_none() && matches!(self.reap_one(WaitOptions::empty()), Ok(true)) {}
        self.ended
    }

    /// Reaps what has ended.
    pub(crate) fn reap(&mut self) {
        while matches!(self.reap_one(WaitOptions::NOHANG), Ok(true)) {}
    }

    fn reap_one(&mut self, options: WaitOptions) -> rustix::io::Result<bool> {
        let ended = rustix::io::retry_on_intr(|| wait(options))?;
        if let Some((pid, status)) = ended
            && pid == self.pid
        {
            self.ended = Some(status);
        }
        Ok(ended.is_some())
    }
}
