// SPDX-License-Identifier: GPL-2.0

//! What the rest of the kernel calls: the ways down, other modules, and those who look.

use crate::{
    machine,
    name::{Name, Reason},
    outgoing,
    participant::subsystem::Subsystem,
    sys::*,
};
use core::{
    ffi::CStr,
    sync::atomic::{AtomicBool, Ordering},
};
use kernel::{error::to_result, prelude::*};

/// The ways down: notifier, last moment, and the veto where the kernel allows one.
pub(crate) struct Reboot;

impl Reboot {
    pub(crate) fn register() -> Result<Self> {
        // SAFETY: Statics of this module, registered once, as a module is initialised once.
        to_result(unsafe { lu_reboot_register() })?;
        Ok(Self)
    }
}

impl Drop for Reboot {
    fn drop(&mut self) {
        // SAFETY: Registered by `register`, the only way to a value of this type.
        unsafe { lu_reboot_unregister() };
    }
}

/// What can be looked at: sysfs and debugfs.
pub(crate) struct Observe;

impl Observe {
    pub(crate) fn register() -> Result<Self> {
        // SAFETY: Statics of this module, registered once, as a module is initialised once.
        to_result(unsafe { lu_observe_register() })?;
        Ok(Self)
    }
}

impl Drop for Observe {
    fn drop(&mut self) {
        // SAFETY: Registered by `register`, the only way to a value of this type.
        unsafe { lu_observe_unregister() };
    }
}

/// Whether the veto's own freeze is to be undone if the kexec is called off.
static FROZEN_BY_KEXEC: AtomicBool = AtomicBool::new(false);

#[no_mangle]
extern "C" fn lu_on_restart() {
    machine::restart();
}

#[no_mangle]
extern "C" fn lu_on_kexec() -> c_int {
    match machine::before_kexec() {
        Ok(froze) => {
            FROZEN_BY_KEXEC.store(froze, Ordering::Relaxed);
            0
        }
        Err(err) => err.to_errno(),
    }
}

#[no_mangle]
extern "C" fn lu_on_kexec_aborted() {
    if FROZEN_BY_KEXEC.swap(false, Ordering::Relaxed) {
        machine::kexec_aborted();
    }
}

/// Seals what `lu_reboot_seal` armed.
///
/// # Safety
///
/// So many bytes are writable, and nobody else uses them.
#[no_mangle]
unsafe extern "C" fn lu_on_last_moment(root: *mut c_void, len: usize) {
    // SAFETY: As the caller promises.
    outgoing::seal(unsafe { core::slice::from_raw_parts_mut(root.cast(), len) });
}

#[no_mangle]
extern "C" fn lu_on_state() -> u32 {
    machine::state()
}

#[no_mangle]
extern "C" fn lu_on_debug(seq: *mut kernel::bindings::seq_file) {
    let mut text = Reason::new();
    machine::each_line(|words| {
        text.set(words);
        let bytes = text.as_bytes();
        // SAFETY: C passes the file on, and so many bytes are readable.
        unsafe { lu_seq_line(seq.cast(), bytes.as_ptr(), bytes.len()) };
    });
}

/// The name of a subsystem.
///
/// # Safety
///
/// `subsystem` is valid, and its name ends with a zero.
unsafe fn name_of(subsystem: *const liveupdate_lab_subsystem) -> Result<Name> {
    // SAFETY: As the caller promises.
    let name = unsafe { CStr::from_char_ptr((*subsystem).name) };
    Name::new(name.to_bytes()).ok_or(EINVAL)
}

fn errno(result: Result) -> c_int {
    result.map_or_else(|err| err.to_errno(), |()| 0)
}

/// Registers a subsystem.
///
/// # Safety
///
/// It stays valid until it is unregistered; the names that it needs end with zeros, and the
/// list of them with a null pointer.
#[no_mangle]
unsafe extern "C" fn lu_on_subsystem_register(subsystem: *const liveupdate_lab_subsystem) -> c_int {
    // SAFETY: As the caller promises.
    let (name, mut next) = unsafe { (name_of(subsystem), (*subsystem).depends_on) };
    let needs = core::iter::from_fn(|| {
        if next.is_null() {
            return None;
        }
        // SAFETY: The list goes on to a null pointer, which was not seen yet.
        let need = unsafe { *next };
        if need.is_null() {
            return None;
        }
        // SAFETY: This was not the last.
        next = unsafe { next.add(1) };
        // SAFETY: As the caller promises. C has looked at the names.
        Name::new(unsafe { CStr::from_char_ptr(need) }.to_bytes())
    });
    errno(name.and_then(|name| {
        // SAFETY: As the caller promises.
        let participant = unsafe { Subsystem::new(name, subsystem) };
        machine::register_subsystem(name, needs, participant)
    }))
}

/// # Safety
///
/// It is valid.
#[no_mangle]
unsafe extern "C" fn lu_on_subsystem_unregister(
    subsystem: *const liveupdate_lab_subsystem,
) -> c_int {
    // SAFETY: As the caller promises.
    let name = unsafe { name_of(subsystem) };
    errno(name.and_then(|name| machine::unregister_subsystem(name, subsystem)))
}

/// # Safety
///
/// Both are valid.
#[no_mangle]
unsafe extern "C" fn lu_on_subsystem_data(
    subsystem: *const liveupdate_lab_subsystem,
    data: *mut u64,
) -> c_int {
    // SAFETY: As the caller promises.
    let name = unsafe { name_of(subsystem) };
    errno(name.and_then(machine::subsystem_data).map(|found| {
        // SAFETY: As the caller promises.
        unsafe { *data = found };
    }))
}
