//! A program of others as PID 1 sees it: started at the host's request, heard, and ended when its time is up.

use std::{
    io::PipeReader,
    os::unix::process::CommandExt as _,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use protocol::{
    message::{Reply, Span, Tsc},
    program::{End, MAX_OUTPUT, Program},
};
use rustix::{
    fd::{AsFd as _, BorrowedFd, OwnedFd},
    io::{Errno, ioctl_fionbio},
    process::{Pid, PidfdFlags, Signal, WaitStatus, kill_process_group, pidfd_open},
};

use crate::{
    PROGRESS,
    failure::{Outcome, Tell, refuse},
    now,
};

/// Most bytes that one reply carries.
const PIECE: usize = 16 << 10;

/// The one that is under way, if one is.
#[derive(Default)]
pub(crate) struct Programs {
    under_way: Option<Running>,
}

struct Running {
    pid: Pid,
    /// Readable when it has ended, whoever still holds its streams open.
    end: OwnedFd,
    /// Both its streams, until they are closed.
    output: Option<PipeReader>,
    said: usize,
    ended: Option<WaitStatus>,
    from: Tsc,
    deadline: Instant,
    /// When the host was last told that it goes on.
    told: Instant,
}

impl Programs {
    /// Starts a program. What it says, and its end, come from [`Programs::proceed`].
    pub(crate) fn begin(&mut self, program: &Program) -> Outcome<()> {
        let Some((file, arguments)) = program.words.split_first() else {
            return Err(refuse("run a program", "it has no name"));
        };
        let operation = format!("run {file}");
        let (output, stream) = std::io::pipe().tell(&*operation)?;
        // What comes is taken as it comes: PID 1 waits for more than this.
        ioctl_fionbio(&output, true).tell(&*operation)?;
        let mut command = Command::new(file);
        command.args(arguments).current_dir("/").env_clear().env("PATH", "/bin").process_group(0);
        command.stdin(Stdio::null()).stdout(stream.try_clone().tell(&*operation)?).stderr(stream);
        let from = now();
        let child = command.spawn().tell(&*operation)?;
        // Its end is seen by `child::reap`, as every process's.
        let pid = Pid::from_raw(child.id().cast_signed()).ok_or_else(|| refuse(&*operation, "it has no number"))?;
        let end = pidfd_open(pid, PidfdFlags::empty()).tell(&*operation)?;
        let told = Instant::now();
        let deadline = told + Duration::from_millis(program.limit_ms.into());
        self.under_way = Some(Running { pid, end, output: Some(output), said: 0, ended: None, from, deadline, told });
        Ok(())
    }

    /// To wait for: its words, and its end.
    pub(crate) fn signs(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.under_way.iter().flat_map(|running| {
            let output = running.output.as_ref().map(|output| output.as_fd());
            output.into_iter().chain([running.end.as_fd()])
        })
    }

    /// When it has to be looked at again.
    pub(crate) fn left(&self) -> Option<Duration> {
        let next = |running: &Running| running.deadline.min(running.told + PROGRESS);
        self.under_way.as_ref().map(|running| next(running).saturating_duration_since(Instant::now()))
    }

    /// Takes note of a process's end.
    pub(crate) fn note_end(&mut self, pid: Pid, status: WaitStatus) {
        if let Some(running) = self.under_way.as_mut().filter(|running| running.pid == pid) {
            running.ended = Some(status);
        }
    }

    /// What there is to say of it now.
    pub(crate) fn proceed(&mut self) -> Option<Reply> {
        let running = self.under_way.as_mut()?;
        let words = running.listen();
        let span = Span { from: running.from, to: now() };
        let over = |end| Some(Reply::Executed { end, span });
        if running.said > MAX_OUTPUT {
            running.kill();
            self.under_way = None;
            return over(End::Flooded);
        }
        if let Some(bytes) = words {
            running.told = Instant::now();
            return Some(Reply::Output { bytes });
        }
        if let Some(status) = running.ended {
            self.under_way = None;
            return over(match status.terminating_signal() {
                Some(signal) => End::Signalled(signal),
                None => End::Exited(status.exit_status().unwrap_or(-1)),
            });
        }
        if running.deadline <= Instant::now() {
            running.kill();
            self.under_way = None;
            return over(End::OutOfTime);
        }
        let busy = running.told.elapsed() >= PROGRESS;
        if busy {
            running.told = Instant::now();
        }
        busy.then_some(Reply::Busy)
    }
}

impl Running {
    /// What it has said since, if it has.
    fn listen(&mut self) -> Option<Vec<u8>> {
        let output = self.output.as_ref()?;
        let mut bytes = vec![0; PIECE];
        match rustix::io::retry_on_intr(|| rustix::io::read(output, &mut bytes[..])) {
            Ok(0) => self.output = None,
            Ok(read) => {
                self.said += read;
                bytes.truncate(read);
                return Some(bytes);
            }
            Err(Errno::AGAIN) => {}
            Err(_) => self.output = None,
        }
        None
    }

    /// Ends it with what it started, as far as that stayed in its group. It is reaped like any orphan.
    fn kill(&self) {
        let _ = kill_process_group(self.pid, Signal::KILL);
    }
}
