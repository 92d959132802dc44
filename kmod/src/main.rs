// SPDX-License-Identifier: GPL-2.0

//! Liveupdate Lab's orchestrator: the Live Update Orchestrator of RFC v2, on an unpatched kernel,
//! with two faces over one core: an ioctl device, and the file system kexecfs.
//!
//! Rust owns the policy, the format, the state and what is preserved; the C in `shim/` owns the
//! operation tables of the VFS and the kernel's inlines.

use kernel::{
    miscdevice::{MiscDeviceOptions, MiscDeviceRegistration},
    prelude::*,
};

mod args;
mod containers;
mod device;
mod errno;
mod folio;
#[path = "../core/src/graph.rs"]
pub mod graph;
mod hooks;
mod incoming;
mod ioctl;
mod kexecfs;
mod kho;
#[cfg(CONFIG_KUNIT = "y")]
mod kunit;
mod machine;
#[path = "../core/src/name.rs"]
pub mod name;
#[path = "../core/src/orchestrator.rs"]
pub mod orchestrator;
mod outgoing;
mod pages;
mod participant;
#[path = "../core/src/state.rs"]
pub mod state;
#[path = "../core/src/store.rs"]
pub mod store;
mod sys;
#[path = "../core/src/wire.rs"]
pub mod wire;

module! {
    type: Module,
    name: "liveupdate_lab",
    authors: ["The Liveupdate Lab developers"],
    description: "Live update orchestrator",
    license: "GPL",
}

/// The loaded module. Fields are dropped in this order, and made in the reverse one.
#[pin_data]
struct Module {
    #[pin]
    _device: MiscDeviceRegistration<device::OpenDevice>,
    _kexecfs: kexecfs::FileSystem,
    _reboot: hooks::Reboot,
    _machine: machine::Running,
    _observe: hooks::Observe,
}

impl kernel::InPlaceModule for Module {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        let options = MiscDeviceOptions {
            name: c"liveupdate_lab",
        };

        try_pin_init!(Self {
            _observe: hooks::Observe::register()?,
            // What the previous kernel left is known before anyone can come.
            _machine: machine::Running::start()?,
            _reboot: hooks::Reboot::register()?,
            _kexecfs: kexecfs::FileSystem::register()?,
            _device <- MiscDeviceRegistration::register(options),
        })
    }
}
