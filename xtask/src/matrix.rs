//! `cargo xtask matrix`

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use lab::cache::Cache;
use lab::host::{Cancel, Consent, ensure};
use lab::kernel::{Catalogue, KernelSpec};
use lab::matrix::{Cell, Hazards, Partition, cells, finding, obstacle, told};
use lab::report::terminal::{Terminal, summary};
use lab::report::{matrix as shown, write_json, write_text};
use lab::result::{Finding, Matrix as Told, MatrixKernel, Pace, Report, Run, SCHEMA_VERSION};
use lab::run::pool::{self, Job, Limit};
use lab::run::stage::{Setup, Workshop};
use lab::run::{Bootable, Expect, Limits, Stage};
use lab::scenario::Document;
use lab::scenario::library::Library;
use lab::scenario::plan::Plan;
use protocol::message::Interface;

use crate::cli::Matrix;
use crate::exit::Exit;
use crate::runs::{Watcher, judge};

type Failure = Box<dyn std::error::Error>;

pub(crate) fn run(options: &Matrix, cancel: &Cancel) -> Exit {
    let asked = match Asked::read(options) {
        Ok(asked) => asked,
        Err(error) => {
            eprintln!("error: {error}");
            return Exit::Usage;
        }
    };
    if let Some(parts) = options.emit_github_matrix {
        println!("{}", Partition::for_github(parts.get().into()));
        return Exit::Passed;
    }
    let terminal = Terminal::new(options.guests.verbose);
    match asked.perform(options, &terminal, cancel) {
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

/// What is wanted, read and known to make sense.
struct Asked {
    kernels: Vec<KernelSpec>,
    documents: Vec<Document>,
    interfaces: Vec<Interface>,
    hazards: Arc<Hazards>,
    /// By document and interface.
    plans: BTreeMap<(usize, &'static str), Plan>,
}

impl Asked {
    fn read(options: &Matrix) -> Result<Self, Failure> {
        let catalogue = Catalogue::read(crate::workspace())?;
        let whole = options.kernels.iter().any(|name| name == "all");
        let kernels: Vec<KernelSpec> = if options.kernels.is_empty() || whole {
            let named = catalogue.named().map(|named| named.spec.clone());
            named.filter(|spec| whole || spec.patches.is_empty()).collect()
        } else {
            options.kernels.iter().map(|name| catalogue.find(name)).collect::<Result<_, _>>()?
        };
        let library = Library::new(crate::workspace().join("scenarios"));
        let documents: Vec<Document> =
            options.wanted.iter().map(|wanted| library.find(wanted)).collect::<Result<_, _>>()?;
        let all = || Interface::ALL.iter().copied().chain([Interface::Kho]).collect();
        let interfaces = if options.interfaces.is_empty() { all() } else { options.interfaces.clone() };
        let mut plans = BTreeMap::new();
        for (at, document) in documents.iter().enumerate() {
            for &interface in document.scenario.interfaces.iter().filter(|by| interfaces.contains(by)) {
                let plan = document.plan(interface)?;
                if let Some(kernel) = plan.kernels().next() {
                    return Err(
                        format!("{} names a kernel itself ({kernel}): a matrix does that", document.name).into()
                    );
                }
                if plan.hops() == 0 || plan.must_fail.is_some() {
                    return Err(format!("{} has no update that could come to something", document.name).into());
                }
                plans.insert((at, interface.name()), plan);
            }
        }
        if plans.is_empty() {
            return Err("none of these scenarios goes through one of these interfaces".into());
        }
        Ok(Self { kernels, documents, interfaces, hazards: Arc::new(Hazards::read(crate::workspace())?), plans })
    }

    fn perform(&self, options: &Matrix, terminal: &Terminal, cancel: &Cancel) -> Result<Exit, Failure> {
        let cache = Cache::open()?;
        let consent = if options.guests.yes { Consent::Given } else { Consent::Ask };
        ensure(&cache, options.guests.profile.compiler(), consent, terminal, cancel)?;
        let all = cells(self.kernels.len(), &self.documents, &self.interfaces);
        let mine = options.partition.of(all.len());
        let runs = options.report.as_ref().map_or(options.guests.runs.clone(), |folder| folder.join("runs"));
        let limits = Limits { silence: options.guests.silence, total: options.guests.timeout, ..Limits::default() };
        let first = self.kernels.first().ok_or("there is no kernel")?;
        let setup = Setup {
            workspace: crate::workspace(),
            kernel: first.clone(),
            profile: options.guests.profile,
            named: BTreeMap::new(),
            accelerator: options.guests.accel,
            limits,
            runs,
        };
        let workshop = Workshop::open(&setup, &cache, terminal, cancel)?;
        let mut bootables: Vec<Result<Bootable, String>> = Vec::new();
        for (at, kernel) in self.kernels.iter().enumerate() {
            let needed = all[mine.clone()].iter().any(|cell| cell.from == at || cell.to == at);
            bootables.push(if needed {
                workshop.provide(kernel).map_err(|error| error.to_string())
            } else {
                Err("another machine's part".to_owned())
            });
            if cancel.is_cancelled() {
                return Ok(Exit::Cancelled);
            }
        }
        for (kernel, bootable) in self.kernels.iter().zip(&bootables) {
            if let Err(why) = bootable {
                eprintln!("warning: {} takes no part: {why}", kernel.name);
            }
        }
        let Some(base) = bootables.iter().flatten().next() else {
            return Err("no kernel can be had".into());
        };
        let base = Stage { snapshots: !options.guests.no_snapshot, ..workshop.stage(base.clone(), BTreeMap::new())? };
        let (jobs, mut findings) = self.jobs(&all, mine, &bootables, &base);
        let environment = Stage { into: bootables.iter().flatten().cloned().collect(), ..base }.environment(&cache);
        terminal.introduce(&environment);

        let began = Instant::now();
        let limit = options.guests.jobs.map_or(Limit::Host, Limit::Guests);
        let to_run: Vec<Job<'_>> = jobs
            .iter()
            .filter_map(|(cell, stage)| {
                let plan = self.plans.get(&(cell.document, cell.interface.name()))?;
                Some(Job { stage, document: &self.documents[cell.document], plan })
            })
            .collect();
        let mut watcher = Watcher::new(terminal, to_run.len(), options.guests.keep);
        let runs: Vec<Option<Run>> = pool::run(&to_run, limit, &mut watcher, cancel);
        drop(watcher);
        if cancel.is_cancelled() {
            return Ok(Exit::Cancelled);
        }
        let mut made = Vec::new();
        for ((cell, _), run) in jobs.iter().zip(runs) {
            let Some(run) = run else { continue };
            let at = all.iter().position(|known| known == cell).unwrap_or_default();
            findings[at] = finding(&run, made.len(), &self.hazards);
            made.push(run);
        }
        let names: Vec<String> = self.kernels.iter().map(|kernel| kernel.name.clone()).collect();
        let told_cells = all.iter().zip(findings).map(|(&cell, finding)| told(cell, &names, &self.documents, finding));
        let matrix = Told {
            kernels: names.iter().zip(&bootables).map(|(name, bootable)| kernel(name, bootable)).collect(),
            cells: told_cells.collect(),
        };
        let pace = Pace::of(&made, began.elapsed());
        let exit = judge(&made, cancel);
        let report = Report {
            schema_version: SCHEMA_VERSION,
            environments: vec![environment],
            runs: made,
            pace: Some(pace),
            matrix: Some(matrix),
            conformance: None,
            selftests: Vec::new(),
        };
        if let Some(matrix) = &report.matrix {
            println!("\n{}\n{}\n\n{}", shown::table(matrix), shown::differences(&report), shown::summary(matrix));
        }
        println!("{}", summary(&report.runs, &pace));
        if let Some(path) = &options.guests.json {
            write_json(&report, path).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        }
        if let Some(folder) = &options.report {
            write_report(&report, folder)?;
        }
        Ok(exit)
    }

    /// What is to be run, and what is known without.
    fn jobs(
        &self,
        all: &[Cell],
        mine: std::ops::Range<usize>,
        bootables: &[Result<Bootable, String>],
        base: &Stage,
    ) -> (Vec<(Cell, Stage)>, Vec<Finding>) {
        let mut jobs = Vec::new();
        let mut findings = Vec::new();
        for (at, &cell) in all.iter().enumerate() {
            let facts =
                |kernel: usize| bootables[kernel].as_ref().map(|bootable| &bootable.facts).map_err(String::as_str);
            findings.push(match (mine.contains(&at), obstacle(facts(cell.from), facts(cell.to), cell.interface)) {
                (false, _) => Finding::Elsewhere,
                (true, Some(reason)) => Finding::NotApplicable { reason },
                (true, None) => {
                    if let (Ok(from), Ok(to)) = (&bootables[cell.from], &bootables[cell.to]) {
                        let stage = Stage {
                            kernel: from.clone(),
                            into: vec![to.clone(), from.clone()],
                            expect: Expect::Predicted(Arc::clone(&self.hazards)),
                            ..base.clone()
                        };
                        jobs.push((cell, stage));
                    }
                    Finding::Elsewhere
                }
            });
        }
        (jobs, findings)
    }
}

fn kernel(name: &str, bootable: &Result<Bootable, String>) -> MatrixKernel {
    let (release, unobtainable) = match bootable {
        Ok(bootable) => (Some(bootable.facts.release.clone()), None),
        Err(why) => (None, Some(why.clone())),
    };
    MatrixKernel { name: name.to_owned(), release, unobtainable }
}

/// A page with its picture, the picture alone, Markdown, and the results themselves.
pub(crate) fn write_report(report: &Report, folder: &Path) -> Result<(), String> {
    let failed = |path: &Path, error: std::io::Error| format!("cannot write {}: {error}", path.display());
    fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    let texts = [
        ("index.html", shown::page(report, folder)),
        ("matrix.svg", shown::heat_map(report, &|_| None)),
        ("matrix.md", shown::markdown(report)),
    ];
    for (name, text) in texts {
        let path = folder.join(name);
        write_text(&text, &path).map_err(|error| failed(&path, error))?;
    }
    let path = folder.join("results.json");
    write_json(report, &path).map_err(|error| failed(&path, error))?;
    println!("report: {}", folder.join("index.html").display());
    Ok(())
}
