//! Kernels in words: a table of all, a sheet of one, and what can go.

use std::fmt::Write as _;

use crate::kernel::abi::Abi;
use crate::kernel::catalogue::Named;
use crate::kernel::prune::{Candidate, Why};
use crate::kernel::standing::{Standing, disk_usage};
use crate::kernel::trial::Trial;
use crate::kernel::{Kernel, KernelSpec};

/// A line of the table.
#[derive(Debug, Clone)]
pub struct Row {
    /// What it is called and what it is for.
    pub named: Named,
    /// What is there of it.
    pub standing: Standing,
}

/// All that is known of one kernel.
#[derive(Debug)]
pub struct Sheet<'a> {
    /// What was wanted.
    pub spec: &'a KernelSpec,
    /// What it came to.
    pub kernel: &'a Kernel,
    /// Where it is.
    pub standing: &'a Standing,
    /// The ABI that it shows when it runs.
    pub running: &'a Abi,
    /// Whether the module builds for it.
    pub module: Trial,
    /// Whether its Rust builds.
    pub rust: Trial,
}

/// Bytes as people read them.
#[must_use]
pub fn size(bytes: u64) -> String {
    match bytes >> 20 {
        mib @ 0..1024 => format!("{mib} MiB"),
        // Tenths are enough, and exact in integers.
        mib => format!("{}.{} GiB", mib >> 10, ((mib & 1023) * 10) >> 10),
    }
}

/// The kernels that have names.
#[must_use]
pub fn table(rows: &[Row]) -> String {
    let head = ["name", "resolves to", "cached", "size", "KHO", "pages in", "LUO", "memfd"].map(str::to_owned);
    let mut lines = vec![head];
    for Row { named, standing } in rows {
        let spec = &named.spec;
        let source = match &standing.resolved {
            Some(resolved) => resolved.version.clone(),
            None if standing.tree.is_some() => "as it stands".to_owned(),
            None => format!("{} (never asked for)", spec.source),
        };
        let with = match spec.patches.len() {
            0 => String::new(),
            1 => format!(" + {}", spec.patches[0].name()),
            many => format!(" + {many} patches"),
        };
        let cached = match (&standing.built, &standing.tree) {
            (Some(_), _) => "built",
            (None, Some(_)) => "source",
            (None, None) => "no",
        };
        let bytes: u64 = standing.folders().map(disk_usage).sum();
        let abi = standing.abi.clone().unwrap_or_default();
        let map = abi.memory_map.map(|map| map.to_string());
        let taken = if bytes == 0 { None } else { Some(size(bytes)) };
        let cells = [Some(cached.to_owned()), taken, abi.kho, map, abi.luo, abi.memfd];
        let [cached, taken, kho, map, luo, memfd] = cells.map(|cell| cell.unwrap_or_else(|| "–".to_owned()));
        lines.push([spec.name.clone(), format!("{source}{with}"), cached, taken, kho, map, luo, memfd]);
    }
    aligned(&lines)
}

fn aligned<const N: usize>(lines: &[[String; N]]) -> String {
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut shown: Vec<String> = lines
        .iter()
        .map(|line| {
            let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        })
        .collect();
    let rule = widths.iter().sum::<usize>() + 2 * N.saturating_sub(1);
    shown.insert(1, "─".repeat(rule));
    shown.join("\n")
}

/// All of one kernel.
#[must_use]
pub fn sheet(sheet: &Sheet<'_>) -> String {
    let Sheet { spec, kernel, standing, running, module, rust } = sheet;
    let mut text = format!("{}\n", spec.name);
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "  {name:<14}{value}");
    };
    line("release", &kernel.release);
    line("version", &kernel.version_string);
    line("source", &format!("{} from {}", kernel.source.version, kernel.source.origin));
    line("", &format!("sha256 {}", kernel.source.sha256));
    for patch in &kernel.patches {
        line("patch", &format!("{} (sha256 {})", patch.name(), patch.sha256()));
    }
    line("configuration", &format!("{} profile, sha256 {}", kernel.profile, kernel.config_sha256));
    for option in spec.options.lines() {
        line("", option);
    }
    line("compilers", &kernel.compiler);
    if let Some(rustc) = &kernel.rustc {
        line("", rustc);
    }
    line("image", &format!("{} (sha256 {})", kernel.image.display(), kernel.image_sha256));
    for folder in standing.folders() {
        line("on the disk", &format!("{} {}", size(disk_usage(folder)), folder.display()));
    }
    line("module", &trial(module));
    line("Rust", &trial(rust));
    text.push_str(&abi(&kernel.abi, running));
    text
}

fn trial(trial: &Trial) -> String {
    let mut text = if trial.builds { "builds".to_owned() } else { "does not build".to_owned() };
    if let Some(asks) = &trial.asks {
        let _ = write!(text, " (the kernel asks for {asks})");
    }
    for line in &trial.said {
        let _ = write!(text, "\n  {:<14}| {line}", "");
    }
    text
}

/// The ABI, as the source says and as the running kernel shows.
fn abi(source: &Abi, running: &Abi) -> String {
    let or = |text: &Option<String>, other: &str| text.clone().unwrap_or_else(|| other.to_owned());
    let both = |name: &str, source: &Option<String>, running: &Option<String>| {
        [name.to_owned(), or(source, "–"), or(running, "not shown")]
    };
    let only = |name: &str, source: Option<String>| [name.to_owned(), or(&source, "–"), "not shown".to_owned()];
    let lines = [
        ["ABI".to_owned(), "the source says".to_owned(), "the running kernel shows".to_owned()],
        both("KHO", &source.kho, &running.kho),
        only("pages in", source.memory_map.map(|map| map.to_string())),
        only("finalised", source.finalise.map(|finalise| finalise.to_string())),
        both("LUO", &source.luo, &running.luo),
        both("LUO session", &source.session, &running.session),
        both("LUO flb", &source.flb, &running.flb),
        only("memfd", source.memfd.clone()),
        both("reserve_mem", &source.reserve_mem, &running.reserve_mem),
    ];
    aligned(&lines).lines().map(|line| format!("  {line}\n")).collect()
}

/// What can go, and why.
#[must_use]
pub fn candidates(candidates: &[Candidate]) -> String {
    if candidates.is_empty() {
        return "nothing to free".to_owned();
    }
    let mut lines = vec![["what", "size", "why", "folder"].map(str::to_owned)];
    for candidate in candidates {
        let why = match candidate.why {
            Why::Asked => "asked for",
            Why::Obsolete => "no kernel with a name leads to it",
            Why::Unfinished => "never finished",
            Why::Old => "a week old, made again in seconds",
        };
        let what = format!("{} {}", candidate.kind, candidate.what);
        lines.push([what, size(candidate.bytes), why.to_owned(), candidate.folder.display().to_string()]);
    }
    let all = candidates.iter().map(|candidate| candidate.bytes).sum();
    format!("{}\n{} in all", aligned(&lines), size(all))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_rounded_down() {
        assert_eq!(
            [0, 1 << 20, 1023 << 20, 1 << 30, (3 << 30) / 2].map(size),
            ["0 MiB", "1 MiB", "1023 MiB", "1.0 GiB", "1.5 GiB"]
        );
    }

    #[test]
    fn a_kernel_that_was_never_asked_for_has_a_line() {
        let spec = KernelSpec::plain("7.4".parse().unwrap());
        let row = Row { named: Named { spec, about: String::new() }, standing: Standing::default() };
        let table = table(&[row]);
        assert!(table.contains("7.4   7.4 (never asked for)  no"), "{table}");
    }

    #[test]
    fn the_running_kernel_stands_beside_its_source() {
        let source = Abi { kho: Some("kho-v4".to_owned()), ..Abi::default() };
        let text = abi(&source, &Abi { kho: Some("kho-v99".to_owned()), ..Abi::default() });
        assert!(text.lines().any(|line| line.split_whitespace().eq(["KHO", "kho-v4", "kho-v99"])), "{text}");
    }
}
