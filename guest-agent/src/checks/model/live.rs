//! The real machine, through the same tables.

use std::os::fd::{AsRawFd as _, OwnedFd};

use kmod_core::state::{Event, State};
use liveupdate_client::{
    Control, Device, Drive as _, Name, Need, PageSize, Preserve as _, PreserveFlags, Token, kexecfs::Instance,
};
use protocol::message::Interface;
use rustix::{
    event::{EventfdFlags, eventfd},
    fs::{AtFlags, MemfdFlags, Mode, OFlags, fstat, ftruncate, memfd_create, openat, renameat, unlinkat},
    io::{Errno, pread, pwrite},
    pipe::{PipeFlags, pipe_with},
    process::{WaitOptions, waitpid},
};

use super::{
    Face, Seen,
    operation::{FILES, INSTANCES, NAMES, On, Op, Origin, SESSIONS, TOKENS, Through},
};
use crate::checks::context::{Context, Finding, same};

const PAGE: usize = 4096;

/// The instance that looks on where there is no device to do it.
const MONITOR: Name = named("monitor");
/// [`NAMES`], checked.
const NAME: [Name; NAMES.len()] = [named(NAMES[0]), named(NAMES[1])];

/// The oracle saw something in a place where there is nothing.
const EMPTY: Errno = Errno::SRCH;
/// Not all of a page was written, or not all of it is of one byte.
const SHORT: Errno = Errno::ILSEQ;

/// A program with its tables. Whatever takes the calls is held as a [`Control`], session files too: what one of them
/// may not do is for the kernel to refuse.
pub(super) struct Live {
    /// Looks on, without taking part if that is possible.
    monitor: Control,
    _mount: Option<Instance>,
    /// What takes part though no operation made it.
    base: u64,
    sessions: [Option<Control>; SESSIONS],
    files: [Option<OwnedFd>; FILES],
    tokens: [Option<Token>; TOKENS],
    mounts: [Option<Instance>; INSTANCES],
}

impl Live {
    pub(super) fn new(context: &Context) -> Result<Self, Finding> {
        let device = context.device()?;
        let (monitor, mount) = match context.face() {
            Interface::Kexecfs => {
                let mount = Instance::builder().name(MONITOR).mount()?;
                (mount.control()?, Some(mount))
            }
            _ => (Control::from_fd(device.into())?, None),
        };
        let mut live = Self {
            monitor,
            _mount: mount,
            base: 0,
            sessions: Default::default(),
            files: Default::default(),
            tokens: Default::default(),
            mounts: Default::default(),
        };
        let (state, participants) = live.look()?;
        same("the state before anything is done", State::Normal, state)?;
        live.base = participants;
        Ok(live)
    }

    fn look(&self) -> Result<(State, u64), Finding> {
        let status = self.monitor.status()?;
        Ok((State::ALL[status.state as usize], status.participants))
    }

    fn caller(&self, slot: u8) -> Result<&Control, Errno> {
        self.sessions[usize::from(slot)].as_ref().ok_or(EMPTY)
    }

    fn file(&self, slot: u8) -> Result<&OwnedFd, Errno> {
        self.files[usize::from(slot)].as_ref().ok_or(EMPTY)
    }

    fn mount(&self, slot: u8) -> Result<&Instance, Errno> {
        self.mounts[usize::from(slot)].as_ref().ok_or(EMPTY)
    }

    fn token(&self, slot: u8) -> Result<Token, Errno> {
        self.tokens[usize::from(slot)].ok_or(EMPTY)
    }

    fn put(&mut self, slot: u8, file: impl Into<OwnedFd>) {
        self.files[usize::from(slot)] = Some(file.into());
    }

    fn session(&mut self, slot: u8, file: impl Into<OwnedFd>) -> Result<(), Errno> {
        self.sessions[usize::from(slot)] = Some(Control::from_fd(file.into()).map_err(errno)?);
        Ok(())
    }

    fn carry_out(&mut self, op: Op) -> Result<(), Errno> {
        match op {
            Op::OpenDevice { session } => {
                let device = Device::open().map_err(errno)?;
                self.session(session, device)?;
            }
            Op::OpenControl { instance, session } => {
                let control = self.mount(instance)?.control().map_err(errno)?;
                self.session(session, control)?;
            }
            Op::CreateSession { by, name: number, session } => {
                let made = self.caller(by)?.create_session(&NAME[usize::from(number)]).map_err(errno)?;
                self.session(session, made)?;
            }
            Op::RetrieveSession { by, name: number } => {
                self.caller(by)?.retrieve_session(&NAME[usize::from(number)]).map_err(errno)?;
            }
            Op::Close { session } => self.sessions[usize::from(session)] = None,
            Op::Kill { session } => self.kill(session)?,
            Op::Signal { by: Through::Session(slot), event } => {
                self.caller(slot)?.signal(event_of(event)).map_err(errno)?;
            }
            Op::Signal { by: Through::Word(slot), event } => {
                let state = self.mount(slot)?.state().map_err(errno)?;
                state.write(event_of(event)).map_err(errno)?;
            }
            Op::Status { by } => {
                self.caller(by)?.status().map_err(errno)?;
            }
            Op::Preserve { by, file, memfd, token } => {
                let flags = if memfd { PreserveFlags::MEMFD } else { PreserveFlags::NONE };
                let file = self.file(file)?;
                let made = match by {
                    Through::Session(slot) => self.caller(slot)?.preserve(file, flags),
                    Through::Word(slot) => self.mount(slot)?.preserve_fd(file),
                };
                self.tokens[usize::from(token)] = Some(made.map_err(errno)?);
            }
            Op::Unpreserve { by, token } => {
                let token = self.token(token)?;
                self.caller(by)?.unpreserve(token).map_err(errno)?;
            }
            Op::Restore { by, token } => {
                let token = self.token(token)?;
                self.caller(by)?.restore(token).map_err(errno)?;
            }
            Op::Depend { by, token, on } => self.depend(by, token, on)?,
            Op::Mount { instance, name: number, origin } => {
                let builder = Instance::builder().name(NAME[usize::from(number)]);
                let builder = match origin {
                    Origin::Either => builder,
                    Origin::Retrieved => builder.retrieve(),
                    Origin::Fresh => builder.fresh(),
                };
                let mount = builder.mount().map_err(errno)?;
                self.mounts[usize::from(instance)] = Some(mount);
            }
            Op::Umount { instance } => self.mounts[usize::from(instance)] = None,
            Op::Create { instance, name, file } => {
                let made = self.open(instance, name, OFlags::CREATE | OFlags::EXCL)?;
                self.put(file, made);
            }
            Op::Open { instance, name, file } => {
                let opened = self.open(instance, name, OFlags::empty())?;
                self.put(file, opened);
            }
            Op::Unlink { instance, name } => {
                unlinkat(self.mount(instance)?, NAMES[usize::from(name)], AtFlags::empty())?;
            }
            Op::Rename { instance, from, to } => {
                let root = self.mount(instance)?;
                renameat(root, NAMES[usize::from(from)], root, NAMES[usize::from(to)])?;
            }
            Op::MakeMemory { by, file, pages } => {
                let bytes = u64::from(pages) * PAGE as u64;
                let made = self.caller(by)?.create_memory(bytes, PageSize::Any);
                self.put(file, made.map_err(errno)?);
            }
            Op::MakeMemfd { file, pages } => {
                let made = memfd_create("model", MemfdFlags::CLOEXEC)?;
                ftruncate(&made, u64::from(pages) * PAGE as u64)?;
                self.put(file, made);
            }
            Op::MakeEventfd { file } => self.put(file, eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?),
            Op::MakePipe { file } => self.put(file, pipe_with(PipeFlags::CLOEXEC)?.0),
            Op::Alias { file, into } => self.alias(file, into)?,
            Op::CloseFile { file } => self.files[usize::from(file)] = None,
            Op::Write { file, page, byte } => self.write(file, page, byte)?,
            Op::Resize { file, pages } => ftruncate(self.file(file)?, u64::from(pages) * PAGE as u64)?,
            Op::Read { .. } => {}
        }
        Ok(())
    }

    fn depend(&self, by: u8, token: Option<u8>, on: On) -> Result<(), Errno> {
        let need = match on {
            On::Token(on) => Need::File(self.token(on)?),
            On::Subsystem(number) => Need::Subsystem(NAME[usize::from(number)]),
        };
        let said = match token {
            Some(token) => self.caller(by)?.depend(self.token(token)?, need),
            None => self.caller(by)?.depend_as_a_whole(need),
        };
        said.map_err(errno)
    }

    fn open(&self, instance: u8, name: u8, flags: OFlags) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::RDWR | OFlags::CLOEXEC;
        openat(self.mount(instance)?, NAMES[usize::from(name)], flags, Mode::RUSR | Mode::WUSR)
    }

    /// Memory is opened anew, what cannot be opened is duplicated.
    fn alias(&mut self, file: u8, into: u8) -> Result<(), Errno> {
        let file = self.file(file)?;
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let opened = match rustix::fs::open(path, OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK, Mode::empty()) {
            Ok(opened) if fstat(&opened)?.st_mode & libc::S_IFMT == libc::S_IFREG => opened,
            _ => rustix::io::fcntl_dupfd_cloexec(file, 0)?,
        };
        self.put(into, opened);
        Ok(())
    }

    fn write(&self, file: u8, page: u8, byte: u8) -> Result<(), Errno> {
        let file = self.file(file)?;
        let written = match fstat(file)?.st_mode & libc::S_IFMT == libc::S_IFREG {
            true => pwrite(file, &[byte; PAGE], u64::from(page) * PAGE as u64)?,
            false => return rustix::io::write(file, &1u64.to_ne_bytes()).map(drop),
        };
        if written == PAGE { Ok(()) } else { Err(SHORT) }
    }

    fn read(&self, file: u8) -> Result<Seen, Errno> {
        let file = self.file(file)?;
        let found = fstat(file)?;
        if found.st_mode & libc::S_IFMT != libc::S_IFREG {
            let mut count = [0; 8];
            rustix::io::read(file, &mut count)?;
            return Ok(Seen::Count(u64::from_ne_bytes(count)));
        }
        let mut bytes = vec![0; usize::try_from(found.st_size).unwrap_or_default() + 1];
        let read = pread(file, &mut bytes[..], 0)?;
        let pages = bytes[..read].chunks(PAGE).map(|page| match page.iter().all(|byte| *byte == page[0]) {
            true if page.len() == PAGE => Ok(page[0]),
            _ => Err(SHORT),
        });
        Ok(Seen::Pages(pages.collect::<Result<_, _>>()?))
    }

    /// The last to have it open is a process that is killed.
    fn kill(&mut self, slot: u8) -> Result<(), Errno> {
        // SAFETY: a check has one thread, and the new process does nothing but wait for its end.
        match unsafe { libc::fork() } {
            -1 => Err(Errno::AGAIN),
            0 => loop {
                // SAFETY: it only waits for a signal.
                unsafe { libc::pause() };
            },
            pid => {
                self.sessions[usize::from(slot)] = None;
                let pid = rustix::process::Pid::from_raw(pid).ok_or(Errno::SRCH)?;
                rustix::process::kill_process(pid, rustix::process::Signal::KILL)?;
                rustix::io::retry_on_intr(|| waitpid(Some(pid), WaitOptions::empty())).map(drop)
            }
        }
    }
}

impl Face for Live {
    fn apply(&mut self, op: Op) -> Result<Seen, Errno> {
        match op {
            Op::Read { file } => self.read(file),
            op => self.carry_out(op).map(|()| Seen::Nothing),
        }
    }

    fn observe(&mut self) -> Result<(State, u64), Finding> {
        let (state, participants) = self.look()?;
        Ok((state, participants.saturating_sub(self.base)))
    }

    fn reset(&mut self) -> Result<(), Finding> {
        self.files = Default::default();
        self.sessions = Default::default();
        self.mounts = Default::default();
        self.tokens = Default::default();
        let (state, _) = self.look()?;
        if state != State::Normal {
            self.monitor.cancel()?;
        }
        let (state, participants) = self.look()?;
        same("the state after CANCEL", State::Normal, state)?;
        same("participants after everything was closed", self.base, participants)
    }
}

const fn named(name: &str) -> Name {
    match Name::new(name) {
        Ok(name) => name,
        Err(_) => panic!("a name that is none"),
    }
}

fn errno(error: liveupdate_client::Error) -> Errno {
    error.errno()
}

fn event_of(event: Event) -> liveupdate_client::Event {
    match event {
        Event::Freeze => liveupdate_client::Event::Freeze,
        Event::Cancel => liveupdate_client::Event::Cancel,
        Event::Finish => liveupdate_client::Event::Finish,
        // The generator makes no others.
        _ => liveupdate_client::Event::Prepare,
    }
}
