//! The page for a browser: the picture, what differs, and the kernels that took part. It loads nothing.

use std::path::Path;

use maud::{DOCTYPE, Markup, html};

use super::{different, evidence, heat, square_of, summary, word};
use crate::report::terminal::plain;
use crate::result::{Finding, Matrix, Report};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:80rem;padding:0 1rem;color:#24292f}\
    table{border-collapse:collapse}th,td{text-align:left;padding:.2rem .8rem .2rem 0;border-bottom:1px solid #d0d7de;\
    vertical-align:top}pre{background:#f6f8fa;padding:.6rem;overflow-x:auto}figure{margin:1rem 0;overflow-x:auto}\
    .known{color:#57606a}.surprise{color:#a40e26;font-weight:600}";

/// The page. It lies in `folder`, and links to what runs have left.
#[must_use]
pub fn page(report: &Report, folder: &Path) -> String {
    let Some(matrix) = &report.matrix else { return String::new() };
    let link = |run: usize| folder_of(report, run, folder);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width";
                title { "Live updates between kernels" }
                style { (STYLE) }
            }
            body {
                h1 { "Live updates between kernels" }
                p { (summary(matrix)) "." }
                figure { (heat::draw(matrix, &link)) }
                (differences(report, matrix, &link))
                (kernels(report, matrix))
            }
        }
    };
    page.into_string()
}

/// Where a run's folder lies, seen from the page; none if it was not kept.
fn folder_of(report: &Report, run: usize, folder: &Path) -> Option<String> {
    let kept = report.runs.get(run).map(|run| Path::new(&run.artefacts)).filter(|kept| !kept.as_os_str().is_empty())?;
    let shown = kept.strip_prefix(folder).unwrap_or(kept);
    Some(format!("{}/console.log", shown.display()))
}

fn differences(report: &Report, matrix: &Matrix, link: &dyn Fn(usize) -> Option<String>) -> Markup {
    let different = different(report, matrix);
    html! {
        h2 { "Where strings and reality differ" }
        @if different.is_empty() { p { "Nowhere." } }
        @for (cell, run) in different {
            @if let Finding::Ran { predicted, hazard, run: index, .. } = &cell.finding {
                h3 { (cell.from) " → " (cell.to) ", " (square_of(cell)) ": " (word(&cell.finding)) }
                @if let Some(predicted) = predicted {
                    p { "Predicted: " (predicted.outcome.name()) " (" (plain(&predicted.why)) ")." }
                }
                @match hazard {
                    Some(hazard) => p.known { "Known: " (plain(hazard)) "." },
                    None => p.surprise { "Nobody knew." },
                }
                @if let Some(folder) = link(*index) { p { a href=(folder) { "The run's console" } } }
                pre { @for line in evidence(run) { (plain(&line)) "\n" } }
            }
        }
    }
}

fn kernels(report: &Report, matrix: &Matrix) -> Markup {
    let facts = |name: &str| {
        report.environments.iter().flat_map(|machine| &machine.kernels).find(|kernel| kernel.requested == name)
    };
    let or_dash = |text: Option<&str>| text.unwrap_or("–").to_owned();
    html! {
        h2 { "The kernels" }
        table {
            tr { th { "name" } th { "release" } th { "KHO" } th { "preserved pages" } th { "LUO" } th { "memfd" } th { "module" } th { "origin" } }
            @for kernel in &matrix.kernels {
                tr {
                    td { (kernel.name) }
                    @match facts(&kernel.name) {
                        Some(facts) => {
                            td { (facts.release) }
                            td { (or_dash(facts.abi.kho.as_deref())) }
                            td { @if let Some(map) = facts.abi.memory_map { (map.to_string()) } @else { "–" } }
                            td { (or_dash(facts.abi.luo.as_deref())) }
                            td { (or_dash(facts.abi.memfd.as_deref())) }
                            td { @if facts.module_sha256.is_some() { "yes" } @else { "no" } }
                            td { (facts.origin) }
                        },
                        None => {
                            td { (or_dash(kernel.release.as_deref())) }
                            td colspan="6" { (or_dash(kernel.unobtainable.as_deref())) }
                        },
                    }
                }
            }
        }
    }
}
