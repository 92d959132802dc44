//! `cargo xtask bisect`

use std::fs;
use std::path::Path;

use lab::bisect::{self, Bisection, Commit, Found, Search, Verdict};
use lab::cache::{Cache, Key, Lock};
use lab::host::{Cancel, Consent, ensure};
use lab::kernel::{self, KernelSource};
use lab::report::live::LiveRuns;
use lab::report::terminal::Terminal;
use lab::result::{Outcome, Run};
use lab::run::Limits;
use lab::run::stage::{self, Setup};
use lab::scenario::Document;
use lab::scenario::library::{Error as LibraryError, Library};
use lab::scenario::plan::Plan;

use crate::cli::Bisect;
use crate::exit::Exit;

type Failure = Box<dyn std::error::Error>;

pub(crate) fn run(options: &Bisect, cancel: &Cancel) -> Exit {
    let library = Library::new(crate::workspace().join("scenarios"));
    let documents = options.scenarios.iter().map(|wanted| library.find(wanted)).collect::<Result<Vec<_>, _>>();
    let planned = documents.and_then(|documents| {
        let plans = documents.iter().map(|document| plans(document, options)).collect::<Result<Vec<_>, _>>()?;
        Ok(documents.into_iter().zip(plans).collect::<Vec<_>>())
    });
    let planned = match planned {
        Ok(planned) => planned,
        Err(error) => {
            eprintln!("error: {error}");
            return Exit::Usage;
        }
    };
    if planned.iter().all(|(_, plans)| plans.is_empty()) {
        eprintln!("error: none of these scenarios goes through that interface");
        return Exit::Usage;
    }
    let terminal = Terminal::new(options.verbose);
    match perform(&planned, options, &terminal, cancel) {
        Ok(bisection) => {
            terminal.say(&told(&bisection));
            Exit::Passed
        }
        Err(error) => {
            terminal.clear();
            if cancel.is_cancelled() {
                return Exit::Cancelled;
            }
            eprintln!("error: {error}");
            match error.downcast_ref() {
                Some(bisect::Error::NotAsSaid { .. }) => Exit::Failed,
                _ => Exit::Infrastructure,
            }
        }
    }
}

fn plans(document: &Document, options: &Bisect) -> Result<Vec<Plan>, LibraryError> {
    let wanted = |interface: &&_| options.interface.is_none_or(|only| only == **interface);
    let interfaces = document.scenario.interfaces.iter().filter(wanted);
    interfaces.map(|&interface| Ok(document.plan(interface)?)).collect()
}

fn perform(
    planned: &[(Document, Vec<Plan>)],
    options: &Bisect,
    terminal: &Terminal,
    cancel: &Cancel,
) -> Result<Bisection, Failure> {
    let cache = Cache::open()?;
    let consent = if options.yes { Consent::Given } else { Consent::Ask };
    ensure(&cache, options.profile.compiler(), consent, terminal, cancel)?;
    let repository = fs::canonicalize(&options.repository)
        .map_err(|error| format!("cannot open {}: {error}", options.repository.display()))?;
    let key = Key::of([("repository", repository.display().to_string().as_str())]);
    let purpose = format!("searches {}", repository.display());
    let _lock = Lock::take(&cache.lock_path("bisect", &key), &purpose, terminal, cancel)?;
    let folder = cache.root().join("bisect").join(key.short());
    let mut judge = Judge { planned, options, cache: &cache, terminal, cancel, last_bad: None };
    let search = Search { repository: &repository, good: &options.good, bad: &options.bad, folder: &folder };
    Ok(bisect::search(&search, &mut |commit, folder| judge.commit(commit, folder))?)
}

/// What git's answer is, its log behind it.
fn told(bisection: &Bisection) -> String {
    let found = match &bisection.found {
        Found::First(commit) => format!("{} is the first bad commit: {}", commit.id, commit.subject),
        Found::OneOf(commits) => {
            let lines: Vec<String> = commits.iter().map(|commit| format!("  {commit}")).collect();
            format!("it is one of these; what lies between cannot be tested:\n{}", lines.join("\n"))
        }
    };
    format!("\n{}\n{found}", bisection.log.trim_end())
}

struct Judge<'a> {
    planned: &'a [(Document, Vec<Plan>)],
    options: &'a Bisect,
    cache: &'a Cache,
    terminal: &'a Terminal,
    cancel: &'a Cancel,
    /// The folder of the last bad run: the one that is kept.
    last_bad: Option<String>,
}

impl Judge<'_> {
    fn commit(&mut self, commit: &Commit, folder: &Path) -> Option<Verdict> {
        self.terminal.say(&format!("\ntesting {commit}"));
        let verdict = self.try_out(folder);
        self.terminal.clear();
        if self.cancel.is_cancelled() {
            return None;
        }
        self.terminal.say(&format!("{:.12} is {}", commit.id, verdict.words()));
        Some(verdict)
    }

    fn try_out(&mut self, folder: &Path) -> Verdict {
        let setup = Setup {
            workspace: crate::workspace(),
            kernel: KernelSource::Path(folder.to_owned()).into(),
            profile: self.options.profile,
            named: Default::default(),
            accelerator: self.options.accel,
            limits: Limits { silence: self.options.silence, total: self.options.timeout, ..Limits::default() },
            runs: self.options.runs.clone(),
        };
        let stage = match stage::set(&setup, self.cache, self.terminal, self.cancel) {
            Ok(stage) => stage,
            Err(stage::Error::Kernel(
                error @ (kernel::Error::Build { .. } | kernel::Error::Config { .. } | kernel::Error::NotATree { .. }),
            )) => return Verdict::Untestable(error.to_string()),
            Err(error) => return Verdict::Infrastructure(error.to_string()),
        };
        self.terminal.clear();
        let live = LiveRuns::new(self.terminal, 1);
        for (document, plans) in self.planned {
            for plan in plans {
                let mut observer = live.begins(format!("{} ({})", plan.scenario, plan.interface.name()));
                let Ok(run) = lab::run::run(&stage, document, plan, &mut observer, self.cancel) else {
                    return Verdict::Infrastructure("cancelled".to_owned());
                };
                drop(observer);
                self.terminal.conclude(&run);
                let verdict = of_run(&run);
                self.keep(&run, &verdict);
                if verdict != Verdict::Green {
                    // One is enough.
                    return verdict;
                }
            }
        }
        Verdict::Green
    }

    /// Keeps the folder of the last bad run, and of none before it.
    fn keep(&mut self, run: &Run, verdict: &Verdict) {
        let superfluous = match verdict {
            Verdict::Green => Some(run.artefacts.clone()),
            Verdict::Red(_) => self.last_bad.replace(run.artefacts.clone()),
            Verdict::Untestable(_) | Verdict::Infrastructure(_) => None,
        };
        superfluous.iter().for_each(|folder| drop(fs::remove_dir_all(folder)));
    }
}

/// What a run says of the kernel: one that does not get as far as to be asked is neither good nor bad.
fn of_run(run: &Run) -> Verdict {
    match &run.outcome {
        _ if run.is_green() => Verdict::Green,
        Outcome::Infrastructure { message } => Verdict::Infrastructure(message.clone()),
        Outcome::Failed(failure) if run.hops.is_empty() && failure.step.as_deref() == Some("boot") => {
            Verdict::Untestable(format!("it does not boot: {}", failure.message))
        }
        Outcome::Failed(failure) => Verdict::Red(failure.message.clone()),
        Outcome::Passed => Verdict::Red("it passed, and had to fail".to_owned()),
    }
}
