//! `cargo xtask scenario`

use std::collections::BTreeSet;
use std::fs;

use lab::cache::Cache;
use lab::host::{Cancel, Consent, ensure};
use lab::report::terminal::{LiveRun, Terminal, table};
use lab::report::write_json;
use lab::result::{Outcome, Report, Run, SCHEMA_VERSION};
use lab::run::stage::{self, Setup};
use lab::run::{Limits, Stage};
use lab::scenario::Document;
use lab::scenario::library::{Error as LibraryError, Library};
use lab::scenario::plan::Plan;

use crate::cli::Scenario;
use crate::exit::Exit;

pub(crate) fn run(options: &Scenario, cancel: &Cancel) -> Exit {
    let documents = match choose(options) {
        Ok(documents) => documents,
        Err(error) => {
            eprintln!("error: {error}");
            return Exit::Usage;
        }
    };
    let plans = match plans(&documents, options) {
        Ok(plans) => plans,
        Err(error) => {
            eprintln!("error: {error}");
            return Exit::Usage;
        }
    };
    if options.list {
        list(&documents);
        return Exit::Passed;
    }
    if plans.is_empty() {
        eprintln!("error: no scenario is left to run; `cargo xtask scenario --list` shows them all");
        return Exit::Usage;
    }
    let terminal = Terminal::new(options.verbose);
    match perform(&plans, options, &terminal, cancel) {
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

fn choose(options: &Scenario) -> Result<Vec<Document>, LibraryError> {
    let library = Library::new(crate::workspace().join("scenarios"));
    let mut documents = if options.wanted.is_empty() {
        library.all()?
    } else {
        options.wanted.iter().map(|wanted| library.find(wanted)).collect::<Result<_, _>>()?
    };
    if let Some(filter) = &options.filter {
        documents.retain(|document| document.name.contains(filter.as_str()));
    }
    Ok(documents)
}

type Planned<'a> = (&'a Document, Plan);

fn plans<'a>(documents: &'a [Document], options: &Scenario) -> Result<Vec<Planned<'a>>, LibraryError> {
    let mut plans = Vec::new();
    for document in documents {
        for &interface in &document.scenario.interfaces {
            if options.interface.is_none_or(|wanted| wanted == interface) {
                plans.push((document, document.plan(interface)?));
            }
        }
    }
    Ok(plans)
}

fn list(documents: &[Document]) {
    let width = documents.iter().map(|document| document.name.len()).max().unwrap_or(0);
    for document in documents {
        println!("{:<width$}  {}", document.name, document.scenario.about);
    }
}

fn perform(
    plans: &[Planned<'_>],
    options: &Scenario,
    terminal: &Terminal,
    cancel: &Cancel,
) -> Result<Exit, Box<dyn std::error::Error>> {
    let cache = Cache::open()?;
    let consent = if options.yes { Consent::Given } else { Consent::Ask };
    ensure(&cache, consent, terminal, cancel)?;
    let named: BTreeSet<String> = plans.iter().flat_map(|(_, plan)| plan.kernels()).map(str::to_owned).collect();
    let setup = Setup {
        workspace: crate::workspace(),
        kernel: options.kernel.clone(),
        named,
        accelerator: options.accel,
        limits: Limits { silence: options.silence, total: options.timeout },
        runs: options.runs.clone(),
    };
    let stage = stage::set(&setup, &cache, terminal, cancel)?;
    let environment = stage.environment(&cache);
    terminal.introduce(&environment);
    let mut runs = Vec::new();
    for (document, plan) in plans {
        let Some(run) = one(&stage, document, plan, options, terminal, cancel) else { break };
        runs.push(run);
    }
    let exit = judge(&runs, cancel);
    if !runs.is_empty() {
        println!("\n{}\n", table(&runs));
        let green = runs.iter().filter(|run| run.is_green()).count();
        println!("{green} passed, {} failed", runs.len() - green);
    }
    if let Some(path) = &options.json {
        let report = Report { schema_version: SCHEMA_VERSION, environment, runs };
        write_json(&report, path).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    Ok(exit)
}

fn one(
    stage: &Stage,
    document: &Document,
    plan: &Plan,
    options: &Scenario,
    terminal: &Terminal,
    cancel: &Cancel,
) -> Option<Run> {
    let title = format!("{} ({})", plan.scenario, format!("{:?}", plan.interface).to_lowercase());
    let mut live = LiveRun::new(terminal, title);
    let run = lab::run::run(stage, document, plan, &mut live, cancel);
    drop(live);
    let mut run = run.ok()?;
    terminal.conclude(&run);
    if run.is_green() && !options.keep {
        // Its figures are in the result; what is left would only fill the disk.
        let _ = fs::remove_dir_all(&run.artefacts);
        run.artefacts.clear();
    }
    Some(run)
}

fn judge(runs: &[Run], cancel: &Cancel) -> Exit {
    let undecided = |run: &Run| matches!(run.outcome, Outcome::Infrastructure { .. });
    if cancel.is_cancelled() {
        Exit::Cancelled
    } else if runs.iter().any(|run| !run.is_green() && !undecided(run)) {
        Exit::Failed
    } else if runs.iter().any(undecided) {
        Exit::Infrastructure
    } else {
        Exit::Passed
    }
}
