//! From the first instruction to the open ports, and what is found on the way.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use protocol::message::{BootFacts, Tsc};
use rustix::{
    fd::{AsRawFd, IntoRawFd, OwnedFd},
    fs::{Mode, OFlags},
    io::Errno,
    mount::{MountFlags, mount},
    system::finit_module,
};

use crate::{kernel_log, now};

const PORTS: &str = "/sys/class/virtio-ports";
const DRIVERS: &str = "/lib";

/// What PID 1 starts with.
pub(crate) struct Booted {
    /// Frames.
    pub(crate) control: OwnedFd,
    /// Kernel images.
    pub(crate) bulk: OwnedFd,
    /// When the first instruction ran.
    pub(crate) started: Tsc,
    /// When all this was there.
    pub(crate) ready: Tsc,
}

/// Mounts what is needed and opens the ports.
///
/// # Panics
/// If one of them cannot be had: the guest is of no use then, and the host sees the kernel panic.
pub(crate) fn boot(started: Tsc) -> Booted {
    mount_system();
    // Built in, as in our own kernels, they have made the class.
    if !Path::new(PORTS).exists() {
        load_drivers();
    }
    let control = wait_for_port(protocol::CONTROL_PORT);
    let bulk = wait_for_port(protocol::BULK_PORT);
    Booted { control, bulk, started, ready: now() }
}

/// Mounts what everyone needs.
///
/// # Panics
/// If one of them cannot be mounted.
pub(crate) fn mount_system() {
    mount_at("devtmpfs", "/dev");
    standard_streams();
    mount_at("proc", "/proc");
    mount_at("sysfs", "/sys");
}

pub(crate) fn mount_at(kind: &str, place: &str) {
    let _ = fs::create_dir(place);
    match mount(kind, place, kind, MountFlags::NOSUID | MountFlags::NOEXEC, None) {
        // An agent that was started anew finds them mounted.
        Ok(()) | Err(Errno::BUSY) => {}
        Err(errno) => panic!("mount {kind} at {place}: {errno}"),
    }
}

/// Gives the process standard streams if the kernel had no console node to open, so that no port or pipe
/// ends up in their place.
fn standard_streams() {
    for _ in 0..3 {
        let stream = rustix::fs::open("/dev/console", OFlags::RDWR | OFlags::NOCTTY, Mode::empty())
            .or_else(|_| rustix::fs::open("/dev/null", OFlags::RDWR, Mode::empty()));
        match stream {
            // Kept for the life of the process.
            Ok(stream) if stream.as_raw_fd() <= 2 => drop(stream.into_raw_fd()),
            _ => return,
        }
    }
}

/// Loads what a kernel that was not built for this needs for the ports: modules whose names begin so, in their order.
fn load_drivers() {
    let entries = fs::read_dir(DRIVERS).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_driver = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("driver-"));
    let mut drivers: Vec<PathBuf> = entries.filter(is_driver).collect();
    drivers.sort();
    for path in drivers {
        let loaded = rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .and_then(|file| finit_module(&file, c"", 0));
        match loaded {
            // An agent that was started anew finds them loaded.
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => panic!("load {}: {errno}", path.display()),
        }
    }
}

/// Waits for the port of this name and opens it.
///
/// A port's name arrives by a message from the host some time after the driver has started. The kernel
/// announces it by uevent alone, over a netlink socket that a lean kernel lacks; so this looks, with
/// pauses that grow from a tenth of a millisecond to two.
fn wait_for_port(name: &str) -> OwnedFd {
    let mut pause = Duration::from_micros(100);
    let mut waited = Duration::ZERO;
    loop {
        if let Some(port) = find_port(name) {
            return port;
        }
        assert!(waited < Duration::from_secs(60), "no virtio-serial port is called {name}");
        std::thread::sleep(pause);
        waited += pause;
        pause = (pause * 3 / 2).min(Duration::from_millis(2));
    }
}

fn find_port(name: &str) -> Option<OwnedFd> {
    // Where they are when the guest has no other virtio-serial device: each step on the way through a
    // directory that the fresh kernel has not yet walked costs a millisecond under emulation.
    for usual in ["vport0p1", "vport0p2"] {
        if is_called(usual, name) {
            return open_port(usual);
        }
    }
    let mut entries = fs::read_dir(PORTS).ok()?.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    entries.find(|entry| is_called(entry, name)).and_then(|entry| open_port(&entry))
}

fn is_called(entry: &str, name: &str) -> bool {
    let mut found = [0; 64];
    let path = format!("{PORTS}/{entry}/name");
    let read = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .and_then(|file| rustix::io::read(file, &mut found[..]));
    read.is_ok_and(|length| found[..length].trim_ascii_end() == name.as_bytes())
}

fn open_port(entry: &str) -> Option<OwnedFd> {
    rustix::fs::open(format!("/dev/{entry}"), OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).ok()
}

/// Gathers what the host wants to know. Not before it asks: reading the log takes milliseconds of
/// somebody's downtime.
pub(crate) fn facts(started: Tsc, ready: Tsc) -> BootFacts {
    let text = |path: &str| fs::read_to_string(path).map(|text| text.trim_end().to_owned()).unwrap_or_default();
    BootFacts {
        release: rustix::system::uname().release().to_string_lossy().into_owned(),
        version: text("/proc/version"),
        boot_id: text("/proc/sys/kernel/random/boot_id"),
        command_line: text("/proc/cmdline"),
        handover: kernel_log::handover(),
        started,
        ready,
        cpus: rustix::thread::sched_getaffinity(None).map_or(0, |cpus| cpus.count()),
    }
}
