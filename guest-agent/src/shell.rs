//! PID 1 of a guest that a person sits at: no host to talk to, but a shell on the console, the interfaces ready.

use std::{
    fs::{self, File},
    io,
    os::unix::{fs::symlink, process::CommandExt as _},
    process::{Command, Stdio},
};

use rustix::process::{WaitOptions, ioctl_tiocsctty, setsid, wait};

use crate::{
    boot::{mount_at, mount_system},
    failure::{Outcome, Tell, refuse},
    interface::load_module,
    kernel_log, kexec, tool,
};

const BUSYBOX: &str = "/bin/busybox";
const CONSOLE: &str = "/dev/ttyS0";
const DEBUGFS: &str = "/sys/kernel/debug";
/// A place to mount an instance at.
const KEXECFS: &str = "/kexecfs";

/// Lives until the shell ends, and takes the guest along.
pub(crate) fn run() -> ! {
    mount_system();
    let trouble = [prepare(), load()];
    println!("\n{}", banner());
    trouble
        .into_iter()
        .filter_map(Result::err)
        .for_each(|why| println!("  missing: {}: {}", why.operation, why.detail));
    println!();
    if let Err(why) = sit() {
        println!("guest-agent: {}: {}", why.operation, why.detail);
    }
    let failure = kexec::power_off();
    panic!("{}: {}", failure.operation, failure.detail);
}

/// Makes commands of what busybox can, and of what this executable can.
fn prepare() -> Outcome<()> {
    mount_at("debugfs", DEBUGFS);
    fs::create_dir_all(KEXECFS).tell(format!("create {KEXECFS}"))?;
    let installed = Command::new(BUSYBOX).args(["--install", "-s", "/bin"]).status().tell("install busybox")?;
    if !installed.success() {
        return Err(refuse("install busybox", installed.to_string()));
    }
    for name in tool::names() {
        let place = format!("/bin/{name}");
        // Ours before busybox's.
        let _ = fs::remove_file(&place);
        symlink("/init", &place).tell(format!("link {place}"))?;
    }
    Ok(())
}

fn load() -> Outcome<()> {
    load_module(c"")
}

fn banner() -> String {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let came = match kernel_log::handover() {
        None => "booted cold".to_owned(),
        Some(handover) => match handover.previous {
            Some(previous) => format!("came by kexec number {} from {}", previous.count, previous.release),
            None => "came by kexec".to_owned(),
        },
    };
    format!(
        "Liveupdate Lab: Linux {release}, {came}
  preserve NAME FILE    hold FILE's content in a session of /dev/liveupdate, until the kexec
  retrieve NAME         print what the kernel before held as NAME, and finish
  kexec [KERNEL]        go to /boot/bzImage, or to KERNEL, with this initramfs and command line
  mount -t kexecfs -o name=NAME kexecfs {KEXECFS}
                        an instance of the module's file system; `echo prepare > {KEXECFS}/state` and `freeze` before the kexec
  {DEBUGFS}     kho, liveupdate_lab
  exit, or Ctrl-A x     leave"
    )
}

/// Has someone sit at the shell, and buries whoever dies meanwhile.
fn sit() -> Outcome<()> {
    let console = || File::options().read(true).write(true).open(CONSOLE).tell(format!("open {CONSOLE}"));
    let mut shell = Command::new(BUSYBOX);
    shell.arg0("-sh").stdin(console()?).stdout(console()?).stderr(Stdio::from(console()?));
    shell.env_clear().env("PATH", "/bin").env("HOME", "/").env("PS1", "lab# ");
    // What the host's terminal is like comes with the command line.
    shell.env("TERM", std::env::var("TERM").unwrap_or_else(|_| "linux".to_owned())).current_dir("/");
    // SAFETY: the closure makes two system calls, which are async-signal-safe and touch no memory.
    unsafe {
        shell.pre_exec(|| {
            setsid()?;
            ioctl_tiocsctty(io::stdin())?;
            Ok(())
        });
    }
    let pid = shell.spawn().tell("start a shell")?.id().cast_signed();
    loop {
        match rustix::io::retry_on_intr(|| wait(WaitOptions::empty())) {
            Ok(Some((ended, _))) if ended.as_raw_nonzero().get() == pid => return Ok(()),
            Ok(_) => {}
            Err(errno) => return Err(crate::failure::system("wait for the shell", errno)),
        }
    }
}
