// SPDX-License-Identifier: GPL-2.0

//! Liveupdate Lab's orchestrator: the state machine of the Live Update Orchestrator's RFC v2, on
//! an unpatched kernel.
//!
//! Rust owns the policy, the format, the state and what is preserved; the C in `shim/` owns the
//! operation tables of the VFS and the kernel's inlines.

use kernel::{
    error::to_result,
    miscdevice::{MiscDeviceOptions, MiscDeviceRegistration},
    prelude::*,
};

mod args;
mod device;
mod errno;
mod incoming;
mod kho;
mod machine;
mod memfile;
mod outgoing;
#[path = "../core/src/state.rs"]
pub mod state;
mod sys;
#[path = "../core/src/wire.rs"]
pub mod wire;

module! {
    type: Orchestrator,
    name: "liveupdate_lab",
    authors: ["The Liveupdate Lab developers"],
    description: "Live update orchestrator",
    license: "GPL",
}

/// The loaded module. Fields are dropped in this order, and made in the reverse one.
#[pin_data]
struct Orchestrator {
    #[pin]
    _device: MiscDeviceRegistration<device::Session>,
    _restart: RestartHook,
    _machine: machine::Running,
}

impl kernel::InPlaceModule for Orchestrator {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        let options = MiscDeviceOptions {
            name: c"liveupdate_lab",
        };

        try_pin_init!(Self {
            // What the previous kernel left is known before anyone can open the device.
            _machine: machine::Running::start()?,
            _restart: RestartHook::register()?,
            _device <- MiscDeviceRegistration::register(options),
        })
    }
}

/// Asks the kernel to call [`lu_on_restart`] when the machine goes down.
struct RestartHook;

impl RestartHook {
    fn register() -> Result<Self> {
        // SAFETY: The notifier is a static of this module, registered once, as a module is
        // initialised once.
        to_result(unsafe { sys::lu_reboot_register() })?;
        Ok(Self)
    }
}

impl Drop for RestartHook {
    fn drop(&mut self) {
        // SAFETY: It was registered by `register`, the only way to a value of this type.
        unsafe { sys::lu_reboot_unregister() };
    }
}

/// Called by `shim/misc.c` for every restart of the machine, kexec among them.
#[no_mangle]
extern "C" fn lu_on_restart() {
    machine::restart();
}
