//! A process that PID 1 started from itself: the holder, or a check.

use std::{
    collections::VecDeque,
    ffi::CStr,
    os::unix::process::CommandExt as _,
    process::{ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use protocol::{
    frame::{Decoder, Frame},
    message::{Failure, Reply, Request},
};
use rustix::{
    io::Errno,
    process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, kill_process_group, wait, waitpgid, waitpid},
};

use crate::{
    failure::{Outcome, Tell, refuse},
    frames,
};

/// How long a group of killed processes may take to be gone: where a machine is emulated, gigabytes that go back page
/// by page take seconds.
const DYING: Duration = Duration::from_secs(10);

/// A running process, or one that has ended and is not yet mourned.
pub(crate) struct Child {
    pid: Pid,
    ended: Option<WaitStatus>,
    requests: ChildStdin,
    replies: ChildStdout,
    decoder: Decoder,
    sequence: u32,
}

impl Child {
    /// Starts this executable in another role, as the first of a process group.
    pub(crate) fn start(role: &CStr) -> Outcome<Self> {
        let role = role.to_str().unwrap_or_default();
        let operation = format!("start the {role} process");
        let mut command = Command::new("/proc/self/exe");
        command.arg(role).stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn().tell(&*operation)?;
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
        let operation = "hand the request on";
        let bytes = frames::encode(0, self.sequence, request).ok_or_else(|| refuse(operation, "too long"))?;
        // A process that has just died breaks the pipe; the kernel spares PID 1 the signal.
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

    /// Kills it with all that it started and waits until they are gone, but no longer than [`DYING`]: what
    /// hangs in the kernel does not die.
    pub(crate) fn kill_all(&mut self) -> Outcome<()> {
        let deadline = Instant::now() + DYING;
        loop {
            // What was started meanwhile dies in the next round.
            let _ = kill_process_group(self.pid, Signal::KILL);
            match waitpgid(self.pid, WaitOptions::NOHANG) {
                Ok(Some((pid, status))) => self.note_end(pid, status),
                Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(1)),
                Ok(None) => return Err(refuse("kill a check", "it hangs in the kernel and does not die")),
                Err(Errno::INTR) => {}
                Err(_) => return Ok(()),
            }
        }
    }

    /// Waits for a holder that has closed its pipe, and tells how it ended.
    pub(crate) fn mourn(mut self) -> Failure {
        // It may also have closed the pipe alone; then it is of no use any more.
        let _ = kill_process(self.pid, Signal::KILL);
        self.wait();
        refuse(protocol::message::HOLDER_DIED, self.obituary())
    }

    /// How it ended, in words.
    pub(crate) fn obituary(&self) -> String {
        match self.ended {
            Some(status) => match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => format!("it exited with status {code}"),
                (_, Some(signal)) => format!("it was ended by signal {signal}"),
                _ => format!("it ended with wait status {:#x}", status.as_raw()),
            },
            None => "it ended, its wait status is lost".to_owned(),
        }
    }

    fn wait(&mut self) {
        if self.ended.is_none()
            && let Ok(Some((_, status))) = rustix::io::retry_on_intr(|| waitpid(Some(self.pid), WaitOptions::empty()))
        {
            self.ended = Some(status);
        }
    }

    /// Takes note of the end of a process, if it is this one's.
    pub(crate) fn note_end(&mut self, pid: Pid, status: WaitStatus) {
        if pid == self.pid {
            self.ended = Some(status);
        }
    }
}

/// Reaps what has ended, orphans too.
pub(crate) fn reap(mut ended: impl FnMut(Pid, WaitStatus)) {
    while let Ok(Some((pid, status))) = rustix::io::retry_on_intr(|| wait(WaitOptions::NOHANG)) {
        ended(pid, status);
    }
}
