//! The lab and upstream's `luo_kexec_simple`, on the same kernel image, in turn.
//!
//! `cargo bench -p bench --bench upstream -- --pairs 10`: one test against one test, each alone on the machine.
//! `cargo bench -p bench --bench upstream -- --rounds 5 --guests 2`: batches against batches, two guests at a time.

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use bench::batch::Batch;
use bench::figures::Summary;
use bench::interrupt::interruptible;
use bench::sides::{self, Cost};
use bench::{Failure, selftest};
use clap::Parser;
use lab::cache::Cache;
use lab::host::{Cancel, Consent, ensure};
use lab::kernel::{KernelSource, Profile, Provider};
use lab::machine::accelerator::Wish;
use lab::report::terminal::Terminal;
use lab::result::Run;
use lab::run::stage::{self, Setup};
use lab::run::{Limits, Stage};
use lab::scenario::Document;
use lab::scenario::plan::Plan;
use protocol::message::Interface;

/// What upstream's test does, as the lab says it. The lab's workload page is upstream's state file.
const SCENARIO: &str = "\
about: What luo_kexec_simple does.
interfaces: [luo]
steps:
  - create: {name: page, size: 4 KiB}
  - preserve: page
  - update
  - retrieve: page
  - verify: page
  - finish
";

/// Times the lab and upstream's luo_kexec_simple on the same kernel image, in turn.
#[derive(Debug, Parser)]
struct Options {
    /// How many runs of each.
    #[arg(long, default_value = "10", env = "PAIRS", value_parser = clap::value_parser!(u16).range(1..))]
    pairs: u16,
    /// Compares batches instead, this many of each: what a test costs among many, as a suite is run.
    #[arg(long)]
    rounds: Option<u16>,
    /// How many tests a batch has.
    #[arg(long, default_value = "12", requires = "rounds")]
    tests: NonZero<u16>,
    /// How many guests run at a time, on either side.
    #[arg(long, default_value = "1", requires = "rounds")]
    guests: NonZero<u32>,
    /// The kernel that both boot.
    #[arg(long, default_value = "7.3")]
    kernel: KernelSource,
    /// What runs both: auto, kvm or tcg.
    #[arg(long, default_value = "auto")]
    accel: Wish,
    /// Processors of the lab's guest: one, as a scenario has by default. Upstream asks for two and gets one, since its
    /// kernel has no ACPI.
    #[arg(long, default_value = "1")]
    cpus: u32,
    /// Tells the lab's kernels this too: what would it gain?
    #[arg(long, value_name = "WORDS")]
    append: Option<String>,
    /// Times the whole command too, with this binary: target/release/xtask.
    #[arg(long, value_name = "PATH")]
    xtask: Option<PathBuf>,
    /// Cargo says this to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    interruptible(|cancel| compare(&options, cancel))
}

fn compare(options: &Options, cancel: &Cancel) -> Result<(), Failure> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let terminal = Terminal::new(false);
    let cache = Cache::open()?;
    ensure(&cache, Profile::Fast.compiler(), Consent::Ask, &terminal, cancel)?;
    let runs = tempfile::tempdir()?;
    let setup = Setup {
        workspace,
        kernel: options.kernel.clone().into(),
        profile: Profile::Fast,
        named: Default::default(),
        accelerator: options.accel,
        limits: Limits::default(),
        runs: runs.path().to_owned(),
    };
    let mut stage = stage::set(&setup, &cache, &terminal, cancel)?;
    let kernel = Provider::new(&cache).obtain(&options.kernel, &terminal, cancel)?;
    let initramfs = selftest::initramfs(&kernel, &cache, &terminal, cancel)?;
    terminal.introduce(&stage.environment(&cache));
    let document = Document::parse("luo_kexec_simple", "benches/upstream.rs", SCENARIO)?;
    let mut plan = document.plan(Interface::Luo)?;
    plan.cpus = options.cpus;
    if let Some(words) = &options.append {
        stage.command_line = format!("{} {words}", stage.command_line);
    }

    if let Some(rounds) = options.rounds {
        let batch = Batch { tests: options.tests, guests: options.guests };
        return batches(batch, rounds, &mut stage, (&document, &plan), &initramfs, cancel);
    }
    let load = load();
    let mut pairs = Vec::new();
    let mut told = Vec::new();
    let mut commands = Vec::new();
    // The first of each reads its files from the disk.
    for warm in 0..=options.pairs {
        let (run, mine) = sides::lab(&stage, &document, &plan, cancel)?;
        let theirs = sides::upstream(&stage, &initramfs, runs.path(), cancel)?;
        if warm == 0 {
            continue;
        }
        eprintln!("{warm:>12} lab {:.3} s, upstream {:.3} s", mine.wall, theirs.wall);
        pairs.push((mine, theirs));
        told.push(run);
        if let Some(xtask) = &options.xtask {
            let mut command = Command::new(xtask);
            command.args(["scenario", "one-object", "--interface", "luo", "--runs"]).arg(runs.path());
            commands.push(sides::command(command, cancel)?);
        }
    }
    println!("{} pairs, load average {load} before and {} after", pairs.len(), self::load());
    costs(&stage, &pairs, &commands);
    phases(&told);
    Ok(())
}

/// Batches of the lab with each guest booted, of the lab with the boot shared, and of upstream, in turn.
fn batches(
    batch: Batch,
    rounds: u16,
    stage: &mut Stage,
    (document, plan): (&Document, &Plan),
    initramfs: &Path,
    cancel: &Cancel,
) -> Result<(), Failure> {
    let load = load();
    let mut found: Vec<[Cost; 3]> = Vec::new();
    for round in 1..=rounds {
        stage.snapshots = false;
        let booted = batch.lab(stage, document, plan, cancel)?;
        stage.snapshots = true;
        let restored = batch.lab(stage, document, plan, cancel)?;
        let theirs = batch.upstream(stage, initramfs, cancel)?;
        let [a, b, c] = [booted, restored, theirs].map(|cost| cost.wall);
        eprintln!("{round:>12} lab {a:.3} s a test, its boot shared {b:.3} s, upstream {c:.3} s");
        found.push([booted, restored, theirs]);
    }
    let Batch { tests, guests } = batch;
    println!(
        "{rounds} rounds of {tests} tests a side, {guests} guests at a time, load {load} before and {} after",
        self::load()
    );
    let facts = &stage.kernel.facts;
    println!("Linux {} ({:.12}), {:?}\n", facts.release, facts.image_sha256, stage.accelerator.kind);
    println!("{:<36} {:>8} {:>8} {:>8}", "for one test", "min", "median", "max");
    type Figure = fn(&Cost) -> f64;
    let figures: [(&str, Figure); 2] = [("wall", |cost| cost.wall), ("processor", |cost| cost.processor)];
    for (name, figure) in figures {
        for (side, who) in ["lab", "lab, boot shared", "upstream"].into_iter().enumerate() {
            wide(&format!("{who}, {name} s"), Summary::of(found.iter().map(|costs| figure(&costs[side]))));
        }
        for (side, who) in ["lab", "lab, boot shared"].into_iter().enumerate() {
            let ratios = found.iter().map(|costs| (figure(&costs[side]), figure(&costs[2])));
            wide(&format!("{who} / upstream, {name}"), Summary::of_ratios(ratios));
        }
    }
    Ok(())
}

fn wide(name: &str, summary: Option<Summary>) {
    if let Some(summary) = summary {
        println!("{name:<36} {summary}");
    }
}

fn costs(stage: &Stage, pairs: &[(Cost, Cost)], commands: &[Cost]) {
    let facts = &stage.kernel.facts;
    println!("Linux {} ({:.12}), {:?}\n", facts.release, facts.image_sha256, stage.accelerator.kind);
    println!("{:<28} {:>8} {:>8} {:>8}", "", "min", "median", "max");
    type Figure = fn(&Cost) -> f64;
    let figures: [(&str, Figure); 2] = [("wall", |cost| cost.wall), ("processor", |cost| cost.processor)];
    for (name, figure) in figures {
        row(&format!("lab, {name} s"), Summary::of(pairs.iter().map(|(mine, _)| figure(mine))));
        row(&format!("upstream, {name} s"), Summary::of(pairs.iter().map(|(_, theirs)| figure(theirs))));
        let ratios = pairs.iter().map(|(mine, theirs)| (figure(mine), figure(theirs)));
        row(&format!("lab / upstream, {name}"), Summary::of_ratios(ratios));
    }
    row("xtask scenario one-object, s", Summary::of(commands.iter().map(|cost| cost.wall)));
}

/// Where the lab's time goes: steps by the host's clock, phases of the update by the guest's.
fn phases(runs: &[Run]) {
    println!("\n{:<28} {:>8} {:>8} {:>8}", "lab, ms", "min", "median", "max");
    let steps = |run: &Run| run.steps.iter().map(|step| step.wall_ms).sum::<u64>();
    row("boot, and the end", Summary::of(runs.iter().map(|run| (run.wall_ms.saturating_sub(steps(run))) as f64)));
    let Some(first) = runs.first() else { return };
    for (index, step) in first.steps.iter().enumerate() {
        let times = runs.iter().filter_map(|run| run.steps.get(index)).map(|step| step.wall_ms as f64);
        row(&format!("step: {}", step.text), Summary::of(times));
    }
    let hops = || runs.iter().flat_map(|run| &run.hops);
    for name in first.hops.iter().flat_map(|hop| &hop.time.phases).map(|phase| phase.name) {
        let found = hops().flat_map(|hop| &hop.time.phases).filter(|phase| phase.name == name);
        row(&format!("guest: {name:?}"), Summary::of(found.map(|phase| phase.ns as f64 / 1e6)));
    }
    row("guest: blackout", Summary::of(hops().filter_map(|hop| hop.time.blackout_ns).map(|ns| ns as f64 / 1e6)));
    row("guest: update time", Summary::of(hops().filter_map(|hop| hop.time.update_ns).map(|ns| ns as f64 / 1e6)));
}

fn row(name: &str, summary: Option<Summary>) {
    if let Some(summary) = summary {
        println!("{name:<28} {summary}");
    }
}

fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().unwrap_or("unknown").to_owned()
}
