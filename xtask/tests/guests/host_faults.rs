//! The host fails in the middle: that is no verdict on the guest, and it is told apart from one.

use std::fs;

use lab::result::{Outcome, Run};
use rustix::process::{Signal, kill_process};

use crate::support::{Bench, PATIENCE, PROMPT, bench};

const ONE: [&str; 4] = ["one-object", "--interface", "luo", "-v"];

#[test]
fn a_qemu_that_dies_is_no_verdict() {
    let bench = bench();
    let run = bench.start(bench.scenario(&ONE));
    run.hears("generation 0: create");
    kill_process(qemu(&bench), Signal::KILL).expect("QEMU runs");
    let ended = run.end(PATIENCE).exits(69);
    ended.says(&["INFRA", "QEMU ended", "signal: 9", "kept: ", "0 passed, 1 failed"]);
    let result = fs::read_to_string(bench.kept().join("result.json")).expect("a result");
    let run: Run = serde_json::from_str(&result).expect("a result");
    assert!(matches!(run.outcome, Outcome::Infrastructure { .. }), "{run:#?}");
}

#[test]
fn a_qemu_that_freezes_is_noticed_and_ended() {
    let bench = bench();
    let words = [&ONE[..], &["--silence", "3"]].concat();
    let run = bench.start(bench.scenario(&words));
    run.hears("generation 0: create");
    kill_process(qemu(&bench), Signal::STOP).expect("QEMU runs");
    // From outside a frozen QEMU looks like a guest that hangs, but for the registers that nobody can tell.
    let ended = run.end(PATIENCE).exits(1);
    let promised = ended.out.contains("registers.txt");
    ended.says(&["hung", "no sign of life for 3 s"]);
    bench.all_gone(PROMPT);
    assert_eq!(
        promised,
        bench.kept().join("registers.txt").exists(),
        "the message and the folder disagree on registers.txt"
    );
}

fn qemu(bench: &Bench) -> rustix::process::Pid {
    let all = bench.processes("qemu-system");
    assert_eq!(all.len(), 1, "one guest runs");
    all[0]
}

/// Runs with the folder for runs on a small file system; `first` is done to it before.
fn on_small_file_system(options: &str, first: &str, words: &[&str]) {
    let bench = bench();
    let runs = bench.runs();
    let first = first.replace("RUNS", &runs.display().to_string());
    let command = bench.scenario(&ONE);
    let Some(command) = bench.in_small_file_system(&command, &runs, options, &first) else { return };
    bench.start(command).end(PATIENCE).exits(69).says(words);
    bench.all_gone(PROMPT);
    bench.no_litter();
}

#[test]
fn a_disk_that_fills_up_during_a_run_is_named() {
    on_small_file_system("size=16k", "true", &["INFRA", "No space left on device", "--runs"]);
}

#[test]
fn a_full_disk_is_named_before_a_guest_starts() {
    let fill = "head -c 1m /dev/zero > RUNS/ballast 2>/dev/null";
    on_small_file_system("size=64k", fill, &["INFRA", "No space left on device"]);
}

#[test]
fn a_read_only_folder_is_named() {
    on_small_file_system("ro", "true", &["INFRA", "Read-only file system", "--runs"]);
}

#[test]
fn results_that_cannot_be_written_are_told() {
    let bench = bench();
    let ended = bench.run(&["one-object", "--interface", "luo", "--json", "nowhere/results.json"]).exits(69);
    ended.says(&["nowhere/results.json", "No such file or directory"]);
}
