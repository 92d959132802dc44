//! `cargo xtask scenario`

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use lab::cache::Cache;
use lab::conformance::{self, Declared, Scope};
use lab::host::{Cancel, Consent, ensure};
use lab::kernel::{Catalogue, KernelSpec};
use lab::report::terminal::{Terminal, summary, table};
use lab::report::{conformance as matrix, write_json};
use lab::result::{Pace, Report, Run, SCHEMA_VERSION};
use lab::run::Limits;
use lab::run::pool::{self, Job, Limit};
use lab::run::stage::{self, Setup};
use lab::scenario::Document;
use lab::scenario::diagnostic::{Diagnostic, nearest};
use lab::scenario::library::{Error as LibraryError, Library};
use lab::scenario::plan::Plan;

use crate::cli::Scenario;
use crate::exit::Exit;
use crate::runs::{Watcher, judge};

pub(crate) fn run(options: &Scenario, cancel: &Cancel) -> Exit {
    let documents = match choose(options) {
        Ok(documents) => documents,
        Err(error) => {
            eprintln!("error: {error}");
            return Exit::Usage;
        }
    };
    if let Err(error) = known_tags(&documents, options) {
        eprintln!("error: {error}");
        return Exit::Usage;
    }
    let documents: Vec<Document> = documents.into_iter().filter(|document| is_tagged(document, options)).collect();
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
    let named = match named(&plans) {
        Ok(named) => named,
        Err(error) => {
            eprintln!("error: {error}");
            return Exit::Usage;
        }
    };
    let matrix = match asked_for_conformance(&plans, options) {
        Ok(matrix) => matrix,
        Err(error) => {
            eprintln!("error: {error}");
            return Exit::Usage;
        }
    };
    let terminal = Terminal::new(options.guests.verbose);
    match perform(&plans, named, options, matrix.as_ref(), &terminal, cancel) {
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

fn library() -> Library {
    Library::new(crate::workspace().join("scenarios"))
}

fn choose(options: &Scenario) -> Result<Vec<Document>, LibraryError> {
    let library = library();
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

/// A tag that no scenario has is a slip of the finger.
fn known_tags(documents: &[Document], options: &Scenario) -> Result<(), String> {
    let known: BTreeSet<&str> =
        documents.iter().flat_map(|document| &document.scenario.tags.0).map(String::as_str).collect();
    let unknown = options.tag.iter().chain(&options.skip_tag).find(|tag| !known.contains(tag.as_str()));
    let Some(tag) = unknown else { return Ok(()) };
    let meant = nearest(tag, known.iter().copied()).map_or(String::new(), |meant| format!("; did you mean `{meant}`?"));
    let all: Vec<&str> = known.into_iter().collect();
    Err(format!("no scenario has the tag `{tag}`{meant} (tags: {})", all.join(", ")))
}

fn is_tagged(document: &Document, options: &Scenario) -> bool {
    let has = |tags: &[String]| tags.iter().any(|tag| document.scenario.tags.0.contains(tag));
    (options.tag.is_empty() || has(&options.tag)) && !has(&options.skip_tag)
}

/// What is to be said of requirements, if that was asked for: on which faces, and what is declared of them.
fn asked_for_conformance(
    plans: &[Planned<'_>],
    options: &Scenario,
) -> Result<Option<(Scope, Declared)>, Box<Diagnostic>> {
    if !options.tag.iter().any(|tag| tag == conformance::TAG) {
        return Ok(None);
    }
    let path = library().declarations();
    let declared = Declared::read(&path)?;
    for (document, plan) in plans {
        let declared = plan.claims.iter().find(|claim| declared.reason(claim.requirement, plan.interface).is_some());
        if let Some(claim) = declared {
            let face = plan.interface.name();
            let message = format!(
                "{} on {face} is declared not applicable, and {} says to prove it",
                claim.requirement, document.name
            );
            return Err(Box::new(Diagnostic::about(&path.to_string_lossy(), message)));
        }
    }
    use protocol::message::Interface::{Kexecfs, Luo, Module};
    let faces = [Module, Kexecfs, Luo].into_iter().filter(|&face| options.interface.is_none_or(|only| only == face));
    let whole = options.wanted.is_empty() && options.filter.is_none() && options.skip_tag.is_empty();
    Ok(Some((Scope { faces: faces.collect(), whole }, declared)))
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

/// The kernels that steps name.
fn named(plans: &[Planned<'_>]) -> Result<BTreeMap<String, KernelSpec>, Box<dyn std::error::Error>> {
    let catalogue = Catalogue::read(crate::workspace())?;
    let names: BTreeSet<&str> = plans.iter().flat_map(|(_, plan)| plan.kernels()).collect();
    names.into_iter().map(|name| Ok((name.to_owned(), catalogue.find(name)?))).collect()
}

fn list(documents: &[Document]) {
    let width = documents.iter().map(|document| document.name.len()).max().unwrap_or(0);
    for document in documents {
        println!("{:<width$}  {}", document.name, document.scenario.about);
    }
}

fn perform(
    plans: &[Planned<'_>],
    named: BTreeMap<String, KernelSpec>,
    options: &Scenario,
    requirements: Option<&(Scope, Declared)>,
    terminal: &Terminal,
    cancel: &Cancel,
) -> Result<Exit, Box<dyn std::error::Error>> {
    let cache = Cache::open()?;
    let consent = if options.guests.yes { Consent::Given } else { Consent::Ask };
    ensure(&cache, options.guests.profile.compiler(), consent, terminal, cancel)?;
    let setup = Setup {
        workspace: crate::workspace(),
        kernel: options.kernel.clone(),
        profile: options.guests.profile,
        named,
        accelerator: options.guests.accel,
        limits: Limits { silence: options.guests.silence, total: options.guests.timeout, ..Limits::default() },
        runs: options.guests.runs.clone(),
    };
    let mut stage = stage::set(&setup, &cache, terminal, cancel)?;
    stage.snapshots = !options.guests.no_snapshot;
    let environment = stage.environment(&cache);
    terminal.introduce(&environment);
    let jobs: Vec<Job<'_>> = plans.iter().map(|(document, plan)| Job { stage: &stage, document, plan }).collect();
    let began = Instant::now();
    let limit = options.guests.jobs.map_or(Limit::Host, Limit::Guests);
    let mut watcher = Watcher::new(terminal, jobs.len(), options.guests.keep);
    let runs: Vec<Run> = pool::run(&jobs, limit, &mut watcher, cancel).into_iter().flatten().collect();
    drop(watcher);
    let pace = Pace::of(&runs, began.elapsed());
    let mut exit = judge(&runs, cancel);
    if !runs.is_empty() {
        println!("\n{}\n", table(&runs));
        println!("{}", summary(&runs, &pace));
    }
    let finished = runs.len() == plans.len();
    let conformance =
        requirements.filter(|_| finished).map(|(scope, declared)| conformance::judge(&runs, declared, scope));
    if let Some(conformance) = &conformance {
        println!("\n{}\n", matrix::table(conformance));
        for line in matrix::reasons(conformance).lines() {
            println!("{line}");
        }
        println!("\n{}", matrix::summary(conformance));
        if exit == Exit::Passed && !conformance.is_met() {
            exit = Exit::Failed;
        }
    }
    if let Some(path) = &options.guests.json {
        let report = Report {
            schema_version: SCHEMA_VERSION,
            environments: vec![environment],
            runs,
            pace: Some(pace),
            matrix: None,
            conformance,
            selftests: Vec::new(),
        };
        write_json(&report, path).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    Ok(exit)
}
