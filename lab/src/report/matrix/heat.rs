//! The picture: a square a scenario and interface, a field a pair of kernels.

use maud::{Markup, html};

use super::{Square, mark, squares, word};
use crate::report::terminal::plain;
use crate::result::{Finding, HopOutcome, Matrix, MatrixCell, Report};

const FIELD: (usize, usize) = (96, 30);
const LABEL: usize = 112;
const HEAD: usize = 46;
const GAP: usize = 24;
/// Width of an entry of the legend.
const ENTRY: usize = 104;
/// Squares in a row of the picture.
const ABREAST: usize = 2;

/// The picture, as SVG that stands by itself. `runs` is where runs leave their folders, seen from where it is looked at.
#[must_use]
pub fn heat_map(report: &Report, link: &dyn Fn(usize) -> Option<String>) -> String {
    report.matrix.as_ref().map_or_else(String::new, |matrix| draw(matrix, link).into_string())
}

pub(super) fn draw(matrix: &Matrix, link: &dyn Fn(usize) -> Option<String>) -> Markup {
    let squares = squares(matrix);
    let count = matrix.kernels.len();
    let (width, height) = (LABEL + count * FIELD.0 + GAP, HEAD + count * FIELD.1 + GAP);
    let rows = squares.len().div_ceil(ABREAST).max(1);
    let all = (width * squares.len().clamp(1, ABREAST)).max(HopOutcome::ALL.len() * ENTRY + GAP);
    let tall = height * rows + 40;
    html! {
        svg xmlns="http://www.w3.org/2000/svg" viewBox=(format!("0 0 {all} {tall}")) width=(all) height=(tall)
            font-family="system-ui, sans-serif" font-size="12" role="img" aria-label="what becomes of each pair of kernels" {
            rect width=(all) height=(tall) fill="#ffffff" {}
            @for (at, square) in squares.iter().enumerate() {
                g transform=(format!("translate({}, {})", at % ABREAST * width, at / ABREAST * height)) {
                    (draw_square(matrix, square, link))
                }
            }
            g transform=(format!("translate(8, {})", tall - 28)) { (legend()) }
        }
    }
}

fn draw_square(matrix: &Matrix, square: &Square<'_>, link: &dyn Fn(usize) -> Option<String>) -> Markup {
    html! {
        text x="8" y="18" font-weight="bold" font-size="14" { (square.title()) }
        @for (at, kernel) in matrix.kernels.iter().enumerate() {
            text x=(LABEL + at * FIELD.0 + 4) y=(HEAD - 8) fill="#57606a" { "→ " (kernel.name) }
            text x="8" y=(HEAD + at * FIELD.1 + 19) fill="#57606a" { (kernel.name) " →" }
        }
        @for (row, from) in matrix.kernels.iter().enumerate() {
            @for (column, to) in matrix.kernels.iter().enumerate() {
                @if let Some(cell) = square.cell(&from.name, &to.name) {
                    g transform=(format!("translate({}, {})", LABEL + column * FIELD.0, HEAD + row * FIELD.1)) {
                        (field(cell, link))
                    }
                }
            }
        }
    }
}

fn field(cell: &MatrixCell, link: &dyn Fn(usize) -> Option<String>) -> Markup {
    let (fill, ink) = colours(&cell.finding);
    let shown = html! {
        title { (tip(cell)) }
        rect width=(FIELD.0 - 2) height=(FIELD.1 - 2) rx="3" fill=(fill) {}
        text x=((FIELD.0 - 2) / 2) y="18" fill=(ink) text-anchor="middle" { (word(&cell.finding)) (mark(&cell.finding)) }
    };
    let folder = match &cell.finding {
        Finding::Ran { run, .. } => link(*run),
        _ => None,
    };
    match folder {
        Some(folder) => html! { a href=(folder) { (shown) } },
        None => shown,
    }
}

fn tip(cell: &MatrixCell) -> String {
    let mut tip = format!("{} → {}", cell.from, cell.to);
    match &cell.finding {
        Finding::Ran { predicted, hazard, still_reserved, .. } => {
            if let Some(predicted) = predicted {
                tip.push_str(&format!("\npredicted: {} ({})", predicted.outcome, plain(&predicted.why)));
            }
            if let Some(hazard) = hazard {
                tip.push_str(&format!("\nknown: {}", plain(hazard)));
            }
            if let Some(reserved) = still_reserved {
                tip.push_str(if *reserved { "\nits pages are still reserved" } else { "\nits pages are free" });
            }
        }
        Finding::NotApplicable { reason } => tip.push_str(&format!("\nnot applicable: {}", plain(reason))),
        Finding::Elsewhere => tip.push_str("\nanother machine's part"),
    }
    tip
}

/// Of a field, and of what is written on it.
fn colours(finding: &Finding) -> (&'static str, &'static str) {
    match finding {
        Finding::Ran { outcome: Some(outcome), .. } => colours_of(*outcome),
        Finding::Ran { outcome: None, .. } => ("#24292f", "#ffffff"),
        Finding::NotApplicable { .. } | Finding::Elsewhere => ("#f0f2f4", "#57606a"),
    }
}

fn colours_of(outcome: HopOutcome) -> (&'static str, &'static str) {
    match outcome {
        HopOutcome::Preserved => ("#1a7f37", "#ffffff"),
        HopOutcome::Altered => ("#cf222e", "#ffffff"),
        HopOutcome::Refused => ("#eac54f", "#24292f"),
        HopOutcome::Ignored => ("#d4a72c", "#24292f"),
        HopOutcome::Unopenable => ("#e16f24", "#ffffff"),
        HopOutcome::Panicked => ("#a40e26", "#ffffff"),
        HopOutcome::Died => ("#660018", "#ffffff"),
        HopOutcome::LostSilently => ("#8250df", "#ffffff"),
    }
}

fn legend() -> Markup {
    html! {
        @for (at, outcome) in HopOutcome::ALL.iter().enumerate() {
            rect x=(at * ENTRY) width="14" height="14" rx="3" fill=(colours_of(*outcome).0) {}
            text x=(at * ENTRY + 20) y="12" fill="#24292f" { (outcome.name()) }
        }
    }
}
