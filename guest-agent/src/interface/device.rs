//! The module's device, and how it comes to be there.

use std::ffi::CStr;

use liveupdate_client::{Device, Drive, Event, State};
use protocol::message;
use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
    system::finit_module,
};

use crate::failure::{Outcome, Tell, refuse, system};

const FILE: &str = "/lib/liveupdate_lab.ko";

/// Opens the device, loading the module first if it is not loaded yet.
pub(super) fn open() -> Outcome<Device> {
    let device = match Device::open() {
        Err(error) if error.errno() == Errno::NOENT => {
            load(c"")?;
            Device::open()
        }
        other => other,
    };
    device.tell(format!("open {}", Device::PATH))
}

/// Loads the module with these parameters, unless it is loaded.
pub(crate) fn load(parameters: &CStr) -> Outcome<()> {
    load_file(FILE, parameters)
}

/// Loads the module in this file.
pub(crate) fn load_file(file: &str, parameters: &CStr) -> Outcome<()> {
    let operation = format!("load {file}");
    match rustix::fs::open(file, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
        Ok(file) => match finit_module(&file, parameters, 0) {
            Err(Errno::EXIST) => Ok(()),
            other => other.tell(operation),
        },
        Err(Errno::NOENT) => Err(refuse(operation, "the initramfs holds no module")),
        Err(errno) => Err(system(operation, errno)),
    }
}

/// Moves the state machine through `driver`, which lies at `place`.
pub(super) fn signal(driver: &impl Drive, event: message::Event, place: &str) -> Outcome<()> {
    let (name, event) = match event {
        message::Event::Prepare => ("PREPARE", Event::Prepare),
        message::Event::Freeze => ("FREEZE", Event::Freeze),
        message::Event::Cancel => ("CANCEL", Event::Cancel),
        message::Event::Finish => ("FINISH", Event::Finish),
    };
    driver.signal(event).tell(format!("ioctl {name} on {place}"))
}

/// Whether `error` says that the previous kernel left nothing that could be asked for.
pub(super) fn nothing_there(error: &liveupdate_client::Error, driver: &impl Drive) -> bool {
    match error.errno() {
        Errno::NOENT => true,
        // In this state nothing was handed over, or it is finished.
        Errno::BUSY => driver.state() == Ok(State::Normal),
        _ => false,
    }
}
