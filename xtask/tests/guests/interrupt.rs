//! Ctrl-C and SIGKILL at any moment: the end is quick, and nothing stays behind.

use std::time::Duration;

use lab::result::Report;
use rustix::process::Signal;

use crate::support::{PATIENCE, PROMPT, bench, text};

const ONE: [&str; 4] = ["one-object", "--interface", "luo", "-v"];

/// Interrupts a run some time after it says something.
fn interrupted(moment: &str, after: Duration) {
    let bench = bench();
    let run = bench.start(bench.scenario(&ONE));
    run.hears(moment);
    // Into the middle of what was announced; whatever is going on then has to stop.
    std::thread::sleep(after);
    run.signal(Signal::INT);
    let ended = run.end(PROMPT).exits(130);
    ended.says(&["stopping"]);
    bench.all_gone(PROMPT);
    bench.no_litter();
    assert_eq!(std::fs::read_dir(bench.runs()).expect("the runs").count(), 0, "half a run's folder is left");
}

#[test]
fn ctrl_c_before_the_first_word() {
    let bench = bench();
    let run = bench.start(bench.scenario(&ONE));
    std::thread::sleep(Duration::from_millis(100));
    run.signal(Signal::INT);
    let ended = run.end(PROMPT);
    // On a very busy machine it does not listen yet, and dies of the signal as every program does.
    assert!(matches!(ended.code, Some(130) | None), "{ended}");
    bench.all_gone(PROMPT);
    bench.no_litter();
}

#[test]
fn ctrl_c_while_qemu_starts() {
    interrupted("generation 0: boot", Duration::ZERO);
}

#[test]
fn ctrl_c_while_the_guest_boots() {
    interrupted("generation 0: boot", Duration::from_millis(500));
}

#[test]
fn ctrl_c_while_memory_is_filled() {
    interrupted("generation 0: create", Duration::from_millis(20));
}

#[test]
fn ctrl_c_while_the_next_kernel_is_loaded() {
    interrupted("generation 0: update", Duration::ZERO);
}

#[test]
fn ctrl_c_during_the_blackout() {
    // On a quick machine all is over a second after this.
    interrupted("generation 0: update", Duration::from_millis(400));
}

#[test]
fn ctrl_c_while_memory_is_compared() {
    interrupted("generation 1: verify", Duration::from_millis(20));
}

#[test]
fn what_ran_before_ctrl_c_is_not_lost() {
    let bench = bench();
    let json = bench.path("results.json");
    let run = bench.start(bench.scenario(&["one-object", "-j", "1", "--json", &text(&json)]));
    run.hears_out("PASS");
    run.signal(Signal::INT);
    run.end(PROMPT).exits(130).says(&["1 passed, 0 failed"]);
    let report: Report = serde_json::from_str(&std::fs::read_to_string(json).expect("results")).expect("a report");
    assert!(report.runs.len() == 1 && report.runs[0].is_green(), "{report:#?}");
    bench.all_gone(PROMPT);
}

#[test]
fn ctrl_c_ends_all_that_run_side_by_side() {
    let bench = bench();
    let run = bench.start(bench.scenario(&["one-object", "-v", "-j", "3"]));
    for interface in ["luo", "module", "kexecfs"] {
        run.hears(&format!("one-object ({interface}), generation 0: create"));
    }
    run.signal(Signal::INT);
    run.end(PROMPT).exits(130).says(&["stopping"]);
    bench.all_gone(PROMPT);
    bench.no_litter();
    assert_eq!(std::fs::read_dir(bench.runs()).expect("the runs").count(), 0, "half a run's folder is left");
}

#[test]
fn ctrl_c_while_one_boots_for_all() {
    let bench = bench();
    let run = bench.start(bench.scenario(&["one-object", "-v", "-j", "3"]));
    run.hears("generation 0: boot");
    std::thread::sleep(Duration::from_millis(500));
    run.signal(Signal::INT);
    run.end(PROMPT).exits(130).says(&["stopping"]);
    bench.all_gone(PROMPT);
    bench.no_litter();
    assert_eq!(std::fs::read_dir(bench.runs()).expect("the runs").count(), 0, "half a run's folder is left");
}

#[test]
fn a_killed_lab_takes_its_guest_with_it_and_the_next_one_works() {
    let bench = bench();
    let run = bench.start(bench.scenario(&ONE));
    run.hears("generation 0: create");
    assert_eq!(bench.processes("qemu-system").len(), 1, "one guest runs");
    run.signal(Signal::KILL);
    bench.all_gone(PROMPT);
    assert_eq!(run.end(PROMPT).code, None);
    bench.run(&["one-object", "--interface", "luo"]).exits(0);
}

#[test]
fn two_at_the_same_time_do_not_disturb_each_other() {
    let bench = bench();
    let words = ["one-object", "--interface", "module"];
    let both = [bench.start(bench.scenario(&words)), bench.start(bench.scenario(&words))];
    for run in both {
        run.end(PATIENCE).exits(0).says(&["1 passed, 0 failed"]);
    }
    let left = std::fs::read_dir(bench.runs()).expect("the runs").count();
    assert_eq!(left, 0, "each took its own folder away");
}
