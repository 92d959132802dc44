//! `cargo xtask watch`: the scenarios, again whenever something has changed that they are made of.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use lab::host::Cancel;
use lab::kernel::KernelSource;
use lab::watch::Watch;

use crate::cli::Scenario;
use crate::exit::Exit;
use crate::scenario;

/// What guests are made of besides their kernel, and what they are asked.
const SOURCES: [&str; 6] = ["client", "guest-agent", "kernels.yaml", "kmod", "protocol", "scenarios"];
/// Changes that are told by name.
const TOLD: usize = 8;

pub(crate) fn run(options: &Scenario, cancel: &Cancel) -> Exit {
    // What changes during a run counts too.
    let mut watch = match Watch::of(&sources(options), cancel) {
        Ok(watch) => watch,
        Err(error) => {
            eprintln!("error: {error}");
            return Exit::Infrastructure;
        }
    };
    loop {
        // What is wrong is told, and may be mended: nothing but the user ends it.
        let exit = scenario::run(options, cancel);
        if cancel.is_cancelled() {
            return Exit::Cancelled;
        }
        eprintln!("{}; waiting for a change (Ctrl-C ends it)", said(exit));
        let Some(changed) = watch.wait() else { return Exit::Cancelled };
        eprintln!("\n{}", told(&changed));
    }
}

fn sources(options: &Scenario) -> Vec<PathBuf> {
    let ours = SOURCES.iter().map(|name| crate::workspace().join(name)).filter(|path| path.exists());
    let tree = match &options.kernel.source {
        KernelSource::Path(path) => Some(lab::kernel::expand_home(path)),
        _ => None,
    };
    let wanted = options.wanted.iter().map(PathBuf::from).filter(|path| path.is_file());
    ours.chain(tree).chain(wanted).collect()
}

fn said(exit: Exit) -> &'static str {
    match exit {
        Exit::Passed => "all green",
        Exit::Failed => "red",
        Exit::Usage | Exit::Infrastructure | Exit::Cancelled => "not found out",
    }
}

fn told(changed: &BTreeSet<PathBuf>) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    let name = |path: &PathBuf| path.strip_prefix(&here).unwrap_or(path.as_path() as &Path).display().to_string();
    let mut names: Vec<String> = changed.iter().take(TOLD).map(name).collect();
    if changed.len() > TOLD {
        names.push(format!("and {} more", changed.len() - TOLD));
    }
    format!("changed: {}", names.join(", "))
}
