use std::fs;
use std::process::Command;

use super::*;

/// A repository whose commits each leave a word in a file: what a test would find there.
fn repository(words: &[&str]) -> (tempfile::TempDir, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let git = |arguments: &[&str]| {
        let name = ["-c", "user.name=x", "-c", "user.email=x@example.org"];
        let output = Command::new("git").arg("-C").arg(folder.path()).args(name).args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    git(&["init", "--quiet", "--initial-branch=main"]);
    let commit = |(number, word): (usize, &&str)| {
        fs::write(folder.path().join("word"), format!("{word} {number}")).unwrap();
        git(&["add", "."]);
        git(&["commit", "--quiet", "--message", &format!("number {number}")]);
        git(&["rev-parse", "HEAD"])
    };
    let ids = words.iter().enumerate().map(commit).collect();
    (folder, ids)
}

/// What the commit's file says, as a verdict.
fn judge(folder: &Path) -> Verdict {
    let word = fs::read_to_string(folder.join("word")).unwrap();
    match word.split(' ').next() {
        Some("good") => Verdict::Green,
        Some("bad") => Verdict::Red("it says so".to_owned()),
        Some("broken") => Verdict::Untestable("it does not build".to_owned()),
        _ => Verdict::Infrastructure("the disk is full".to_owned()),
    }
}

fn searched(words: &[&str]) -> (Result<Bisection, Error>, Vec<String>, Vec<String>) {
    let (repository, ids) = repository(words);
    let clones = tempfile::tempdir().unwrap();
    let (good, bad) = (ids[0].clone(), "main");
    let before = state(repository.path());
    let mut asked = Vec::new();
    let wanted = Search { repository: repository.path(), good: &good, bad, folder: &clones.path().join("a/clone") };
    let found = search(&wanted, &mut |commit, folder| {
        asked.push(commit.id.clone());
        Some(judge(folder))
    });
    assert_eq!(state(repository.path()), before, "the repository is as it was");
    (found, ids, asked)
}

/// All that git keeps of a repository, and its checkout.
fn state(repository: &Path) -> Vec<(String, Option<Vec<u8>>)> {
    let mut found = Vec::new();
    let mut pending = vec![repository.to_owned()];
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            found.push((path.display().to_string(), fs::read(&path).ok()));
            if path.is_dir() {
                pending.push(path);
            }
        }
    }
    found.sort();
    found
}

#[test]
fn the_first_bad_commit_is_found_and_the_ends_are_asked_first() {
    let words = ["good", "good", "good", "good", "bad", "bad", "bad", "bad", "bad"];
    let (bisection, ids, asked) = searched(&words);
    let bisection = bisection.unwrap();
    assert_eq!(bisection.found, Found::First(Commit { id: ids[4].clone(), subject: "number 4".to_owned() }));
    assert_eq!(asked[..2], [ids[0].clone(), ids[8].clone()]);
    assert!(asked.len() <= 2 + 4, "{asked:?}");
    assert!(bisection.log.contains("first bad commit") && bisection.log.contains(&ids[4]), "{}", bisection.log);
}

#[test]
fn what_cannot_be_tested_is_passed_over() {
    let (bisection, ids, _) = searched(&["good", "good", "broken", "good", "bad", "broken", "bad"]);
    assert_eq!(bisection.unwrap().found, Found::First(Commit { id: ids[4].clone(), subject: "number 4".to_owned() }));
    let (bisection, ids, _) = searched(&["good", "broken", "broken", "bad"]);
    let Found::OneOf(candidates) = bisection.unwrap().found else { panic!("nobody can know that") };
    let mut candidates: Vec<String> = candidates.into_iter().map(|commit| commit.id).collect();
    candidates.sort();
    let mut wanted = ids[1..].to_vec();
    wanted.sort();
    assert_eq!(candidates, wanted);
}

#[test]
fn ends_that_are_not_as_said_are_told() {
    for (words, said, is) in [
        (["bad", "good", "bad"], "good", "bad: it says so"),
        (["good", "bad", "good"], "bad", "good"),
        (["broken", "good", "bad"], "good", "skipped: it does not build"),
        (["good", "good", "full"], "bad", "not found out: the disk is full"),
    ] {
        let error = searched(&words).0.unwrap_err();
        assert!(matches!(&error, Error::NotAsSaid { said: told, .. } if *told == said), "{error}");
        assert!(error.to_string().ends_with(&format!("is said to be {said}, and is {is}")), "{error}");
    }
}

#[test]
fn what_the_lab_could_not_find_out_ends_the_search_with_its_log() {
    let error = searched(&["good", "full", "full", "full", "bad"]).0.unwrap_err();
    assert!(error.to_string().contains("the disk is full") && error.to_string().contains("git bisect"), "{error}");
}

#[test]
fn who_stops_is_obeyed_and_the_next_search_starts_anew() {
    let (repository, ids) = repository(&["good", "good", "good", "bad", "bad"]);
    let clones = tempfile::tempdir().unwrap();
    let folder = clones.path().join("clone");
    let wanted = Search { repository: repository.path(), good: &ids[0], bad: "main", folder: &folder };
    let mut left = 3;
    let stopped = search(&wanted, &mut |_, folder| {
        left -= 1;
        (left > 0).then(|| judge(folder))
    });
    assert!(matches!(stopped, Err(Error::Cancelled)));
    let found = search(&wanted, &mut |_, folder| Some(judge(folder))).unwrap().found;
    assert_eq!(found, Found::First(Commit { id: ids[3].clone(), subject: "number 3".to_owned() }));
    let unknown = search(&Search { bad: "nothing", ..wanted }, &mut |_, folder| Some(judge(folder)));
    assert!(unknown.unwrap_err().to_string().contains("has no commit `nothing`"));
}
