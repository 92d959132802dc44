//! What the fuzzers are known to have been through, and some more: without libFuzzer, on any toolchain, the same each
//! time.

#[path = "seeds/mutate.rs"]
mod mutate;

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::thread;

use fuzz::Target;
use mutate::Dice;

/// Inputs made of each target's seeds. `cargo xtask fuzz` makes millions.
const ROUNDS: u32 = 10_000;

#[test]
fn every_seed_and_many_like_them_pass() {
    thread::scope(|scope| {
        for &(name, run) in fuzz::TARGETS {
            scope.spawn(move || target(name, run));
        }
    });
}

fn target(name: &str, run: Target) {
    let seeds = seeds(name);
    assert!(!seeds.is_empty(), "{name} has no seeds");
    let pass = |what: &str, input: &[u8]| {
        if catch_unwind(|| run(input)).is_err() {
            let kept = std::env::temp_dir().join(format!("fuzz-{name}"));
            let kept = fs::write(&kept, input).map(|()| kept);
            panic!("{name} does not stand {what}, kept in {kept:?}");
        }
    };
    for (path, seed) in &seeds {
        pass(&path.display().to_string(), seed);
    }
    let mut dice = Dice::of(name);
    for round in 0..ROUNDS {
        let all: Vec<&[u8]> = seeds.iter().map(|(_, seed)| seed.as_slice()).collect();
        pass(&format!("what round {round} makes of its seeds"), &dice.mutate(&all));
    }
}

/// Files of a target by name, so that chance is the same everywhere.
fn seeds(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    collect(&here.join("seeds").join(name), &mut files);
    if name == "scenario" {
        collect(&here.join("../scenarios"), &mut files);
    }
    files.sort();
    files.into_iter().map(|path| (path.clone(), fs::read(path).expect("a seed can be read"))).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("seeds have a folder") {
        let path = entry.expect("a folder can be read").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_none_or(|extension| extension != "md") {
            files.push(path);
        }
    }
}
