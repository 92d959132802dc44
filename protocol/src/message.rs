//! What the host asks and what the agent answers.
//!
//! The agent speaks first: [`Reply::Ready`] in epoch 0, repeated until the host opens the epoch with
//! [`Request::Hello`]. From then on each request has exactly one reply, those aside that say of themselves
//! that more is to come ([`Reply::is_interim`]): any number of them may come before it.

use serde::{Deserialize, Serialize};

use crate::check::{Figure, Order, Verdict};
use crate::program::{End, Program};

/// One object (a memory file) as the scenario knows it. Names stay on the host; the agent sees numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ObjectId(pub u32);

/// What an interface needs to find an object again in the next generation.
///
/// The in-tree LUO takes the number that the caller chose, the module makes one that cannot be guessed, and in
/// kexecfs it is in the file's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token(pub u64);

/// A reading of the guest's time stamp counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Tsc(pub u64);

/// The kernel interface that preserves memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Interface {
    /// The in-tree Live Update Orchestrator: a session of `/dev/liveupdate`, memfds.
    Luo,
    /// This project's module: `/dev/liveupdate_lab`, its own memory files.
    Module,
    /// The module's other face, a file system: files in an instance of kexecfs.
    Kexecfs,
    /// Kexec HandOver itself, without an orchestrator. It preserves no files: it is for checks alone.
    Kho,
}

impl Interface {
    /// Those that preserve files.
    pub const ALL: &[Self] = &[Self::Luo, Self::Module, Self::Kexecfs];

    /// Its name, as it stands in a scenario.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Luo => "luo",
            Self::Module => "module",
            Self::Kexecfs => "kexecfs",
            Self::Kho => "kho",
        }
    }
}

/// The shape of one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectSpec {
    /// Its number.
    pub id: ObjectId,
    /// Its size in bytes; zero is a size.
    pub bytes: u64,
    /// Seed of its content, see [`crate::pattern`].
    pub seed: u64,
}

/// An object to find again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Its number.
    pub id: ObjectId,
    /// What [`Reply::Preserved`] said.
    pub token: Token,
}

/// A step of the orchestrator's state machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// NORMAL → PREPARED. The in-tree LUO has no such state: nothing is done.
    Prepare,
    /// PREPARED → FROZEN. The in-tree LUO freezes inside reboot(2): nothing is done.
    Freeze,
    /// Back to NORMAL. For the in-tree LUO: the session is closed, which gives up what it held.
    Cancel,
    /// UPDATED → NORMAL. For the in-tree LUO: the session's FINISH.
    Finish,
}

/// A deliberate wrong, to prove that the lab sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    /// Flips one bit in the middle of a page.
    Corrupt {
        /// The victim.
        object: ObjectId,
        /// Its page.
        page: u64,
    },
    /// Exchanges the content of two pages.
    Swap {
        /// The victim.
        object: ObjectId,
        /// The two pages.
        pages: [u64; 2],
    },
    /// Kills the process that holds the session, with SIGKILL.
    KillHolder,
}

/// What is to be booted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextKernel {
    /// Bytes of kernel image that follow on the bulk port, at once after [`Reply::SendBulk`].
    pub kernel_bytes: u64,
    /// Bytes of initramfs that follow those.
    pub initramfs_bytes: u64,
    /// Its command line.
    pub command_line: String,
}

/// What a guest that was restored from a snapshot must be told, or it is the twin of all that were restored from the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revival {
    /// Random bytes for the kernel's generator: what it gave away next would be what it gave the others.
    pub entropy: [u8; 32],
    /// The time of day, in nanoseconds since 1970: its own stood still.
    pub unix_ns: u64,
}

/// Host → agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Opens an epoch. The frame's header carries its number.
    Hello {
        /// Echoed by [`Reply::Welcome`], so that a reply from before the kexec cannot pass for one.
        nonce: u64,
        /// Said to a guest that has just been restored from a snapshot.
        revival: Option<Revival>,
    },
    /// Reads the TSC at once: calibration.
    ReadTsc,
    /// Starts the holder process and opens the interface, loading the module if it is the one asked for.
    Open {
        /// Which one.
        interface: Interface,
    },
    /// Makes objects and fills them with their pattern.
    Create {
        /// What to make.
        objects: Vec<ObjectSpec>,
    },
    /// Makes the heartbeat object and starts the workload that ticks in it.
    StartWorkload {
        /// Its number.
        id: ObjectId,
    },
    /// Waits until the workload has ticked once more, which says that it lives.
    AwaitTick,
    /// Registers objects to be preserved.
    Preserve {
        /// Which ones.
        objects: Vec<ObjectId>,
    },
    /// Moves the state machine.
    Signal {
        /// How.
        event: Event,
    },
    /// Takes a kernel and an initramfs from the bulk port and loads them with kexec_file_load(2).
    LoadKernel(NextKernel),
    /// Restarts into the loaded kernel. The next thing heard is [`Reply::Ready`] from the new one.
    Reboot,
    /// Starts the agent anew without a kexec: what a live update that never happened looks like.
    PretendReboot,
    /// Opens the previous generation's preserved objects.
    Retrieve {
        /// Which ones.
        claims: Vec<Claim>,
    },
    /// Retrieves the heartbeat and lets the workload tick on.
    ResumeWorkload {
        /// Which object it is.
        claim: Claim,
    },
    /// Compares every byte of an object with what it must be.
    Verify {
        /// Which object, how long, which seed.
        object: ObjectSpec,
    },
    /// Tells where an object's pages lie in physical memory.
    Locate {
        /// Which object.
        object: ObjectId,
        /// The first page asked for.
        first_page: u64,
        /// How many, at most [`MAX_LOCATE`].
        pages: u64,
    },
    /// Counts how many of these page frames the kernel holds as reserved: handed over, and nobody's yet.
    CountReserved {
        /// Which ones, at most [`MAX_LOCATE`] in all.
        runs: Vec<FrameRun>,
    },
    /// Does a deliberate wrong.
    Inject(Fault),
    /// Asks a named check in a process of its own.
    Check(Order),
    /// Drops every object that the holder has open, so that its memory is free again.
    Drop,
    /// Reads the memory counters, after the kernel has given back what it can.
    Memory,
    /// Reads the kernel log.
    KernelLog,
    /// Reads what Kexec HandOver shows of itself in debugfs. Where that takes it, nothing can be preserved any more.
    ShowHandover,
    /// Ends the guest.
    PowerOff,
    /// Runs a program that the initramfs carries.
    Execute(Program),
}

/// Most files that a [`Reply::HandoverShown`] has.
pub const MAX_SHOWN: usize = 32;
/// Most bytes of each.
pub const MAX_SHOWN_BYTES: u64 = 4096;

/// Most pages that one [`Request::Locate`] may ask for: the reply must fit in a frame, fully scattered.
pub const MAX_LOCATE: u64 = 32_768;

/// Agent → host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// An agent has started and waits for [`Request::Hello`].
    Ready,
    /// Answers [`Request::Hello`].
    Welcome {
        /// As the host sent it.
        nonce: u64,
        /// What the agent sees around it.
        facts: Box<BootFacts>,
    },
    /// Answers [`Request::ReadTsc`].
    Tsc(Tsc),
    /// The request was carried out; nothing more to tell.
    Done {
        /// When it was taken up and when it was over.
        span: Span,
    },
    /// Answers [`Request::Preserve`], a claim an object, in the order asked.
    Preserved {
        /// How to find them again.
        claims: Vec<Claim>,
        /// When.
        span: Span,
    },
    /// Answers [`Request::LoadKernel`]: send the bytes now. [`Reply::Done`] follows.
    SendBulk,
    /// Answers [`Request::Retrieve`], an entry a claim, in the order asked.
    Retrieved {
        /// What became of each.
        results: Vec<Retrieval>,
        /// When.
        span: Span,
    },
    /// Answers [`Request::ResumeWorkload`].
    Resumed(Resumption),
    /// Answers [`Request::Verify`].
    Verified(Verification),
    /// Answers [`Request::Locate`]: runs of adjacent page frames, in page order.
    Located {
        /// The runs.
        runs: Vec<FrameRun>,
    },
    /// Answers [`Request::CountReserved`].
    Reserved {
        /// How many of them.
        pages: u64,
    },
    /// Answers [`Request::Memory`].
    Memory(MemoryCounters),
    /// Answers [`Request::KernelLog`]: the newest part, at most 256 KiB.
    KernelLog {
        /// Its text.
        text: String,
    },
    /// Answers [`Request::ShowHandover`]: at most [`MAX_SHOWN`] files.
    HandoverShown {
        /// The files.
        files: Vec<Shown>,
    },
    /// Answers [`Request::Check`].
    Checked {
        /// What was found out.
        verdict: Verdict,
        /// What it has measured on its way, at most [`crate::check::MAX_FIGURES`].
        figures: Vec<Figure>,
        /// When.
        span: Span,
    },
    /// Work goes on.
    Progress {
        /// Bytes done.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
    /// A check goes on; how much of it is done nobody knows.
    Busy,
    /// The request failed.
    Failed(Failure),
    /// A program goes on, and has said this on one of its two streams.
    Output {
        /// Its bytes, as they came.
        bytes: Vec<u8>,
    },
    /// Answers [`Request::Execute`].
    Executed {
        /// How it ended.
        end: End,
        /// When.
        span: Span,
    },
}

impl Reply {
    /// Whether the request goes on, and its one reply is still to come.
    #[must_use]
    pub fn is_interim(&self) -> bool {
        matches!(self, Self::Progress { .. } | Self::Busy | Self::Output { .. })
    }
}

/// A stretch of guest time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Its beginning.
    pub from: Tsc,
    /// Its end.
    pub to: Tsc,
}

/// What became of one claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Retrieval {
    /// Open again, with this size in bytes.
    Found {
        /// As the file tells it.
        bytes: u64,
    },
    /// The kernel says that there is no such object.
    Absent,
    /// The kernel failed otherwise.
    Failed(Failure),
}

/// A failed operation, as the kernel told it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What was tried, in words: `ioctl PRESERVE_FD on /dev/liveupdate session`.
    pub operation: String,
    /// The errno, if a system call failed.
    pub errno: Option<i32>,
    /// What is known beyond that.
    pub detail: String,
}

/// What the agent finds when it starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootFacts {
    /// `uname -r`.
    pub release: String,
    /// `/proc/version`: names the compiler and the build.
    pub version: String,
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
    /// `/proc/cmdline`.
    pub command_line: String,
    /// The kernel's own word on how it came to run, from its log; `None` when it came cold.
    pub handover: Option<Handover>,
    /// When the agent's first instruction ran.
    pub started: Tsc,
    /// When the agent had mounted what it needs and opened its ports.
    pub ready: Tsc,
    /// Processors online.
    pub cpus: u32,
}

/// The line `KHO: found kexec handover data.`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handover {
    /// Who handed over; kernels before 7.1 are not told.
    pub previous: Option<Previous>,
}

/// The line `KHO: exec from: RELEASE (count N)`, parsed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Previous {
    /// Release of the kernel that handed over.
    pub release: String,
    /// Live updates since the cold boot.
    pub count: u32,
}

/// A file in debugfs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// Its path below `kho`.
    pub name: String,
    /// Its beginning, at most [`MAX_SHOWN_BYTES`].
    pub bytes: Vec<u8>,
}

/// The blackout's two ends, and what the heartbeat page held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resumption {
    /// Ticks counted by the previous generation.
    pub count: u64,
    /// Its last tick.
    pub last_tick: Tsc,
    /// Mean time between its ticks, in TSC units: how much earlier than its end its last tick may be.
    pub period: u64,
    /// This generation's first.
    pub first_tick: Tsc,
    /// When the heartbeat was asked for, and when it was open.
    pub retrieve: Span,
}

/// What a comparison found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    /// Size of the file that was read, in bytes.
    pub bytes: u64,
    /// Pages compared.
    pub pages: u64,
    /// Pages that hold what they must.
    pub identical: u64,
    /// The first pages that do not, at most [`MAX_BAD_PAGES`].
    pub bad: Vec<BadPage>,
    /// [`crate::pattern::Digest`] of what was read.
    pub digest: u64,
    /// When.
    pub span: Span,
}

/// Most pages that a [`Verification`] names.
pub const MAX_BAD_PAGES: usize = 16;

/// A page that is not what it must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadPage {
    /// Its index.
    pub index: u64,
    /// What it holds instead.
    pub found: Found,
    /// The first byte that differs, from the page's beginning.
    pub offset: u32,
    /// The aligned eight bytes around it that should be.
    pub expected: u64,
    /// The aligned eight bytes around it that are.
    pub actual: u64,
}

/// What stands in the place of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Found {
    /// This object's page of another index, whole.
    OtherPage(u64),
    /// Nothing but zeros.
    Zeros,
    /// The page itself with changed bytes, or something unknown.
    Damaged,
}

/// Adjacent page frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameRun {
    /// First page frame number; `None` where no page is present.
    pub first: Option<u64>,
    /// How many.
    pub pages: u64,
}

/// `/proc/meminfo`, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryCounters {
    /// MemTotal: what the kernel manages; memory that waits to be retrieved is not in it.
    pub total: u64,
    /// MemFree, and the free pages that each processor keeps at hand (`/proc/zoneinfo`).
    pub free: u64,
    /// MemAvailable.
    pub available: u64,
}

/// How [`Failure::operation`] begins when the holder died over a request.
pub const HOLDER_DIED: &str = "holder died";
