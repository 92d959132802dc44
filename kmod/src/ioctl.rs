// SPDX-License-Identifier: GPL-2.0

//! The ioctls, which both faces take.

use crate::{args, machine, name::Name, orchestrator::SessionId, participant, sys::*};
use kernel::{
    fs::{
        file::{flags, FileDescriptorReservation},
        File, LocalFile,
    },
    prelude::*,
    sync::aref::ARef,
};

/// Who calls.
#[derive(Clone, Copy)]
pub(crate) struct Caller {
    pub(crate) session: SessionId,
    /// It may drive the machine and make sessions.
    pub(crate) admin: bool,
}

impl Caller {
    /// Carries an ioctl out.
    pub(crate) fn ioctl(self, cmd: u32, arg: usize) -> Result {
        // What was said of an earlier call is not why this one fails.
        if !matches!(cmd, LU_CMD_GET_STATE | LU_CMD_REASON) {
            self.explain(format_args!(""));
        }
        match cmd {
            LU_CMD_FD_PRESERVE => self.preserve(arg),
            LU_CMD_FD_UNPRESERVE => self.unpreserve(arg),
            LU_CMD_FD_RESTORE => self.restore(arg),
            LU_CMD_GET_STATE => get_state(arg),
            LU_CMD_PREPARE => self.event(arg, machine::prepare),
            LU_CMD_FREEZE => self.event(arg, machine::freeze),
            LU_CMD_CANCEL => self.event(arg, machine::cancel),
            LU_CMD_FINISH => self.event(arg, machine::finish),
            LU_CMD_SESSION_CREATE => self.session_file(arg, machine::create_session),
            LU_CMD_SESSION_RETRIEVE => self.session_file(arg, machine::retrieve_session),
            LU_CMD_DEPEND => self.depend(arg),
            LU_CMD_FD_INFO => self.info(arg),
            LU_CMD_REASON => self.reason(arg),
            LU_CMD_STATUS => self.status(arg),
            LU_CMD_MEM_CREATE => self.mem_create(arg),
            _ => Err(ENOTTY),
        }
    }

    fn explain(self, words: core::fmt::Arguments<'_>) {
        machine::explain(self.session, words);
    }

    fn check_admin(self) -> Result {
        if self.admin {
            return Ok(());
        }
        self.explain(format_args!(
            "a device or a control, opened with CAP_SYS_ADMIN, can do that"
        ));
        Err(EPERM)
    }

    fn event(self, arg: usize, work: fn(SessionId) -> Result) -> Result {
        let args: liveupdate_lab_event = args::read(arg)?;
        reserved(args.reserved)?;
        self.check_admin()?;
        work(self.session)
    }

    fn preserve(self, arg: usize) -> Result {
        let first = LIVEUPDATE_LAB_FD_PRESERVE_SIZE_1 as usize;
        let mut args: liveupdate_lab_fd_preserve = args::read_from(arg, first)?;
        reserved(args.reserved | args.flags & !LIVEUPDATE_LAB_PRESERVE_MEMFD)?;
        let token = machine::preserve(self.session, args.fd, args.flags)?;
        args.token = token;
        // A registration whose token nobody learnt could only be ended with the session.
        args::write(arg, &args).inspect_err(|_| _ = machine::unpreserve(self.session, token))
    }

    fn unpreserve(self, arg: usize) -> Result {
        let args: liveupdate_lab_fd_unpreserve = args::read(arg)?;
        reserved(args.reserved)?;
        machine::unpreserve(self.session, args.token)
    }

    fn restore(self, arg: usize) -> Result {
        let args: liveupdate_lab_fd_restore = args::read(arg)?;
        let eventfd = machine::with_inherited(self.session, args.token, |inherited| {
            Ok(inherited.is_eventfd())
        })?;
        if eventfd {
            self.restore_eventfd(arg, args)
        } else {
            self.restore_file(arg, args)
        }
    }

    fn restore_file(self, arg: usize, mut args: liveupdate_lab_fd_restore) -> Result {
        // First, so that being out of descriptors costs nothing.
        let fd = reserve_fd()?;
        let file =
            machine::with_inherited(self.session, args.token, |inherited| inherited.restore())?;
        // Not under the machine's lock: user memory can make its writer wait for user space.
        let written = number(&fd).and_then(|number| {
            args.fd = number;
            args::write(arg, &args)
        });
        if let Err(err) = written {
            machine::put_back(self.session, args.token, Some(file));
            return Err(err);
        }
        fd.fd_install(file);
        Ok(())
    }

    /// The kernel exports no way to make an eventfd, so the caller brings one.
    fn restore_eventfd(self, arg: usize, args: liveupdate_lab_fd_restore) -> Result {
        let new = "an eventfd is restored into a new one: counter 0, EFD_SEMAPHORE as it had";
        let file = file_of(args.fd).inspect_err(|_| self.explain(format_args!("{new}")))?;
        let eventfd =
            machine::with_inherited(self.session, args.token, |inherited| inherited.adopt())?;
        // An eventfd takes a number from user memory: that of this call's token, which is put
        // back afterwards.
        let scratch = arg.saturating_add(core::mem::offset_of!(liveupdate_lab_fd_restore, token));
        participant::eventfd::adopt(&file, &eventfd, scratch).inspect_err(|err| {
            machine::put_back(self.session, args.token, None);
            if *err == EINVAL {
                self.explain(format_args!("{new}"));
            }
        })?;
        args::write(arg, &args)
    }

    fn session_file(
        self,
        arg: usize,
        open: fn(SessionId, Option<Name>) -> Result<SessionId>,
    ) -> Result {
        let mut args: liveupdate_lab_session = args::read(arg)?;
        self.check_admin()?;
        let fd = reserve_fd()?;
        let session = open(self.session, Name::from_terminated(&args.name))?;
        // From here on the file ends the session.
        let file = new_session_file(session).inspect_err(|_| machine::close(session))?;
        args.fd = number(&fd)?;
        args::write(arg, &args)?;
        fd.fd_install(file);
        Ok(())
    }

    fn mem_create(self, arg: usize) -> Result {
        let first = LIVEUPDATE_LAB_MEM_CREATE_SIZE_1 as usize;
        let mut args: liveupdate_lab_mem_create = args::read_from(arg, first)?;
        let known = LIVEUPDATE_LAB_MEM_SMALL | LIVEUPDATE_LAB_MEM_HUGE;
        reserved(args.reserved | args.flags & !known)?;
        if args.flags == known {
            self.explain(format_args!("either small pages or huge ones"));
            return Err(EINVAL);
        }
        let fd = reserve_fd()?;
        let file = participant::memory::create(args.bytes, args.flags)
            .inspect_err(|err| self.explain_size(args.bytes, *err))?;
        args.fd = number(&fd)?;
        args::write(arg, &args)?;
        fd.fd_install(file);
        Ok(())
    }

    fn explain_size(self, bytes: u64, err: Error) {
        let words = match err {
            EINVAL => "a file of huge pages must be whole ones of 2 MiB",
            EFBIG => "longer than a file can be",
            ENOMEM => "there is not so much memory, or not in pages as large",
            _ => return,
        };
        self.explain(format_args!("{bytes} bytes: {words}"));
    }

    fn depend(self, arg: usize) -> Result {
        let args: liveupdate_lab_depend = args::read(arg)?;
        reserved(args.reserved)?;
        let named = args.name.iter().any(|byte| *byte != 0);
        if named == (args.on != 0) {
            return Err(EINVAL);
        }
        let name = Name::from_terminated(&args.name);
        machine::depend(self.session, args.token, args.on, name)
    }

    fn info(self, arg: usize) -> Result {
        let mut args: liveupdate_lab_fd_info = args::read(arg)?;
        let info = machine::with_inherited(self.session, args.token, |inherited| inherited.info())?;
        args.kind = info.kind;
        args.bytes = info.bytes;
        args.flags = info.flags;
        args.restored = u32::from(info.restored);
        args::write(arg, &args)
    }

    fn reason(self, arg: usize) -> Result {
        let mut args: liveupdate_lab_reason = args::read(arg)?;
        args.text = [0; LIVEUPDATE_LAB_REASON_LEN as usize];
        args.len = machine::reason(self.session, |words| {
            let room = args.text.iter_mut();
            room.zip(words).map(|(to, from)| *to = *from).count()
        })? as u32;
        args::write(arg, &args)
    }

    fn status(self, arg: usize) -> Result {
        let args: liveupdate_lab_status = args::read(arg)?;
        self.check_admin()?;
        let status = liveupdate_lab_status {
            size: args.size,
            ..machine::status()?
        };
        args::write(arg, &status)
    }
}

fn reserved(field: u32) -> Result {
    if field == 0 {
        Ok(())
    } else {
        Err(EINVAL)
    }
}

fn get_state(arg: usize) -> Result {
    let mut args: liveupdate_lab_get_state = args::read(arg)?;
    args.state = machine::state();
    args::write(arg, &args)
}

fn new_session_file(session: SessionId) -> Result<ARef<File>> {
    // SAFETY: No requirements.
    let file = kernel::error::from_err_ptr(unsafe { lu_session_file(session) })?;
    let file = core::ptr::NonNull::new(file.cast::<File>()).ok_or(ENOMEM)?;
    // SAFETY: The file is new and its one reference ours; nobody else can know its position.
    Ok(unsafe { ARef::from_raw(file) })
}

fn file_of(fd: i32) -> Result<ARef<File>> {
    let file = LocalFile::fget(u32::try_from(fd).map_err(|_| EBADF)?)?;
    // SAFETY: This thread is in an ioctl, which does not hold a file's position.
    Ok(unsafe { LocalFile::assume_no_fdget_pos(file) })
}

fn reserve_fd() -> Result<FileDescriptorReservation> {
    FileDescriptorReservation::get_unused_fd_flags(flags::O_CLOEXEC)
}

fn number(fd: &FileDescriptorReservation) -> Result<i32> {
    i32::try_from(fd.reserved_fd()).map_err(|_| EMFILE)
}
