//! `cargo xtask kernel`

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use lab::cache::Cache;
use lab::host::{Cancel, Consent, ensure};
use lab::kernel::prune::{self, Fate};
use lab::kernel::{Catalogue, KernelSpec, Provider, module, trial};
use lab::report::kernels::{self, Row, Sheet};
use lab::report::terminal::Terminal;
use lab::run::inspect;

use crate::cli::{Kernel, KernelCommand, Named};
use crate::exit::Exit;

type Failure = Box<dyn std::error::Error>;

pub(crate) fn run(options: &Kernel, cancel: &Cancel) -> Exit {
    let catalogue = match Catalogue::read(crate::workspace()) {
        Ok(catalogue) => catalogue,
        Err(error) => {
            eprintln!("error: {error}");
            return Exit::Usage;
        }
    };
    let terminal = Terminal::new(false);
    let done = Cache::open().map_err(Failure::from).and_then(|cache| match &options.command {
        KernelCommand::List => list(&catalogue, &cache),
        KernelCommand::Fetch(named) => fetch(named, &cache, &terminal, cancel),
        KernelCommand::Build(named) => build(named, &cache, &terminal, cancel),
        KernelCommand::Show(named) => show(named, &cache, &terminal, cancel),
        KernelCommand::Prune { kernels, yes } => clear_out(kernels, *yes, &catalogue, &cache),
    });
    terminal.clear();
    match done {
        Ok(exit) => exit,
        Err(_) if cancel.is_cancelled() => Exit::Cancelled,
        Err(error) => {
            eprintln!("error: {error}");
            Exit::Infrastructure
        }
    }
}

fn list(catalogue: &Catalogue, cache: &Cache) -> Result<Exit, Failure> {
    let rows = catalogue.named().map(|named| {
        let standing = Provider::new(cache).standing(&named.spec)?;
        Ok(Row { named: named.clone(), standing })
    });
    println!("{}", kernels::table(&rows.collect::<Result<Vec<_>, Failure>>()?));
    Ok(Exit::Passed)
}

fn ready(named: &Named, cache: &Cache, terminal: &Terminal, cancel: &Cancel) -> Result<(), Failure> {
    let consent = if named.yes { Consent::Given } else { Consent::Ask };
    for spec in &named.kernels {
        ensure(cache, spec.profile.unwrap_or(named.profile).compiler(), consent, terminal, cancel)?;
    }
    Ok(())
}

/// Each in turn, and all of them even if one cannot be had.
fn each(
    named: &Named,
    cache: &Cache,
    terminal: &Terminal,
    cancel: &Cancel,
    work: impl Fn(&KernelSpec, &Provider<'_>) -> Result<String, Failure>,
) -> Result<Exit, Failure> {
    ready(named, cache, terminal, cancel)?;
    let modules = crate::workspace().join("kmod");
    let provider = Provider::new(cache).with_profile(named.profile).with_modules(&modules).refresh(named.refresh);
    let mut exit = Exit::Passed;
    for spec in &named.kernels {
        let done = work(spec, &provider);
        terminal.clear();
        match done {
            Ok(text) => println!("{text}"),
            Err(error) if cancel.is_cancelled() => return Err(error),
            Err(error) => {
                eprintln!("error: {}: {error}", spec.name);
                exit = Exit::Infrastructure;
            }
        }
    }
    Ok(exit)
}

fn fetch(named: &Named, cache: &Cache, terminal: &Terminal, cancel: &Cancel) -> Result<Exit, Failure> {
    each(named, cache, terminal, cancel, |spec, provider| {
        let source = provider.fetch(spec, terminal, cancel)?;
        Ok(format!("{}: Linux {} from {}, {}", spec.name, source.version, source.origin, source.sha256))
    })
}

fn build(named: &Named, cache: &Cache, terminal: &Terminal, cancel: &Cancel) -> Result<Exit, Failure> {
    each(named, cache, terminal, cancel, |spec, provider| {
        let kernel = provider.obtain(spec, terminal, cancel)?;
        let modules = if kernel.rust {
            module::build(cache, &kernel, &crate::workspace().join("kmod"), terminal, cancel)?.len()
        } else {
            0
        };
        let with = if modules == 0 { "without Rust, so without the module" } else { "with the module" };
        Ok(format!("{}: {}, {with}\n  {}", spec.name, kernel.version_string, kernel.image.display()))
    })
}

fn show(named: &Named, cache: &Cache, terminal: &Terminal, cancel: &Cancel) -> Result<Exit, Failure> {
    each(named, cache, terminal, cancel, |spec, provider| {
        let kernel = provider.obtain(spec, terminal, cancel)?;
        let workspace = crate::workspace();
        let module = trial::try_module(&kernel, &workspace.join("kmod"), cache, terminal, cancel)?;
        let rust = provider.try_rust(spec, &kernel, terminal, cancel)?;
        let wish = lab::machine::accelerator::Wish::Auto;
        let running = inspect::inspect(&kernel, workspace, wish, cache, terminal, cancel)?;
        let standing = provider.standing(spec)?;
        Ok(kernels::sheet(&Sheet { spec, kernel: &kernel, standing: &standing, running: &running, module, rust }))
    })
}

fn clear_out(asked: &[KernelSpec], yes: bool, catalogue: &Catalogue, cache: &Cache) -> Result<Exit, Failure> {
    let candidates = prune::candidates(cache, catalogue, asked)?;
    println!("{}", kernels::candidates(&candidates));
    if candidates.is_empty() || !(yes || agreed()?) {
        return Ok(Exit::Passed);
    }
    let mut freed = 0;
    for candidate in &candidates {
        match prune::free(cache, candidate)? {
            Fate::Freed => freed += candidate.bytes,
            Fate::InUse => println!("in use, so it stays: {}", candidate.folder.display()),
        }
    }
    println!("freed {}", kernels::size(freed));
    Ok(Exit::Passed)
}

/// Asks at a terminal; elsewhere nobody can agree.
fn agreed() -> io::Result<bool> {
    if !io::stdin().is_terminal() {
        println!("nothing is removed without `--yes`");
        return Ok(false);
    }
    print!("Remove all this? [y/N] ");
    io::stdout().flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "yes"))
}
