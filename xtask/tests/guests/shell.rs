//! A person at a guest's prompt.

use rexpect::session::{PtySession, spawn_command};

use crate::support::bench;

const PROMPT: &str = "lab# ";

/// Types a line, and sees what comes before the next prompt.
fn type_in(guest: &mut PtySession, line: &str) -> String {
    guest.send_line(line).expect("the terminal takes it");
    guest.exp_string(PROMPT).unwrap_or_else(|error| panic!("{line}: {error}"))
}

#[test]
fn a_file_goes_through_a_kexec_by_hand_and_the_terminal_comes_back() {
    let bench = bench();
    let mut guest = spawn_command(bench.shell(), Some(120_000)).expect("a terminal");
    guest.exp_string("booted cold").expect("the banner");
    guest.exp_string(PROMPT).expect("a prompt");

    assert!(type_in(&mut guest, "ls /dev").contains("liveupdate_lab"), "the module is loaded");
    let mounted = type_in(&mut guest, "mount -t kexecfs -o name=db kexecfs /kexecfs && ls /kexecfs");
    assert!(mounted.contains("control") && mounted.contains("state"), "{mounted}");
    let debugfs = type_in(&mut guest, "ls /sys/kernel/debug/kho && echo debug-$((40 + 2))");
    assert!(debugfs.contains("debug-42"), "{debugfs}");
    // What is interrupted is the guest's command, and neither the guest nor the lab.
    guest.send_line("sleep 1000").expect("the terminal takes it");
    std::thread::sleep(std::time::Duration::from_millis(500));
    guest.send_control('c').expect("the terminal takes it");
    guest.exp_string(PROMPT).expect("Ctrl-C is the guest's");
    let missing = type_in(&mut guest, "retrieve nothing");
    assert!(missing.contains("retrieve: retrieve session nothing"), "{missing}");

    type_in(&mut guest, "echo through the dark >/tmp/note");
    let held = type_in(&mut guest, "preserve box /tmp/note && echo held-$((40 + 2))");
    assert!(held.contains("held-42"), "{held}");
    for count in 1..=2 {
        guest.send_line("kexec").expect("the terminal takes it");
        guest.exp_string(&format!("came by kexec number {count} from")).expect("the next kernel's banner");
        guest.exp_string(PROMPT).expect("a prompt");
        if count == 1 {
            let note = type_in(&mut guest, "retrieve box");
            assert!(note.contains("through the dark"), "{note}");
        }
    }
    guest.send_line("exit").expect("the terminal takes it");
    guest.exp_eof().expect("the end");
    let ended = guest.process().wait().expect("how it ended");
    assert!(format!("{ended:?}").contains("Exited") && format!("{ended:?}").ends_with("0)"), "{ended:?}");
}
