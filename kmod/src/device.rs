// SPDX-License-Identifier: GPL-2.0

//! `/dev/liveupdate_lab`, the first face, and its session files.

use crate::{ioctl::Caller, machine, orchestrator::SessionId, sys::*};
use kernel::{
    fs::{file::flags, File},
    miscdevice::{MiscDevice, MiscDeviceRegistration},
    prelude::*,
};

/// An open device: a session without a name.
pub(crate) struct OpenDevice {
    session: SessionId,
}

#[vtable]
impl MiscDevice for OpenDevice {
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
        let session = machine::open().inspect_err(|_| {
            // SAFETY: Taken just above.
            unsafe { lu_module_put() }
        })?;
        // If there is no memory for it, the value is dropped, and what it holds with it.
        Ok(KBox::new(OpenDevice { session }, GFP_KERNEL)?)
    }

    fn ioctl(me: &OpenDevice, _file: &File, cmd: u32, arg: usize) -> Result<isize> {
        let caller = Caller {
            session: me.session,
            admin: true,
        };
        caller.ioctl(cmd, arg).map(|()| 0)
    }
}

impl Drop for OpenDevice {
    fn drop(&mut self) {
        machine::close(self.session);
        // SAFETY: `open` took this reference. The file's own operations are a use of the module
        // that the kernel, from 7.3 on, counts by itself.
        unsafe { lu_module_put() };
    }
}

/// An ioctl on a session file or on an instance's `control`.
#[no_mangle]
extern "C" fn lu_on_ioctl(
    session: u64,
    admin: bool,
    _file: *mut kernel::bindings::file,
    cmd: u32,
    arg: usize,
) -> isize {
    match (Caller { session, admin }).ioctl(cmd, arg) {
        Ok(()) => 0,
        Err(err) => err.to_errno() as isize,
    }
}

/// The last reference to a session file is gone.
#[no_mangle]
extern "C" fn lu_on_session_close(session: u64) {
    machine::close(session);
}
