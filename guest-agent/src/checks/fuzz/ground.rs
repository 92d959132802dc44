//! What there is to be played with: the module's own files, and others of every sort.

use std::os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};

use liveupdate_client::{
    Control, Device, Drive as _, Name, PageSize, Preserve as _, PreserveFlags, State, kexecfs::Instance,
};
use protocol::message::Interface;
use rustix::{
    event::{EventfdFlags, epoll, eventfd},
    fs::{MemfdFlags, Mode, OFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create, openat},
    io::{Errno, pread, pwrite},
    pipe::{PipeFlags, pipe_with},
};

use crate::checks::context::{Context, Finding, holds, refused, same, works};

/// A file that takes the module's ioctls, or one of those beside it that do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    /// All of them.
    Driver,
    /// All but those that drive the machine.
    Session,
    /// None: ENOTTY.
    Nothing,
}

/// No process here has so many files.
const NO_FILE: RawFd = 900;

pub(super) struct Ground {
    /// For what is not fuzz: whatever is done to the others.
    steady: Control,
    pub(super) targets: Vec<(&'static str, RawFd, Takes)>,
    /// Every sort of descriptor, some of them none.
    pub(super) fds: Vec<RawFd>,
    /// Numbers from here on are not in use.
    floor: RawFd,
    kept: (Option<Instance>, Vec<OwnedFd>),
}

pub(super) fn named(name: &str) -> Result<Name, Finding> {
    Name::new(name).map_err(|error| Finding::new("a name", error.to_string()))
}

impl Ground {
    pub(super) fn new(context: &Context) -> Result<Self, Finding> {
        let device = context.device()?;
        let mut kept = sorts();
        let (root, driver) = match context.face() {
            Interface::Kexecfs => {
                let root = Instance::builder().name(named("ground")?).size(8 << 20).mount()?;
                let control = root.control()?;
                (Some(root), control)
            }
            _ => (None, Control::from_fd(device.into())?),
        };
        // A second one, whose calls nobody else answers for.
        let steady = match &root {
            Some(root) => root.control()?,
            None => Control::from_fd(Device::open()?.into())?,
        };
        let session = driver.create_session(&named("ground")?)?;
        let memory = driver.create_memory(3 * 4096, PageSize::Any)?;
        let mut targets = vec![
            ("driver", driver.as_fd().as_raw_fd(), Takes::Driver),
            ("session", session.as_fd().as_raw_fd(), Takes::Session),
            ("memory file", memory.as_raw_fd(), Takes::Nothing),
        ];
        kept.extend([driver.into(), session.into(), memory]);
        if let Some(root) = &root {
            let open = |name, flags| works(name, openat(root, name, flags | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR));
            let files = [
                ("state", open("state", OFlags::RDWR)?),
                ("preserve_fd", open("preserve_fd", OFlags::RDWR)?),
                ("reason", open("reason", OFlags::RDONLY)?),
                ("root", open(".", OFlags::RDONLY | OFlags::DIRECTORY)?),
                ("data file", open("data", OFlags::RDWR | OFlags::CREATE)?),
            ];
            for (name, file) in files {
                targets.push((name, file.as_raw_fd(), Takes::Nothing));
                kept.push(file);
            }
        }
        let mut fds: Vec<RawFd> = kept.iter().map(|file| file.as_raw_fd()).collect();
        fds.extend(targets.iter().map(|(_, fd, _)| *fd));
        fds.extend([-1, -2, libc::AT_FDCWD, NO_FILE, 1 << 20, i32::MAX, i32::MIN]);
        let mut ground = Self { steady, targets, fds, floor: 0, kept: (root, kept) };
        // A number given up on the way here would be the next one to be used.
        loop {
            let next = works("fcntl F_DUPFD", rustix::io::fcntl_dupfd_cloexec(&ground.steady, 0))?;
            ground.floor = next.as_raw_fd();
            if ground.fds.iter().all(|fd| *fd < ground.floor || *fd >= NO_FILE) {
                return Ok(ground);
            }
            ground.kept.1.push(next);
        }
    }

    /// The lowest number that is free.
    fn lowest(&self) -> Result<RawFd, Finding> {
        let free = works("fcntl F_DUPFD", rustix::io::fcntl_dupfd_cloexec(&self.steady, self.floor))?;
        Ok(free.as_raw_fd())
    }

    /// Requires that a call has left no descriptor behind.
    pub(super) fn nothing_opened(&self) -> Result<(), Finding> {
        same("the lowest free descriptor after a call that failed", self.floor, self.lowest()?)
    }

    /// Closes what calls have opened.
    pub(super) fn sweep(&self) -> Result<(), Finding> {
        let first = libc::c_uint::try_from(self.floor).unwrap_or(libc::c_uint::MAX);
        // SAFETY: everything that is owned here has a lower number.
        let closed = unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, 0) };
        holds("close_range to work", closed == 0, "it failed")
    }

    pub(super) fn state(&self) -> Result<State, Finding> {
        Ok(self.steady.state()?)
    }

    pub(super) fn participants(&self) -> Result<u64, Finding> {
        Ok(self.steady.status()?.participants)
    }

    /// One more that can drive the machine.
    pub(super) fn add_owner(&mut self, fd: RawFd) {
        self.targets.push(("owner", fd, Takes::Driver));
    }

    /// The one that is there from the beginning.
    pub(super) fn driver(&self) -> Option<RawFd> {
        self.targets.iter().find(|target| target.2 == Takes::Driver).map(|target| target.1)
    }

    /// Closes what fuzz has made; the machine goes on.
    pub(super) fn leave(self) -> Result<(), Finding> {
        self.sweep()
    }

    /// Back to where nothing is under way.
    pub(super) fn calm(&self) -> Result<(), Finding> {
        match self.steady.state()? {
            State::Normal | State::Updated => Ok(()),
            _ => Ok(self.steady.cancel()?),
        }
    }

    /// Everything that fuzz has made is closed; then the machine must be what it was, and work.
    pub(super) fn end(self, context: &Context) -> Result<(), Finding> {
        self.sweep()?;
        self.calm()?;
        same("the state in the end", State::Normal, self.state()?)?;
        drop(self);
        let device = match context.face() {
            Interface::Kexecfs => {
                let root = Instance::builder().name(named("ground")?).fresh().mount()?;
                root.control()?
            }
            _ => Control::from_fd(Device::open()?.into())?,
        };
        let alone = u64::from(context.face() == Interface::Kexecfs);
        same("participants in the end", alone, device.status()?.participants)?;
        works_as_before(&device)
    }
}

/// Once all the way to FROZEN and back, with a file whose content stays.
pub(in crate::checks) fn works_as_before(driver: &Control) -> Result<(), Finding> {
    let file = driver.create_memory(2 * 4096, PageSize::Any)?;
    works("write to memory", pwrite(&file, b"steady", 4090))?;
    let token = driver.preserve(&file, PreserveFlags::NONE)?;
    driver.prepare()?;
    driver.freeze()?;
    refused("a write in FROZEN", Errno::BUSY, pwrite(&file, b"x", 0))?;
    driver.cancel()?;
    driver.unpreserve(token)?;
    works("write to memory", pwrite(&file, b"x", 0))?;
    let mut found = [0; 6];
    works("read of memory", pread(&file, &mut found, 4090))?;
    same("what was written before", b"steady", &found)
}

/// Descriptors of every sort that the kernel has.
fn sorts() -> Vec<OwnedFd> {
    let mut all = Vec::new();
    let mut add = |file: Result<OwnedFd, Errno>| all.extend(file.ok());
    let open = |path: &str, flags: OFlags| rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::empty());
    add(open("/dev/null", OFlags::RDWR));
    add(open("/", OFlags::RDONLY | OFlags::DIRECTORY));
    add(open("/", OFlags::PATH));
    add(open("/proc/self/status", OFlags::RDONLY));
    add(open("/sys/kernel", OFlags::RDONLY));
    add(open("/proc/self/ns/mnt", OFlags::RDONLY));
    if let Ok((read, write)) = pipe_with(PipeFlags::CLOEXEC) {
        add(Ok(read));
        add(Ok(write));
    }
    add(epoll::create(epoll::CreateFlags::CLOEXEC));
    add(eventfd(5, EventfdFlags::CLOEXEC));
    add(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::SEMAPHORE | EventfdFlags::NONBLOCK));
    add(memfd_create("empty", MemfdFlags::CLOEXEC));
    for seals in [SealFlags::WRITE, SealFlags::GROW | SealFlags::SHRINK, SealFlags::SEAL, SealFlags::FUTURE_WRITE] {
        let made = memfd_create("sealed", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING);
        add(made.and_then(|file| ftruncate(&file, 5000).and_then(|()| fcntl_add_seals(&file, seals)).map(|()| file)));
    }
    add(memfd_create("huge", MemfdFlags::CLOEXEC | MemfdFlags::HUGETLB));
    add(rustix::mount::fsopen("kexecfs", rustix::mount::FsOpenFlags::FSOPEN_CLOEXEC));
    // SAFETY: each makes a descriptor or fails; what lies at the mask is not read beyond its size.
    let raw = unsafe {
        [
            libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_CLOEXEC),
            libc::inotify_init1(libc::IN_CLOEXEC),
            libc::signalfd(-1, &std::mem::zeroed(), libc::SFD_CLOEXEC),
            libc::socket(libc::AF_UNIX, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0),
            libc::syscall(libc::SYS_pidfd_open, libc::getpid(), 0) as RawFd,
            libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC) as RawFd,
        ]
    };
    for fd in raw.into_iter().filter(|fd| *fd >= 0) {
        // SAFETY: it was made just now and is nobody else's.
        add(Ok(unsafe { OwnedFd::from_raw_fd(fd) }));
    }
    all
}
