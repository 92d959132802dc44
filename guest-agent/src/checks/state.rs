//! The device and the machine's state.

use liveupdate_client::{Device, Preserve as _, State};
use rustix::{
    fs::{Mode, OFlags, chmod},
    io::Errno,
};

use super::{
    aside::Aside,
    context::{Context, Finding, refused, same, works},
    privilege::become_user,
};

pub(super) fn is_normal_at_start(context: &mut Context) -> Result<(), Finding> {
    same("the state", State::Normal, context.device()?.state()?)
}

/// The file's mode lets everybody in, so that it is the device that refuses.
pub(super) fn device_needs_a_privilege(context: &mut Context) -> Result<(), Finding> {
    drop(context.device()?);
    works("chmod of the device", chmod(Device::PATH, Mode::from_raw_mode(0o666)))?;
    let judged = Aside::run(|| {
        become_user(1000)?;
        let opened = Device::open().map_err(|error| error.errno());
        refused("open of the device by a user without CAP_SYS_ADMIN", Errno::ACCESS, opened)
    });
    works("chmod of the device", chmod(Device::PATH, Mode::from_raw_mode(0o600)))?;
    judged
}

/// Any number of openers, none of whom can shut the others out.
pub(super) fn device_is_not_exclusive(context: &mut Context) -> Result<(), Finding> {
    let open = [context.device()?, context.device()?];
    let exclusive = OFlags::RDWR | OFlags::EXCL | OFlags::CLOEXEC;
    refused("open with O_EXCL", Errno::INVAL, rustix::fs::open(Device::PATH, exclusive, Mode::empty()))?;
    drop(open);
    refused("open with O_EXCL of the only one", Errno::INVAL, rustix::fs::open(Device::PATH, exclusive, Mode::empty()))
}
