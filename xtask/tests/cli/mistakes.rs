//! What cannot be, and how that is told: exit code 2, the place, and what was meant.

use std::fs;

use crate::common::{ended, say, xtask};

const HEAD: &str = "about: a test\nsteps:\n  - create: {name: ledger, size: 4 KiB}\n";

#[test]
fn a_wrong_file_is_shown_at_its_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mine.yaml");
    let file = path.to_str().expect("UTF-8");
    for (yaml, place, words) in [
        // A list that is never closed; a tab where YAML takes none.
        ("about: a test\nsteps: [\n".to_owned(), ":3:", &[][..]),
        ("about: a test\nsteps:\n\t- update\n".to_owned(), ":3:", &[]),
        ("about: [a test]\nsteps: []\n".to_owned(), ":1:8", &["expected a string", "^"]),
        ("about: a test\nstps: []\n".to_owned(), ":2:1", &["unknown field `stps`", "did you mean `steps`?"]),
        (format!("{HEAD}  - preserv: ledger\n"), ":4:5", &["did you mean `preserve`?"]),
        (HEAD.replace("4 KiB", "[4]"), ":3:", &["a size"]),
        (format!("{HEAD}  - update: 3\n"), ":4:", &["invalid type"]),
        (format!("{HEAD}  - preserve: ledger\n  - retrieve: ledger\n"), ":5:5", &["before an update", "`update` step"]),
        (format!("{HEAD}  - preserve: leger\n"), ":4:5", &["no object `leger`", "did you mean `ledger`?"]),
    ] {
        fs::write(&path, &yaml).expect("a file");
        let ended = say(&["scenario", file]).exits(2);
        assert!(ended.out.is_empty(), "{ended}");
        // The place stands right behind the path, as editors and terminals take it.
        let place = format!("{file}{place}");
        ended.says(&[&place, "error: "]).says(words);
    }
}

#[test]
fn what_is_no_text_or_too_much_of_it_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mine.yaml");
    let file = path.to_str().expect("UTF-8");
    fs::write(&path, [0xff, 0xfe, 0, 0]).expect("a file");
    say(&["scenario", file]).exits(2).says(&[file]);
    fs::write(&path, "#".repeat(2 << 20)).expect("a file");
    say(&["scenario", file]).exits(2).says(&[file, "at most"]);
    fs::write(&path, "").expect("a file");
    say(&["scenario", file]).exits(2).says(&[file, "about"]);
}

#[test]
fn an_unknown_name_is_answered_with_the_nearest() {
    say(&["scenario", "one-objct"]).exits(2).says(&["no scenario `one-objct`", "did you mean `one-object`?"]);
    let ended = say(&["scenario", "nothing-like-it-at-all"]).exits(2);
    assert!(!ended.err.contains("did you mean"), "{ended}");
    say(&["scenario", "--filter", "nothing-like-it-at-all"]).exits(2).says(&["--list"]);
    say(&["scenario", "missing.yaml"]).exits(2).says(&["missing.yaml"]);
}

#[test]
fn options_are_checked_before_anything_happens() {
    let refused: [(&[&str], &[&str]); 13] = [
        (&["--kernel", "banana"], &["`banana` names no kernel", "7.3", "path:", "git:"]),
        (&["--kernel", ""], &["it is empty"]),
        (&["--kernel", "/home/me/linux"], &["path:"]),
        (&["--kernel", "git:/home/me/linux"], &["the reference after `#` is missing"]),
        (&["--kernel", "http://example.org/linux.tar.xz"], &["sha256"]),
        (&["--kernel", "7.3-rc1"], &["git"]),
        (&["--accel", "xen"], &["`xen` is no accelerator", "auto, kvm, tcg or icount"]),
        (&["--profile", "slow"], &["`slow` is no profile: fast, tuned, debug or kasan"]),
        (&["--interface", "lou"], &["luo, module, kexecfs or kho"]),
        (&["--timeout", "0"], &["--timeout", "between 0.1 s and a day"]),
        (&["--timeout", "soon"], &["not a number of seconds"]),
        (&["--silence=-3"], &["--silence", "between 0.1 s and a day"]),
        (&["--interfac", "luo"], &["--interface"]),
    ];
    for (words, told) in refused {
        let ended = say(&[&["scenario"], words].concat()).exits(2);
        assert!(ended.out.is_empty(), "{ended}");
        ended.says(told);
    }
    for seconds in ["nan", "inf", "1e300"] {
        say(&["scenario", "--timeout", seconds]).exits(2).says(&["--timeout"]);
    }
    say(&["frobnicate"]).exits(2).says(&["frobnicate", "--help"]);
    say(&[]).exits(2).says(&["Usage: cargo xtask <COMMAND>"]);
}

#[test]
fn a_mistake_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = folder.path().join("cache");
    let mut command = xtask();
    command.args(["scenario", "one-objct", "--runs", "runs"]).current_dir(folder.path()).env("XDG_CACHE_HOME", &cache);
    ended(command).exits(2);
    assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), 0);
}
