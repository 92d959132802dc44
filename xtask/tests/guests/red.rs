//! What a red run tells and leaves behind.

use std::fs;
use std::process::Command;

use lab::result::{FailureKind, Outcome, Run};

use crate::common::{say, workspace};
use crate::support::{bench, text};

#[test]
fn a_red_run_names_the_step_and_keeps_what_explains_it() {
    let bench = bench();
    let shipped = fs::read_to_string(workspace().join("scenarios/red-corrupted-page.yaml")).expect("the scenario");
    let mine: String =
        shipped.lines().filter(|line| !line.starts_with("must-fail")).map(|line| format!("{line}\n")).collect();
    assert_ne!(mine, shipped);
    let line = mine.lines().position(|line| line.contains("verify:")).expect("a step that verifies") + 1;
    let file = bench.path("mine.yaml");
    fs::write(&file, mine).expect("a file");
    let ended = bench.run(&[&text(&file), "--interface", "module"]).exits(1);
    let kept = bench.kept();
    let place = format!("at {}:{line}:5: verify ledger", text(&file));
    ended.says(&[
        &place,
        "page corrupted",
        "page 3 of ledger holds changed bytes",
        "1 of 1024 pages",
        &format!("kept: {}", text(&kept)),
        "0 passed, 1 failed",
    ]);

    for name in ["console.log", "agent.log", "qmp.log", "qemu.sh", "qemu.log", "kernel.log", "result.json"] {
        assert!(kept.join(name).is_file(), "{name} is not in {}", kept.display());
    }
    let read = |name: &str| fs::read_to_string(kept.join(name)).expect("the file");
    assert_eq!(read("console.log").matches("Linux version 7.3").count(), 2, "two kernels booted");
    assert!(read("agent.log").contains("Corrupt") && read("agent.log").contains("Verified"), "{}", read("agent.log"));
    assert!(read("qmp.log").contains("\"QMP\""), "{}", read("qmp.log"));
    let run: Run = serde_json::from_str(&read("result.json")).expect("the result");
    let Outcome::Failed(failure) = &run.outcome else { panic!("{run:#?}") };
    assert_eq!(failure.kind, FailureKind::PageCorrupted);
    obeys_the_schema_of_a_run(&read("result.json"));
    let shell = Command::new("sh").arg("-n").arg(kept.join("qemu.sh")).output().expect("sh");
    assert!(shell.status.success(), "{}", String::from_utf8_lossy(&shell.stderr));
}

fn obeys_the_schema_of_a_run(result: &str) {
    let mut schema: serde_json::Value = serde_json::from_str(&say(&["schema"]).exits(0).out).expect("JSON");
    let whole = schema.as_object_mut().expect("an object");
    for word in ["type", "properties", "required"] {
        whole.remove(word);
    }
    whole.insert("$ref".to_owned(), "#/$defs/Run".into());
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let result = serde_json::from_str(result).expect("JSON");
    validator.validate(&result).expect("as the schema says");
}

#[test]
fn the_kept_script_starts_the_same_machine() {
    let bench = bench();
    bench.run(&["one-object", "--interface", "luo", "--timeout", "1"]).exits(1);
    let mut by_hand = Command::new("sh");
    by_hand.arg("qemu.sh").current_dir(bench.kept());
    by_hand
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let guest = bench.start(by_hand);
    // Its console is the terminal; the agent announces itself on a port where nobody listens.
    guest.hears_out("Linux version 7.3");
    guest.hears_out("Run /init as init process");
    guest.signal(rustix::process::Signal::KILL);
}

#[test]
fn a_run_that_takes_too_long_says_how_long() {
    let bench = bench();
    let ended = bench.run(&["one-object", "--interface", "luo", "--timeout", "0.1"]).exits(1);
    ended.says(&["timed out", "longer than 0.1 s", "--timeout", "kept: ", "in the step: boot"]);
    bench.all_gone(crate::support::PROMPT);
}
