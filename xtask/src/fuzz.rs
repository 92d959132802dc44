//! `cargo xtask fuzz`: each target for a while, from its seeds on.

use lab::cache::Cache;
use lab::host::{Cancel, Consent, ensure_for_fuzzing};
use lab::report::terminal::Terminal;
use xshell::{Shell, cmd};

use crate::cli::Fuzz;
use crate::exit::Exit;

type Failure = Box<dyn std::error::Error>;

/// The targets that there are: each is a program of its own.
pub(crate) fn targets() -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(crate::workspace().join("fuzz/fuzz_targets"))? {
        names.extend(entry?.path().file_stem().map(|stem| stem.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

pub(crate) fn run(options: &Fuzz, cancel: &Cancel) -> Exit {
    let terminal = Terminal::new(false);
    let ready = Cache::open().map_err(Failure::from).and_then(|cache| {
        let consent = if options.yes { Consent::Given } else { Consent::Ask };
        ensure_for_fuzzing(&cache, consent, &terminal, cancel)?;
        let shell = Shell::new()?;
        shell.change_dir(crate::workspace());
        let wanted = if options.targets.is_empty() { targets()? } else { options.targets.clone() };
        Ok((shell, wanted))
    });
    terminal.clear();
    let (shell, wanted) = match ready {
        Ok(ready) => ready,
        Err(error) => {
            eprintln!("error: {error}");
            return if cancel.is_cancelled() { Exit::Cancelled } else { Exit::Infrastructure };
        }
    };
    let mut exit = Exit::Passed;
    for target in &wanted {
        if cancel.is_cancelled() {
            return Exit::Cancelled;
        }
        println!("== {target}");
        if let Err(error) = fuzz(&shell, target, options.seconds) {
            eprintln!("error: {target}: {error}");
            exit = Exit::Failed;
        }
    }
    if cancel.is_cancelled() { Exit::Cancelled } else { exit }
}

fn fuzz(shell: &Shell, target: &str, seconds: u32) -> Result<(), Failure> {
    // The stable compiler then takes what only a nightly one would: sanitizers.
    let _stable = shell.push_env("RUSTC_BOOTSTRAP", "1");
    let corpus = format!("fuzz/corpus/{target}");
    shell.create_dir(&corpus)?;
    // What is found goes to the first folder; the others are read.
    let mut folders = vec![corpus, format!("fuzz/seeds/{target}")];
    if target == "scenario" {
        folders.push("scenarios".to_owned());
    }
    let limits = [format!("-max_total_time={seconds}"), "-timeout=10".to_owned(), "-print_final_stats=1".to_owned()];
    Ok(cmd!(shell, "cargo fuzz run {target} {folders...} -- {limits...}").run()?)
}
