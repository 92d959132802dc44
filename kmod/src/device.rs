// SPDX-License-Identifier: GPL-2.0

//! `/dev/liveupdate_lab`: its sessions and its ioctls.

use crate::{args, machine, memfile::MemFile, sys::*};
use kernel::{
    fs::{
        file::{flags, FileDescriptorReservation},
        File,
    },
    miscdevice::{MiscDevice, MiscDeviceRegistration},
    prelude::*,
};

/// An open device. What it registered goes with it.
pub(crate) struct Session {
    id: u64,
}

#[vtable]
impl MiscDevice for Session {
    type Ptr = KBox<Self>;

    fn open(file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        // SAFETY: No requirements.
        if !unsafe { lu_capable() } {
            return Err(EACCES);
        }
        if file.flags() & flags::O_EXCL != 0 {
            return Err(EINVAL);
        }
        // Before 7.3 a Rust device's operations do not name their module, and the open file
        // would not hold it.
        // SAFETY: No requirements.
        if !unsafe { lu_module_get() } {
            return Err(ENODEV);
        }
        let session = Session {
            id: machine::open(),
        };
        // If there is no memory for it, the value is dropped, and the reference with it.
        Ok(KBox::new(session, GFP_KERNEL)?)
    }

    fn ioctl(me: &Session, _file: &File, cmd: u32, arg: usize) -> Result<isize> {
        match cmd {
            LU_CMD_FD_PRESERVE => me.preserve(arg)?,
            LU_CMD_FD_UNPRESERVE => me.unpreserve(arg)?,
            LU_CMD_FD_RESTORE => restore(arg)?,
            LU_CMD_GET_STATE => get_state(arg)?,
            LU_CMD_PREPARE => event(arg, machine::prepare)?,
            LU_CMD_FREEZE => event(arg, machine::freeze)?,
            LU_CMD_CANCEL => event(arg, machine::cancel)?,
            LU_CMD_FINISH => event(arg, machine::finish)?,
            LU_CMD_MEM_CREATE => mem_create(arg)?,
            _ => return Err(ENOTTY),
        }
        Ok(0)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        machine::close(self.id);
        // SAFETY: `open` took this reference. The file's own operations are a use of the module
        // that the kernel, from 7.3 on, counts by itself.
        unsafe { lu_module_put() };
    }
}

impl Session {
    fn preserve(&self, arg: usize) -> Result {
        let mut args: liveupdate_lab_fd_preserve = args::read(arg)?;
        let file = MemFile::from_fd(args.fd)?;
        args.token = machine::preserve(self.id, file)?;
        // A registration whose token nobody learnt could only be ended with the session.
        args::write(arg, &args).inspect_err(|_| _ = machine::unpreserve(self.id, args.token))
    }

    fn unpreserve(&self, arg: usize) -> Result {
        let args: liveupdate_lab_fd_unpreserve = args::read(arg)?;
        reserved(args.reserved)?;
        machine::unpreserve(self.id, args.token)
    }
}

fn reserved(field: u32) -> Result {
    if field == 0 {
        Ok(())
    } else {
        Err(EINVAL)
    }
}

fn event(arg: usize, work: fn() -> Result) -> Result {
    let args: liveupdate_lab_event = args::read(arg)?;
    reserved(args.reserved)?;
    work()
}

fn get_state(arg: usize) -> Result {
    let mut args: liveupdate_lab_get_state = args::read(arg)?;
    args.state = machine::state() as u32;
    args::write(arg, &args)
}

fn mem_create(arg: usize) -> Result {
    let mut args: liveupdate_lab_mem_create = args::read(arg)?;
    let fd = reserve_fd()?;
    let file = MemFile::create(args.bytes)?;
    args.fd = number(&fd)?;
    args::write(arg, &args)?;
    fd.fd_install(file.into_file());
    Ok(())
}

fn restore(arg: usize) -> Result {
    let mut args: liveupdate_lab_fd_restore = args::read(arg)?;
    // First, so that being out of descriptors costs nothing.
    let fd = reserve_fd()?;
    let file = machine::restore(args.token)?;
    // Not under the machine's lock: user memory can make its writer wait for user space.
    let written = number(&fd).and_then(|number| {
        args.fd = number;
        args::write(arg, &args)
    });
    if let Err(err) = written {
        machine::put_back(args.token, file);
        return Err(err);
    }
    fd.fd_install(file.into_file());
    Ok(())
}

fn reserve_fd() -> Result<FileDescriptorReservation> {
    FileDescriptorReservation::get_unused_fd_flags(flags::O_CLOEXEC)
}

fn number(fd: &FileDescriptorReservation) -> Result<i32> {
    i32::try_from(fd.reserved_fd()).map_err(|_| EMFILE)
}
