// SPDX-License-Identifier: GPL-2.0

//! kexecfs, the second face: what its C asks for. An instance is a session, found again by its
//! owner and its name.

use crate::{
    machine,
    name::Name,
    orchestrator::{Face, Key},
    participant::instance::Handle,
    sys::*,
};
use core::ptr::NonNull;
use kernel::{error::to_result, prelude::*};

/// The registered file system type.
pub(crate) struct FileSystem;

impl FileSystem {
    pub(crate) fn register() -> Result<Self> {
        // SAFETY: Statics of this module, registered once, as a module is initialised once.
        to_result(unsafe { lu_kexecfs_register() })?;
        Ok(Self)
    }
}

impl Drop for FileSystem {
    fn drop(&mut self) {
        // SAFETY: Registered by `register`, the only way to a value of this type.
        unsafe { lu_kexecfs_unregister() };
    }
}

fn errno(result: Result) -> c_int {
    result.map_or_else(|err| err.to_errno(), |()| 0)
}

/// A mount begins. See `shim.h`.
///
/// # Safety
///
/// Both pointers are valid, and `params` names so many readable bytes as it says.
#[no_mangle]
unsafe extern "C" fn lu_on_instance_claim(
    params: *const lu_params,
    instance: *mut *mut lu_instance,
) -> i64 {
    // SAFETY: As the caller promises.
    let params = unsafe { &*params };
    // SAFETY: As the caller promises.
    let name = unsafe { core::slice::from_raw_parts(params.name, params.name_len as usize) };
    let claimed = Name::new(name).ok_or(EINVAL).and_then(|name| {
        let key = Key {
            face: Face::Instance,
            owner: params.owner,
            name,
        };
        machine::claim_instance(key, params)
    });
    match claimed {
        Ok(claim) => {
            if let Some(half) = claim.half {
                // SAFETY: As the caller promises.
                unsafe { *instance = half.as_ptr() };
            }
            claim.session as i64
        }
        Err(err) => i64::from(err.to_errno()),
    }
}

/// A mount has its root.
#[no_mangle]
extern "C" fn lu_on_instance_fill(session: u64, instance: *mut lu_instance) -> c_int {
    errno(
        NonNull::new(instance)
            .ok_or(EINVAL)
            .and_then(|instance| machine::fill_instance(session, Handle(instance))),
    )
}

/// A mount failed.
#[no_mangle]
extern "C" fn lu_on_instance_abort(session: u64) {
    machine::end_instance(session);
}

/// The last mount of an instance, and its last open file, are gone.
#[no_mangle]
extern "C" fn lu_on_instance_gone(session: u64) {
    machine::end_instance(session);
}

/// A word was written to `state`.
///
/// # Safety
///
/// So many bytes are readable.
#[no_mangle]
unsafe extern "C" fn lu_on_state_write(session: u64, word: *const u8, len: usize) -> c_int {
    // SAFETY: As the caller promises.
    errno(match unsafe { core::slice::from_raw_parts(word, len) } {
        b"prepare" => machine::prepare(session),
        b"freeze" => machine::freeze(session),
        b"cancel" => machine::cancel(session),
        b"finish" => machine::finish(session),
        _ => {
            let words = format_args!("the words are prepare, freeze, cancel and finish");
            machine::explain(session, words);
            Err(EINVAL)
        }
    })
}

/// The number of one of the caller's files was written to `preserve_fd`.
///
/// # Safety
///
/// `token` is writable.
#[no_mangle]
unsafe extern "C" fn lu_on_preserve_fd(session: u64, fd: c_int, token: *mut u64) -> c_int {
    errno(machine::preserve(session, fd, 0).map(|made| {
        // SAFETY: As the caller promises.
        unsafe { *token = made };
    }))
}

/// Why the last call on this session was refused; how many bytes that has.
///
/// # Safety
///
/// So many bytes are writable.
#[no_mangle]
unsafe extern "C" fn lu_on_reason(session: u64, text: *mut u8, len: usize) -> c_int {
    // SAFETY: As the caller promises.
    let room = unsafe { core::slice::from_raw_parts_mut(text, len) };
    let written = machine::reason(session, |words| {
        let places = room.iter_mut();
        places.zip(words).map(|(to, from)| *to = *from).count()
    });
    written.map_or_else(|err| err.to_errno(), |count| count as c_int)
}
