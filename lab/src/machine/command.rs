//! QEMU's command line.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::host_tsc;
use crate::result::AcceleratorKind;
use crate::scenario::size::Size;

/// The program.
pub const QEMU: &str = "qemu-system-x86_64";

/// What a guest kernel is told: an early console (a kernel that dies before its drivers are up leaves no
/// other trace), handover and live update on, and an end instead of a prompt.
///
/// Under TCG the guest's time stamp counter is the host's, and no timer of an emulated machine is steady
/// enough to find its rate: the kernel gives up, and sleeps for milliseconds where the workload asks for
/// a tenth of one. So it is told the rate.
#[must_use]
pub fn kernel_command_line(accelerator: AcceleratorKind) -> String {
    let mut line = "console=ttyS0 earlycon=uart8250,io,0x3f8,115200 kho=on liveupdate=on panic=-1 oops=panic \
                    no_timer_check"
        .to_owned();
    let khz = match accelerator {
        AcceleratorKind::Kvm => None,
        AcceleratorKind::Tcg => host_tsc::khz(),
        // It is the count of instructions, in nanoseconds.
        AcceleratorKind::Icount => Some(1_000_000),
    };
    if let Some(khz) = khz {
        let _ = write!(line, " tsc_early_khz={khz} tsc=reliable");
    }
    line
}

/// What a kernel is told besides, for the machine that it runs on.
///
/// A kernel that finds the local timer's rate by counting ticks waits for a fifth of a second to pass, at every
/// boot. Emulated processors have no other way to tell it; a single one does as well without that timer.
#[must_use]
pub fn for_machine(line: &str, accelerator: AcceleratorKind, cpus: u32) -> String {
    match (accelerator, cpus) {
        (AcceleratorKind::Tcg | AcceleratorKind::Icount, 1) => format!("{line} nolapic_timer"),
        _ => line.to_owned(),
    }
}

/// A machine to be started.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// What runs it.
    pub accelerator: AcceleratorKind,
    /// Processors.
    pub cpus: u32,
    /// RAM.
    pub memory: Size,
    /// Kernel image.
    pub kernel: PathBuf,
    /// Its initramfs.
    pub initramfs: PathBuf,
    /// Its command line.
    pub command_line: String,
}

/// Where the machine's four channels lead.
#[derive(Clone, Copy, Debug)]
pub enum Wiring {
    /// Connected sockets, inherited: console, QMP, control, bulk.
    Inherited([i32; 4]),
    /// For someone at a prompt: the console on the terminal, the ports on sockets in the current folder.
    ByHand,
    /// For someone at a guest's prompt: the console on the terminal, and no agent that wants to talk.
    Terminal,
}

impl Shape {
    /// The arguments, the program left out.
    #[must_use]
    pub fn arguments(&self, wiring: &Wiring) -> Vec<String> {
        let (accelerator, cpu) = match self.accelerator {
            AcceleratorKind::Kvm => ("kvm", "host"),
            AcceleratorKind::Tcg => ("tcg,thread=multi", "max"),
            AcceleratorKind::Icount => ("tcg,thread=single", "max"),
        };
        let mut all: Vec<String> = Vec::new();
        let mut push = |words: &[&str]| all.extend(words.iter().map(|&word| word.to_owned()));
        push(&["-name", "liveupdate-lab", "-machine", "q35", "-accel", accelerator, "-cpu", cpu]);
        if self.accelerator == AcceleratorKind::Icount {
            // An idle guest's clock jumps to its next event instead of waiting for it.
            push(&["-icount", "shift=3,sleep=off,align=off", "-rtc", "clock=vm"]);
        }
        push(&["-m", &format!("{}M", self.memory.0 >> 20)]);
        // Without ACPI a kernel brings up one processor a socket.
        push(&["-smp", &format!("{0},sockets={0},cores=1", self.cpus)]);
        push(&["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]);
        push(&["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"]);
        push(&["-kernel", &self.kernel.to_string_lossy(), "-initrd", &self.initramfs.to_string_lossy()]);
        push(&["-append", &self.command_line]);
        match wiring {
            Wiring::Inherited([console, qmp, control, bulk]) => {
                push(&["-chardev", &format!("socket,id=console,fd={console}"), "-serial", "chardev:console"]);
                push(&["-chardev", &format!("socket,id=qmp,fd={qmp}"), "-mon", "chardev=qmp,mode=control"]);
                push(&["-chardev", &format!("socket,id=control,fd={control}")]);
                push(&["-chardev", &format!("socket,id=bulk,fd={bulk}")]);
            }
            Wiring::ByHand => {
                push(&["-serial", "mon:stdio"]);
                push(&["-chardev", "socket,id=control,path=control.sock,server=on,wait=off"]);
                push(&["-chardev", "socket,id=bulk,path=bulk.sock,server=on,wait=off"]);
            }
            Wiring::Terminal => {
                push(&["-serial", "mon:stdio"]);
                return all;
            }
        }
        push(&["-device", "virtio-serial-pci"]);
        push(&["-device", &format!("virtserialport,chardev=control,name={}", protocol::CONTROL_PORT)]);
        push(&["-device", &format!("virtserialport,chardev=bulk,name={}", protocol::BULK_PORT)]);
        all
    }

    /// A shell script that starts the machine.
    #[must_use]
    pub fn render(&self, wiring: &Wiring) -> String {
        let mut script = format!("#!/bin/sh\n# The same machine, by hand. Ctrl-A X ends it.\nexec {QEMU}");
        for word in self.arguments(wiring) {
            let separator = if word.starts_with('-') { " \\\n    " } else { " " };
            // Writing to a string cannot fail.
            let _ = write!(script, "{separator}{}", quote(&word));
        }
        script.push('\n');
        script
    }
}

fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape() -> Shape {
        Shape {
            accelerator: AcceleratorKind::Tcg,
            cpus: 2,
            memory: Size(1 << 30),
            kernel: "/tmp/it's here/bzImage".into(),
            initramfs: "/tmp/initramfs".into(),
            command_line: "console=ttyS0 panic=-1".to_owned(),
        }
    }

    #[test]
    fn the_script_means_what_the_arguments_say() {
        let script = shape().render(&Wiring::ByHand).replace("exec qemu-system-x86_64", "printf '%s\\n'");
        let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        let words: Vec<_> = std::str::from_utf8(&output.stdout).unwrap().lines().map(str::to_owned).collect();
        assert_eq!(words, shape().arguments(&Wiring::ByHand));
    }

    #[test]
    fn a_guest_has_no_network_and_is_sandboxed() {
        let words = shape().arguments(&Wiring::Inherited([1, 2, 3, 4]));
        assert!(words.contains(&"-nodefaults".to_owned()) && !words.iter().any(|word| word.contains("net")));
        assert!(words.iter().any(|word| word.starts_with("on,obsolete=deny")));
    }
}
