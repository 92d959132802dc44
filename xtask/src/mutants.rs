//! `cargo xtask mutants`

use lab::cache::Cache;
use lab::host::{Cancel, Consent, ensure};
use lab::kernel::Catalogue;
use lab::mutants::{self, Audience, Hunt, Mutant, hunt};
use lab::report::live::LiveRuns;
use lab::report::mutants::{summary, table};
use lab::report::terminal::Terminal;
use lab::report::write_json;
use lab::result::{Fate, MutantResult, Run};
use lab::run::stage::Setup;
use lab::run::{Limits, Observer};
use lab::scenario::library::Library;
use lab::scenario::plan::Plan;

use crate::cli::Mutants;
use crate::exit::Exit;

pub(crate) fn run(options: &Mutants, cancel: &Cancel) -> Exit {
    if options.schema {
        println!("{}", lab::report::mutants_schema());
        return Exit::Passed;
    }
    let mut chosen = match mutants::all(crate::workspace()) {
        Ok(mutants) => mutants,
        Err(error) => {
            eprintln!("error: {error}");
            return Exit::Usage;
        }
    };
    if !options.filter.is_empty() {
        chosen.retain(|mutant| options.filter.iter().any(|filter| mutant.name.contains(filter.as_str())));
    }
    if chosen.is_empty() {
        eprintln!("error: no mutant is left; `cargo xtask mutants --list` shows them all");
        return Exit::Usage;
    }
    if options.list {
        for mutant in &chosen {
            println!("{}\n    {}\n    {}", mutant.name, mutant.mistake, mutant.met_as);
        }
        return Exit::Passed;
    }
    let terminal = Terminal::new(options.verbose);
    let exit = perform(options, &chosen, &terminal, cancel);
    terminal.clear();
    exit.unwrap_or_else(|error| {
        if cancel.is_cancelled() {
            return Exit::Cancelled;
        }
        eprintln!("error: {error}");
        Exit::Infrastructure
    })
}

fn perform(
    options: &Mutants,
    chosen: &[Mutant],
    terminal: &Terminal,
    cancel: &Cancel,
) -> Result<Exit, Box<dyn std::error::Error>> {
    let library = Library::new(crate::workspace().join("scenarios"));
    let documents = match &options.scenario[..] {
        [] => library.all()?,
        names => names.iter().map(|name| library.find(name)).collect::<Result<_, _>>()?,
    };
    let catalogue = Catalogue::read(crate::workspace())?;
    let mut named = std::collections::BTreeMap::new();
    for document in &documents {
        for &interface in &document.scenario.interfaces {
            for name in document.plan(interface)?.kernels() {
                named.insert(name.to_owned(), catalogue.find(name)?);
            }
        }
    }
    let cache = Cache::open()?;
    let consent = if options.yes { Consent::Given } else { Consent::Ask };
    ensure(&cache, options.profile.compiler(), consent, terminal, cancel)?;
    let setup = Setup {
        workspace: crate::workspace(),
        kernel: options.kernel.clone(),
        profile: options.profile,
        named,
        accelerator: options.accel,
        limits: Limits::default(),
        runs: options.runs.clone(),
    };
    let hunted = Hunt { setup, documents: &documents, to_the_end: options.all };
    let mut watcher = Watcher { live: LiveRuns::new(terminal, 1), terminal, keep: options.keep };
    let found = hunt(&hunted, chosen, &cache, &mut watcher, terminal, cancel)?;
    drop(watcher);
    println!("\n{}\n\n{}", table(&found), summary(&found));
    if let Some(path) = &options.json {
        write_json(&found, path).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    let any = |is: fn(&Fate) -> bool| found.mutants.iter().any(|result| is(&result.fate));
    Ok(if any(|fate| matches!(fate, Fate::Missed { .. })) {
        Exit::Failed
    } else if any(|fate| matches!(fate, Fate::Error { .. })) {
        Exit::Infrastructure
    } else {
        Exit::Passed
    })
}

/// Shows it.
struct Watcher<'a> {
    live: LiveRuns<'a>,
    terminal: &'a Terminal,
    keep: bool,
}

impl Audience for Watcher<'_> {
    fn begins(&mut self, mutant: Option<&Mutant>, plan: &Plan) -> Box<dyn Observer + '_> {
        self.terminal.clear();
        let of = mutant.map_or("no mutant", |mutant| mutant.name.as_str());
        Box::new(self.live.begins(format!("{of}: {} ({})", plan.scenario, plan.interface.name())))
    }

    fn ended(&mut self, mutant: Option<&Mutant>, run: &Run) {
        // What a mutant makes red is no finding; what is red without one is.
        let expected = mutant.is_some() || run.is_green();
        if expected && !self.keep {
            let _ = std::fs::remove_dir_all(&run.artefacts);
        }
        if mutant.is_none() {
            self.terminal.conclude(run);
        }
    }

    fn judged(&mut self, mutant: &Mutant, result: &MutantResult) {
        self.terminal.judged(mutant, result);
    }
}
