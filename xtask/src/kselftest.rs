//! `cargo xtask kselftest`

use std::fs;

use lab::cache::Cache;
use lab::host::{Cancel, Consent, ensure};
use lab::report::live::LiveRuns;
use lab::report::selftest::{kept, lines, summary};
use lab::report::terminal::Terminal;
use lab::report::write_json;
use lab::result::{Report, SCHEMA_VERSION, Selftest, SelftestOutcome};
use lab::run::Limits;
use lab::run::stage::Setup;
use lab::selftest::{self, Test};

use crate::cli::Kselftest;
use crate::exit::Exit;

pub(crate) fn run(options: &Kselftest, cancel: &Cancel) -> Exit {
    if options.list {
        for test in Test::ALL {
            println!("{:<20}  {}", test.name(), test.about());
        }
        return Exit::Passed;
    }
    let terminal = Terminal::new(options.verbose);
    match perform(options, &terminal, cancel) {
        Ok(exit) => exit,
        Err(error) => {
            terminal.clear();
            if cancel.is_cancelled() {
                return Exit::Cancelled;
            }
            eprintln!("error: {error}");
            Exit::Infrastructure
        }
    }
}

fn perform(options: &Kselftest, terminal: &Terminal, cancel: &Cancel) -> Result<Exit, Box<dyn std::error::Error>> {
    let cache = Cache::open()?;
    let consent = if options.booted.yes { Consent::Given } else { Consent::Ask };
    ensure(&cache, options.booted.profile.compiler(), consent, terminal, cancel)?;
    let setup = Setup {
        workspace: crate::workspace(),
        kernel: options.booted.kernel.clone(),
        profile: options.booted.profile,
        named: Default::default(),
        accelerator: options.booted.accel,
        limits: Limits { silence: options.silence, total: options.timeout, ..Limits::default() },
        runs: options.runs.clone(),
    };
    let tests_of = options.tests_of.as_ref().unwrap_or(&setup.kernel);
    let bench = selftest::set(&setup, tests_of, &cache, terminal, cancel)?;
    let environment = bench.stage.environment(&cache);
    terminal.introduce(&environment);
    let wanted = if options.tests.is_empty() { Test::ALL } else { &options.tests };
    let live = LiveRuns::new(terminal, wanted.len());
    let mut all = Vec::new();
    for &test in wanted {
        let cases = selftest::run(&bench, test, &mut live.begins(test.name().to_owned()), cancel);
        live.ended();
        let Ok(mut cases) = cases else { break };
        if !options.keep && cases.iter().all(is_harmless) {
            for case in &mut cases {
                // What it said is in the result; what is left would only fill the disk.
                let _ = fs::remove_dir_all(&case.artefacts);
                case.artefacts.clear();
            }
        }
        let said = cases.iter().map(lines).chain(kept(&cases)).collect::<Vec<_>>().join("\n");
        terminal.say(&said);
        all.extend(cases);
    }
    drop(live);
    let exit = judge(&all, cancel);
    if !all.is_empty() {
        println!("\n{}", summary(&all));
    }
    if let Some(path) = &options.json {
        let report = Report {
            schema_version: SCHEMA_VERSION,
            environments: vec![environment],
            runs: Vec::new(),
            pace: None,
            matrix: None,
            conformance: None,
            selftests: all,
        };
        write_json(&report, path).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    Ok(exit)
}

/// Whether nobody has to look at what it left.
fn is_harmless(case: &Selftest) -> bool {
    !matches!(case.outcome, SelftestOutcome::Failed(_) | SelftestOutcome::Infrastructure { .. })
}

fn judge(all: &[Selftest], cancel: &Cancel) -> Exit {
    if cancel.is_cancelled() {
        Exit::Cancelled
    } else if all.iter().any(|case| matches!(case.outcome, SelftestOutcome::Failed(_))) {
        Exit::Failed
    } else if all.iter().all(is_harmless) {
        Exit::Passed
    } else {
        Exit::Infrastructure
    }
}
