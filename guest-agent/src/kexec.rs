//! Loading the next kernel, and leaving this one.

use std::{
    ffi::CString,
    os::unix::process::CommandExt,
    process::Command,
    time::{Duration, Instant},
};

use protocol::message::{NextKernel, Reply};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fd::{AsRawFd, OwnedFd},
    fs::{MemfdFlags, OFlags, fcntl_getfl, fcntl_setfl, memfd_create},
    io::Errno,
    system::{RebootCommand, reboot},
};

use crate::{
    PROGRESS,
    failure::{Outcome, Tell, refuse, system},
    frames,
};

/// Most bytes of kernel and initramfs together.
const LIMIT: u64 = 1 << 30;

/// How long the bulk port may say nothing in the middle of an image.
const STALL: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

/// Takes the images from the bulk port and gives them to the kernel.
pub(crate) fn load(bulk: &OwnedFd, next: &NextKernel, say: &mut dyn FnMut(Reply)) -> Outcome<()> {
    let operation = "load the kernel";
    let total = next.kernel_bytes.saturating_add(next.initramfs_bytes);
    if total > LIMIT {
        return Err(refuse(operation, format!("{total} bytes, at most {LIMIT} are taken")));
    }
    let command_line =
        CString::new(next.command_line.as_str()).map_err(|_| refuse(operation, "the command line holds a NUL"))?;
    let memfd = |name| memfd_create(name, MemfdFlags::CLOEXEC).tell("memfd_create");
    let (kernel, initramfs) = (memfd(c"kernel")?, memfd(c"initramfs")?);
    // Its read waits otherwise, and a port that falls silent would never be noticed.
    let flags = fcntl_getfl(bulk).tell("read the bulk port's flags")?;
    fcntl_setfl(bulk, flags | OFlags::NONBLOCK).tell("set the bulk port's flags")?;
    discard_stale(bulk);
    say(Reply::SendBulk);
    let mut receiver = Receiver { bulk, say, done: 0, total, told: Instant::now() };
    receiver.take(&kernel, next.kernel_bytes)?;
    receiver.take(&initramfs, next.initramfs_bytes)?;
    file_load(&kernel, &initramfs, &command_line)
}

/// Throws away what an image that was given up has left in the port.
fn discard_stale(bulk: &OwnedFd) {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let mut scratch = [0; 4096];
    while readable(bulk, &now) && matches!(rustix::io::read(bulk, &mut scratch[..]), Ok(1..)) {}
}

fn readable(bulk: &OwnedFd, limit: &Timespec) -> bool {
    let mut wanted = [PollFd::new(bulk, PollFlags::IN)];
    rustix::io::retry_on_intr(|| poll(&mut wanted, Some(limit))).is_ok() && wanted[0].revents().contains(PollFlags::IN)
}

/// The bulk port while an image comes in.
struct Receiver<'a> {
    bulk: &'a OwnedFd,
    say: &'a mut dyn FnMut(Reply),
    done: u64,
    total: u64,
    told: Instant,
}

impl Receiver<'_> {
    /// Copies the next `bytes` bytes into `file`.
    fn take(&mut self, file: &OwnedFd, mut bytes: u64) -> Outcome<()> {
        let mut buffer = vec![0; 64 << 10];
        while bytes > 0 {
            let wanted = buffer.len().min(usize::try_from(bytes).unwrap_or(usize::MAX));
            let read = self.fill(&mut buffer[..wanted])?;
            frames::write_all(file, &buffer[..read]).tell("write an image to memory")?;
            bytes -= read as u64;
            self.done += read as u64;
            if self.told.elapsed() >= PROGRESS {
                self.told = Instant::now();
                (self.say)(Reply::Progress { done: self.done, total: self.total });
            }
        }
        Ok(())
    }

    /// Fills the buffer, with one write to follow: the port gives a page at a time.
    fn fill(&self, buffer: &mut [u8]) -> Outcome<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            filled += self.read(&mut buffer[filled..])?;
        }
        Ok(filled)
    }

    /// Reads what is there, and waits only if nothing is: images come as fast as they can be taken.
    fn read(&self, buffer: &mut [u8]) -> Outcome<usize> {
        let operation = "read the bulk port";
        let begun = Instant::now();
        loop {
            match rustix::io::retry_on_intr(|| rustix::io::read(self.bulk, &mut *buffer)) {
                Ok(0) => {}
                Ok(read) => return Ok(read),
                Err(Errno::AGAIN) if readable(self.bulk, &STALL) => continue,
                Err(Errno::AGAIN) => {}
                Err(errno) => return Err(system(operation, errno)),
            }
            // Without a host at the other end poll returns at once, with nothing to read.
            if begun.elapsed() >= Duration::from_secs(STALL.tv_sec.unsigned_abs()) {
                let detail = format!("nothing came for {} s after {} of {} bytes", STALL.tv_sec, self.done, self.total);
                return Err(refuse(operation, detail));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Gives kernel and initramfs to the running one.
pub(crate) fn file_load(kernel: &OwnedFd, initramfs: &OwnedFd, command_line: &CString) -> Outcome<()> {
    let bytes = command_line.as_bytes_with_nul();
    // SAFETY: both descriptors are open, and the command line has the length given, its NUL included.
    let result = unsafe {
        libc::syscall(
            libc::SYS_kexec_file_load,
            kernel.as_raw_fd(),
            initramfs.as_raw_fd(),
            bytes.len(),
            bytes.as_ptr(),
            0 as libc::c_ulong,
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()).tell("kexec_file_load"),
    }
}

/// Restarts into the loaded kernel. Comes back only if that failed.
pub(crate) fn restart() -> protocol::message::Failure {
    match reboot(RebootCommand::Kexec) {
        Err(errno) => system("reboot KEXEC", errno),
        Ok(()) => refuse("reboot KEXEC", "the call returned"),
    }
}

/// Becomes a new agent under the same kernel. Comes back only if that failed.
pub(crate) fn restart_agent() -> protocol::message::Failure {
    let error = Command::new("/proc/self/exe").arg0("/init").exec();
    protocol::message::Failure {
        operation: "execve of /proc/self/exe".to_owned(),
        errno: error.raw_os_error(),
        detail: error.to_string(),
    }
}

/// Ends the guest. Comes back only if that failed.
pub(crate) fn power_off() -> protocol::message::Failure {
    rustix::fs::sync();
    // Where nothing can cut the power, POWER_OFF halts the processors and QEMU runs on for ever. Without
    // ACPI a restart is the way out: QEMU ends on it (-no-reboot).
    let way = match std::fs::exists("/sys/firmware/acpi") {
        Ok(true) => RebootCommand::PowerOff,
        _ => RebootCommand::Restart,
    };
    match reboot(way) {
        Err(errno) => system("power off", errno),
        Ok(()) => refuse("power off", "the call returned"),
    }
}
