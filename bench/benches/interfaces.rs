//! The interfaces against one another: what the same bytes cost each, and how what they cost grows with the
//! number of objects.
//!
//! `cargo bench -p bench --bench interfaces -- --rounds 3` (about three minutes a round), or `-- --quick --rounds 1`,
//! which leaves the largest out. All times are of the guest's own clock, which unless asked otherwise counts its
//! instructions: what differs from run to run is then the guest's own doing, such as where its pages lie.
//!
//! The same bytes go through all three interfaces in one kernel, in turn: preserved and given up again several
//! times a live update, each interface first as often as the others; and retrieved in turn after it, from another one
//! on each time. Objects go through one interface a guest, the interfaces alternating. What is to be compared is thus
//! measured side by side, also where the clock is one that others can disturb.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use bench::Failure;
use bench::costs::{Figures, Measurement};
use bench::interrupt::interruptible;
use bench::tables;
use clap::Parser;
use lab::cache::Cache;
use lab::host::{Cancel, Consent, ensure};
use lab::kernel::{KernelSource, Profile};
use lab::machine::accelerator::Wish;
use lab::report::terminal::Terminal;
use lab::run::Limits;
use lab::run::stage::{self, Setup};
use protocol::check::Check;
use protocol::message::Interface;

/// The same bytes, in what and how many.
const PAGES: [(Check, &str); 4] = [
    (Check::CostFewSmallPages, "64 MiB in pages of 4 KiB"),
    (Check::CostFewHugePages, "64 MiB in pages of 2 MiB"),
    (Check::CostManySmallPages, "1 GiB in pages of 4 KiB"),
    (Check::CostManyHugePages, "1 GiB in pages of 2 MiB"),
];

const FEW_MIB: u32 = 64;
const MANY_MIB: u32 = 1024;

/// What is retrieved in steps of this size, few and many.
const SLOPES: [(Check, Check, &str); 2] = [
    (Check::CostFewSmallPages, Check::CostManySmallPages, "retrieve, \u{b5}s a further MiB of 4 KiB"),
    (Check::CostFewHugePages, Check::CostManyHugePages, "retrieve, \u{b5}s a further MiB of 2 MiB"),
];

/// Guest memory in GiB for these: a GiB through each of three interfaces, and what only movable pages may use.
const PAGES_MEMORY: u32 = 6;

/// How long a guest may say nothing, and a check take.
const PATIENCE: Duration = Duration::from_secs(150);

/// How many files, each of one page.
const OBJECTS: [(Check, u32); 4] = [
    (Check::CostTenObjects, 10),
    (Check::CostHundredObjects, 100),
    (Check::CostThousandObjects, 1_000),
    (Check::CostTenThousandObjects, 10_000),
];

/// Guest memory in GiB for these.
const OBJECTS_MEMORY: u32 = 2;

/// Compares what the interfaces cost: in-tree orchestrator, module, kexecfs.
///
/// First a table of ratios: what preserving, undoing that, and retrieving 64 MiB and 1 GiB in pages of 4 KiB and of
/// 2 MiB costs through the device and through kexecfs, for each 1 that it costs the in-tree orchestrator with a
/// memfd. Then the times behind it. Last the curve: what each step costs an object, of 10 to 10,000, and the power by
/// which it grows: 1 is linear, 2 the square.
#[derive(Debug, Parser)]
struct Options {
    /// How many live updates of each sort.
    #[arg(long, default_value = "5", env = "ROUNDS", value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Bytes alone, or objects alone.
    #[arg(long, value_parser = ["pages", "objects"])]
    only: Option<String>,
    /// Not the largest: no GiB, no 10,000 objects.
    #[arg(long)]
    quick: bool,
    /// The kernel that is booted.
    #[arg(long, default_value = "7.3")]
    kernel: KernelSource,
    /// What runs it: icount, auto, kvm or tcg. The first counts the guest's instructions, so that no host disturbs.
    #[arg(long, default_value = "icount")]
    accel: Wish,
    /// Cargo says this to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    interruptible(|cancel| compare(&options, cancel))
}

/// One line of the plan, and what its runs have measured so far, a run an entry.
struct Series {
    check: Check,
    face: Interface,
    measurement: Measurement,
    runs: Vec<Figures>,
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
        named: Default::default(),
        profile: Profile::Fast,
        accelerator: options.accel,
        // Making and marking a GiB takes its time where a machine is emulated.
        limits: Limits { silence: PATIENCE, total: 3 * PATIENCE, ..Limits::default() },
        runs: runs.path().to_owned(),
    };
    let stage = stage::set(&setup, &cache, &terminal, cancel)?;
    terminal.introduce(&stage.environment(&cache));

    let mut all = series(options)?;
    let load = load();
    for round in 1..=options.rounds {
        for series in &mut all {
            eprintln!("{round:>12} {} ({})", series.check, series.face.name());
            series.runs.push(series.measurement.run(&stage, cancel)?);
        }
    }
    let facts = &stage.kernel.facts;
    println!("{} rounds, load average {load} before and {} after", options.rounds, self::load());
    println!("Linux {} ({:.12}), {:?}", facts.release, facts.image_sha256, stage.accelerator.kind);
    print_bytes(&all);
    print_objects(&all);
    Ok(())
}

fn print_bytes(all: &[Series]) {
    let runs = |check| all.iter().find(|series| series.check == check).map(|series| &series.runs[..]);
    let bytes: Vec<_> = PAGES.iter().filter_map(|(check, title)| Some((*title, runs(*check)?))).collect();
    if bytes.is_empty() {
        return;
    }
    print!("{}", tables::ratios(&bytes));
    for (few, many, title) in SLOPES {
        if let Some((few, many)) = runs(few).zip(runs(many)) {
            print!("{}", tables::slope(title, (few, FEW_MIB), (many, MANY_MIB)));
        }
    }
    bytes.into_iter().for_each(|bytes| print!("{}", tables::times(bytes)));
}

fn print_objects(all: &[Series]) {
    for face in Interface::ALL {
        let of = |check| all.iter().find(|series| series.check == check && series.face == *face);
        let objects: Vec<_> =
            OBJECTS.iter().filter_map(|(check, count)| Some((*count, &of(*check)?.runs[..]))).collect();
        if !objects.is_empty() {
            print!("{}", tables::curve(*face, &objects));
        }
    }
}

/// In the order in which a round goes through them: the interfaces alternate.
fn series(options: &Options) -> Result<Vec<Series>, Failure> {
    let wanted = |part: &str| options.only.as_deref().is_none_or(|only| only == part);
    let mut all = Vec::new();
    let mut add = |check, face, memory| -> Result<(), Failure> {
        all.push(Series { check, face, measurement: Measurement::new(check, face, memory)?, runs: Vec::new() });
        Ok(())
    };
    let largest = |check| matches!(check, Check::CostManySmallPages | Check::CostManyHugePages);
    for (check, _) in PAGES {
        if wanted("pages") && !(options.quick && largest(check)) {
            add(check, Interface::Module, PAGES_MEMORY)?;
        }
    }
    for (check, count) in OBJECTS {
        if wanted("objects") && !(options.quick && count > 1000) {
            Interface::ALL.iter().try_for_each(|&face| add(check, face, OBJECTS_MEMORY))?;
        }
    }
    Ok(all)
}

fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().unwrap_or("unknown").to_owned()
}
