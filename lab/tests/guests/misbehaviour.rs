//! Guests that die, hang, lie or lack something.

use std::time::{Duration, Instant};

use lab::result::{FailureKind, Outcome};
use protocol::message::Interface;

use crate::elf;
use crate::support::{ONE_OBJECT, turn};

#[test]
fn a_panic_is_named_and_ends_the_run_early() {
    let began = Instant::now();
    let mut turn = turn();
    turn.stage.command_line.push_str(" rdinit=/nowhere");
    let failure = turn.must_fail(Interface::Luo, FailureKind::KernelPanic);
    assert!(failure.message.contains("Kernel panic - not syncing"), "{failure:#?}");
    assert!(failure.evidence.iter().any(|line| line.contains("Kernel panic")), "{failure:#?}");
    assert!(began.elapsed() < turn.stage.limits.silence, "it waited for its patience to run out");
}

#[test]
fn an_agent_that_exits_takes_the_kernel_with_it() {
    let failure = turn().with_init(&elf::executable(elf::EXIT)).must_fail(Interface::Luo, FailureKind::KernelPanic);
    assert!(failure.message.contains("Attempted to kill init"), "{failure:#?}");
}

#[test]
fn a_hang_is_told_from_slowness_and_leaves_the_registers() {
    let mut turn = turn().with_init(&elf::executable(elf::SPIN));
    turn.stage.limits.silence = Duration::from_secs(4);
    let failure = turn.must_fail(Interface::Luo, FailureKind::Hung);
    assert!(failure.message.contains("no sign of life for 4 s"), "{failure:#?}");
    let run =
        std::fs::read_dir(turn.folder.path()).unwrap().flatten().find(|entry| entry.path().join("qemu.sh").exists());
    let registers = std::fs::read_to_string(run.unwrap().path().join("registers.txt")).unwrap();
    assert!(registers.contains("RIP=0000000000400078"), "{registers}");
}

#[test]
fn slowness_is_told_from_a_hang() {
    let mut turn = turn();
    turn.stage.limits.total = Duration::from_millis(700);
    let failure = turn.must_fail(Interface::Luo, FailureKind::TimedOut);
    assert!(failure.message.contains("--timeout"), "{failure:#?}");
}

#[test]
fn a_guest_that_resets_has_died() {
    let failure = turn().with_init(&elf::executable(elf::RESET)).must_fail(Interface::Luo, FailureKind::GuestDied);
    assert!(failure.message.contains("guest reset"), "{failure:#?}");
}

#[test]
fn an_agent_that_speaks_nonsense_is_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    let rogue = folder.path().join("rogue");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/guests/rogue.rs");
    let rustc = std::process::Command::new("rustc")
        .args(["--edition", "2024", "-O", "--target", lab::host::GUEST_TARGET, source, "-o"])
        .arg(&rogue)
        .status();
    assert!(rustc.unwrap().success());
    let init = std::fs::read(&rogue).unwrap();
    let failure = turn().with_init(&init).must_fail(Interface::Luo, FailureKind::AgentMisbehaved);
    assert!(failure.message.contains("cannot be understood"), "{failure:#?}");
}

#[test]
fn a_missing_module_is_named() {
    let turn = turn();
    let agent = agent(&turn.stage.kernel.initramfs);
    let failure = turn.with_init(&agent).must_fail(Interface::Module, FailureKind::Refused);
    assert!(failure.message.contains("holds no module"), "{failure:#?}");
}

#[test]
fn a_kernel_without_handover_proves_nothing() {
    let mut turn = turn();
    turn.stage.command_line = turn.stage.command_line.replace("kho=on", "kho=off").replace("liveupdate=on", "");
    let run = turn.run(ONE_OBJECT, Interface::Luo);
    let Outcome::Failed(failure) = run.outcome else { panic!("{run:#?}") };
    assert_eq!(failure.kind, FailureKind::Refused, "{failure:#?}");
    assert!(failure.message.contains("/dev/liveupdate"), "{failure:#?}");
}

#[test]
fn a_damaged_kernel_image_is_refused_by_the_guest() {
    let mut turn = turn();
    let broken = turn.folder.path().join("bzImage");
    std::fs::write(&broken, vec![0u8; 1 << 20]).unwrap();
    let mut other = turn.stage.kernel.clone();
    other.image = broken;
    turn.stage.named.insert("broken".to_owned(), other);
    let yaml = ONE_OBJECT.replace("- update", "- update: {kernel: broken}");
    let run = turn.run(&yaml, Interface::Luo);
    let Outcome::Failed(failure) = run.outcome else { panic!("{run:#?}") };
    assert_eq!(failure.kind, FailureKind::Refused, "{failure:#?}");
    assert_eq!(failure.place.as_deref(), Some("test.yaml:5:5"), "{failure:#?}");
}

/// The agent's binary, taken out of an initramfs.
fn agent(initramfs: &std::path::Path) -> Vec<u8> {
    let mut rest = std::io::Cursor::new(std::fs::read(initramfs).unwrap());
    loop {
        let mut reader = cpio::newc::Reader::new(rest).unwrap();
        assert!(!reader.entry().is_trailer(), "no init");
        if reader.entry().name() == "init" {
            let mut content = Vec::new();
            std::io::copy(&mut reader, &mut content).unwrap();
            return content;
        }
        rest = reader.finish().unwrap();
    }
}
