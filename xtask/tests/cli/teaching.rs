//! What the command line says of itself.

use lab::scenario::Document;
use lab::scenario::library::Library;

use crate::common::{Ended, say, workspace};

#[test]
fn help_names_every_command_and_exit_code() {
    let ended = say(&["--help"]).exits(0);
    ended.says(&[
        "scenario",
        "kselftest",
        "kernel",
        "doctor",
        "test",
        "schema",
        "Exit codes",
        "69",
        "130",
        "cargo xtask <COMMAND>",
    ]);
    for command in ["scenario", "kselftest", "kernel", "shell", "bisect", "watch", "doctor", "test", "schema"] {
        let ended = say(&[command, "--help"]).exits(0);
        assert!(ended.err.is_empty(), "{ended}");
        ended.says(&[&format!("Usage: cargo xtask {command}")]);
    }
}

/// The help of a command with so many examples. One is worth having if it runs: each of them names options that exist.
fn taught(command: &str, count: usize) -> Ended {
    let ended = say(&[command, "--help"]).exits(0);
    let begin = format!("  cargo xtask {command}");
    let examples: Vec<&str> = ended.out.lines().filter(|line| line.starts_with(&begin)).collect();
    assert!(examples.len() >= count, "{ended}");
    for example in examples {
        for option in example.split_whitespace().filter(|word| word.starts_with("--")) {
            let known =
                ended.out.lines().filter(|line| line.trim_start().starts_with('-')).any(|line| line.contains(option));
            assert!(known, "{example}\n{ended}");
        }
    }
    ended
}

#[test]
fn the_help_of_scenario_teaches_by_example() {
    let ended = taught("scenario", 6);
    let wanted = [
        "--kernel",
        "--interface",
        "--tag",
        "--skip-tag",
        "--accel",
        "--timeout",
        "--silence",
        "--keep",
        "--runs",
        "--json",
        "[default: 7.3]",
    ];
    ended.says(&wanted);
}

#[test]
fn kernels_are_listed_by_name_and_a_wrong_one_is_told_apart() {
    let ended = say(&["kernel", "list"]).exits(0);
    ended.says(&["name", "7.3", "6.17", "7.3-kho-string", "kho-string.patch"]);
    let ended = say(&["kernel", "build", "7.3-kho-strin"]).exits(2);
    ended.says(&["names no kernel", "did you mean `7.3-kho-string`?"]);
}

#[test]
fn the_list_has_every_scenario_and_what_it_proves() {
    let ended = say(&["scenario", "--list"]).exits(0);
    let all = Library::new(workspace().join("scenarios")).all().expect("the shipped scenarios are sound");
    assert_eq!(ended.out.lines().count(), all.len(), "{ended}");
    for (line, document) in ended.out.lines().zip(&all) {
        assert!(line.starts_with(&document.name) && line.ends_with(&document.scenario.about), "{line}\n{ended}");
    }
    let filtered = say(&["scenario", "--list", "--filter", "hops"]).exits(0);
    assert_eq!(filtered.out.lines().count(), 1, "{filtered}");
    filtered.says(&["two-hops"]);
}

#[test]
fn tags_choose() {
    let all = Library::new(workspace().join("scenarios")).all().expect("the shipped scenarios are sound");
    let tagged = |document: &&Document| document.scenario.tags.0.iter().any(|tag| tag == "conformance");
    let wanted: Vec<&str> = all.iter().filter(tagged).map(|document| document.name.as_str()).collect();
    let only = say(&["scenario", "--list", "--tag", "conformance"]).exits(0);
    let names = |out: &str| {
        out.lines().filter_map(|line| line.split_whitespace().next().map(str::to_owned)).collect::<Vec<_>>()
    };
    assert_eq!(names(&only.out), wanted, "{only}");
    let others = say(&["scenario", "--list", "--skip-tag", "conformance"]).exits(0);
    assert_eq!(names(&others.out).len() + wanted.len(), all.len(), "{others}");
    say(&["scenario", "--tag", "conformanse"])
        .exits(2)
        .says(&["no scenario has the tag", "did you mean `conformance`?"]);
    say(&["scenario", "--tag", "conformance", "--skip-tag", "conformance"]).exits(2).says(&["no scenario is left"]);
}

#[test]
fn the_schema_is_one_and_refuses_what_is_no_result() {
    let ended = say(&["schema"]).exits(0);
    let schema: serde_json::Value = serde_json::from_str(&ended.out).expect("JSON");
    jsonschema::meta::validate(&schema).expect("a JSON Schema");
    let validator = jsonschema::validator_for(&schema).expect("a schema that validates");
    for wrong in ["{}", "[]", r#"{"schema_version": 2, "environments": {}, "runs": []}"#] {
        let wrong = serde_json::from_str(wrong).expect("JSON");
        assert!(!validator.is_valid(&wrong), "the schema takes {wrong}");
    }
}

#[test]
fn the_version_of_results_is_in_the_schema_and_documented() {
    let schema: serde_json::Value = serde_json::from_str(&say(&["schema"]).exits(0).out).expect("JSON");
    let properties = schema["properties"].as_object().expect("an object's properties");
    for name in ["schema_version", "environments", "runs", "pace", "matrix", "conformance", "selftests"] {
        assert!(properties.contains_key(name), "{properties:?}");
        assert!(properties[name]["description"].is_string(), "{name} is not described");
    }
}

#[test]
fn a_matrix_is_split_for_several_machines() {
    taught("matrix", 5).says(&["a column takes", "hazards.yaml"]);
    let ended = say(&["matrix", "--emit-github-matrix", "3"]).exits(0);
    let parts: serde_json::Value = serde_json::from_str(&ended.out).expect("JSON");
    assert_eq!(parts, serde_json::json!({ "partition": ["1/3", "2/3", "3/3"] }));
    say(&["matrix", "--partition", "4/3"]).exits(2).says(&["1/4 to 4/4"]);
    say(&["matrix", "--kernels", "7.3-kho-strnig"]).exits(2).says(&["did you mean `7.3-kho-string`?"]);
    let names_kernels = workspace().join("scenarios/versions/there-and-back.yaml");
    say(&["matrix", &names_kernels.to_string_lossy()]).exits(2).says(&["names a kernel itself (7.2)"]);
    say(&["matrix", "red-skipped-kexec"]).exits(2).says(&["no update that could come to something"]);
    say(&["matrix", "plain-kho", "--interfaces", "luo"]).exits(2).says(&["none of these scenarios"]);
}

#[test]
fn results_that_cannot_be_joined_say_why() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("other.json");
    std::fs::write(&path, "{}").expect("a file");
    let path = path.to_string_lossy();
    say(&["merge", &path]).exits(2).says(&["other.json cannot be read", "schema_version"]);
    say(&["merge", "nowhere.json"]).exits(2).says(&["nowhere.json cannot be read"]);
}

#[test]
fn the_kernels_own_tests_are_listed_and_chosen_by_name() {
    taught("kselftest", 5);
    taught("bisect", 3).says(&["a clone of its own", "skipped"]);
    taught("watch", 3).says(&["Ctrl-C ends it", "--interface"]);
    taught("shell", 3).says(&["Ctrl-A x", "preserve box"]);
    let ended = say(&["kselftest", "--list"]).exits(0);
    assert_eq!(ended.out.lines().count(), 6, "{ended}");
    ended.says(&["liveupdate ", "luo_kexec_simple", "luo_stress_sessions", "test_kho"]);
    say(&["kselftest", "luo_simple"]).exits(2).says(&["none of the kernel's own tests", "luo_kexec_simple"]);
}
