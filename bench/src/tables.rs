//! What runs have measured, as tables.

use std::fmt::Write as _;

use protocol::message::Interface;

use crate::costs::Figures;
use crate::figures::{Summary, exponent};

/// What is compared with the in-tree orchestrator.
const STEPS: [&str; 3] = ["preserve", "undo", "retrieve"];

/// From so many objects on a cost is theirs, and no longer that of the call.
const FITTED_FROM: u32 = 100;

/// The same bytes: what they are, and what each run has measured.
pub type Bytes<'a> = (&'a str, &'a [Figures]);

/// As many objects, and what each run has measured.
pub type Objects<'a> = (u32, &'a [Figures]);

/// Every figure of this name.
fn of(runs: &[Figures], what: &str) -> Vec<f64> {
    runs.iter().filter_map(|run| run.get(what)).flatten().copied().collect()
}

fn summary(runs: &[Figures], face: Interface, step: &str) -> Option<Summary> {
    Summary::of(of(runs, &format!("{}: {step}", face.name())))
}

fn others() -> impl Iterator<Item = Interface> {
    Interface::ALL.iter().copied().filter(|face| *face != Interface::Luo)
}

/// What the same bytes cost through the module's interfaces for each 1 that they cost in-tree: minimum by minimum,
/// and median by median.
#[must_use]
pub fn ratios(all: &[Bytes<'_>]) -> String {
    let mut text = format!("\n{:<36}", "cost / luo's: of minima, of medians");
    STEPS.iter().for_each(|step| _ = write!(text, " {step:>15}"));
    for (title, runs) in all {
        for face in others() {
            _ = write!(text, "\n{:<36}", format!("{title}, {}", face.name()));
            for step in STEPS {
                let both = summary(runs, face, step).zip(summary(runs, Interface::Luo, step));
                let told = both.map(|(mine, theirs)| (mine.min / theirs.min, mine.median / theirs.median));
                let told = told.map_or("-".to_owned(), |(min, median)| format!("{min:.2}   {median:.2}"));
                _ = write!(text, " {told:>15}");
            }
        }
    }
    text + "\n"
}

/// What each further MiB costs to retrieve: the difference between many and few.
#[must_use]
pub fn slope(title: &str, (few, few_mib): (&[Figures], u32), (many, many_mib): (&[Figures], u32)) -> String {
    let mut text = format!("{title:<36}");
    for face in Interface::ALL {
        let least = |runs| summary(runs, *face, "retrieve").map(|told| told.min);
        let told = least(few).zip(least(many)).map(|(few, many)| (many - few) * 1e3 / f64::from(many_mib - few_mib));
        let told = told.map_or("-".to_owned(), |us| format!("{us:.2}"));
        _ = write!(text, " {:>15}", format!("{} {told}", face.name()));
    }
    text + "\n"
}

/// The times behind the ratios, in milliseconds. `first` is the retrieval of one page that came before: what is
/// needed once, whatever is retrieved.
#[must_use]
pub fn times((title, runs): Bytes<'_>) -> String {
    let mut text = format!("\n{title:<36} {:>4} {:>8} {:>8} {:>8}\n", "n", "min", "median", "max");
    let mut row = |name: &str, what: &str| {
        let samples = of(runs, what);
        if let Some(summary) = Summary::of(samples.iter().copied()) {
            _ = writeln!(text, "{name:<36} {:>4} {summary}", samples.len());
        }
    };
    for step in STEPS.into_iter().chain(["first"]) {
        for face in Interface::ALL {
            row(&format!("{step}, {} ms", face.name()), &format!("{}: {step}", face.name()));
        }
    }
    for face in others() {
        for step in ["register", "prepare", "freeze"] {
            row(&format!("of which {step}, {} ms", face.name()), &format!("{}: {step}", face.name()));
        }
    }
    row("load of the module, ms", "module: load");
    text
}

/// What each step costs an object, in microseconds, the least of all runs; and the power by which the whole grows,
/// of all counts and of the last two.
#[must_use]
pub fn curve(face: Interface, all: &[Objects<'_>]) -> String {
    let mut text = format!("\n{:<36}", format!("{}: \u{b5}s an object, of how many", face.name()));
    all.iter().for_each(|(count, _)| _ = write!(text, " {count:>9}"));
    _ = write!(text, " {:>9} {:>9}", "exponent", "last");
    let mut steps: Vec<&String> = all.iter().flat_map(|(_, runs)| *runs).flat_map(Figures::keys).collect();
    steps.sort();
    steps.dedup();
    for step in steps {
        let whole: Vec<(f64, f64)> = all
            .iter()
            .filter_map(|(count, runs)| Some((f64::from(*count), Summary::of(of(runs, step))?.min)))
            .collect();
        _ = write!(text, "\n{step:<36}");
        whole.iter().for_each(|(count, ms)| _ = write!(text, " {:>9.2}", ms * 1e3 / count));
        let fitted: Vec<_> = whole.iter().copied().filter(|(count, _)| *count >= f64::from(FITTED_FROM)).collect();
        let last = whole.get(whole.len().saturating_sub(2)..).unwrap_or_default();
        for points in [&fitted[..], last] {
            let power = exponent(points).map_or("-".to_owned(), |power| format!("{power:.2}"));
            _ = write!(text, " {power:>9}");
        }
    }
    text + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(figures: &[(&str, &[f64])]) -> Figures {
        figures.iter().map(|(what, ms)| ((*what).to_owned(), ms.to_vec())).collect()
    }

    #[test]
    fn ratios_are_to_luo() {
        let runs = [run(&[("luo: undo", &[2.0, 4.0]), ("module: undo", &[1.0, 8.0]), ("kexecfs: undo", &[6.0])])];
        let text = ratios(&[("64 MiB", &runs)]);
        let words = |line: usize| text.trim().lines().nth(line).map(|line| line.split_whitespace().collect::<Vec<_>>());
        assert_eq!(words(1), Some(vec!["64", "MiB,", "module", "-", "0.50", "1.50", "-"]));
        assert_eq!(words(2), Some(vec!["64", "MiB,", "kexecfs", "-", "3.00", "2.00", "-"]));
    }

    #[test]
    fn a_slope_leaves_out_what_is_needed_once() {
        let runs = |ms| [run(&[("luo: retrieve", &[ms, 2.0 * ms])])];
        let text = slope("a MiB", (&runs(1.0), 10), (&runs(3.0), 20));
        assert!(text.contains("luo 200.00") && text.contains("module -"), "{text}");
    }

    #[test]
    fn a_curve_tells_growth() {
        let runs = |ms| [run(&[("freeze", &[ms, 3.0 * ms])])];
        let (ten, hundred, thousand) = (runs(1.0), runs(1.0), runs(100.0));
        let text = curve(Interface::Module, &[(10, &ten), (100, &hundred), (1000, &thousand)]);
        let words: Vec<&str> = text.trim().lines().last().unwrap_or_default().split_whitespace().collect();
        assert_eq!(words, ["freeze", "100.00", "10.00", "100.00", "2.00", "2.00"]);
    }
}
