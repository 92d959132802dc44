//! `matrix` and `merge`.

use std::num::NonZero;
use std::path::PathBuf;

use clap::Args;
use lab::matrix::Partition;

use super::guests::Guests;
use super::parse::interface;

const MATRIX_EXAMPLES: &str = "\
Examples:
  cargo xtask matrix                              every pair of the kernels in kernels.yaml that have no patches
  cargo xtask matrix --kernels 7.2,7.3            two of them, four pairs
  cargo xtask matrix --kernels all                the synthetic ones too
  cargo xtask matrix --interfaces luo,module two-hops
  cargo xtask matrix --report out                 index.html with a heat map, matrix.svg, matrix.md, results.json
  cargo xtask matrix --partition 2/4 --json 2.json
  cargo xtask matrix --emit-github-matrix 4       the parts, for `strategy: matrix:` of a workflow
  cargo xtask merge 1.json 2.json 3.json 4.json --report out

A row hands over, a column takes. A cell is green if it comes to what the two kernels' own strings let expect, or to a hazard
that hazards.yaml knows; anything else fails the command, and the lines that prove it are shown.";

/// Run scenarios between every ordered pair of kernels, and compare what comes of it with what they promise.
#[derive(Debug, Args)]
#[command(after_help = MATRIX_EXAMPLES)]
pub(crate) struct Matrix {
    /// Scenario files, or names of shipped ones; none that names kernels itself.
    #[arg(value_name = "FILE|NAME", default_values = ["one-object", "plain-kho"])]
    pub(crate) wanted: Vec<String>,
    /// The kernels: names from `kernels.yaml`, or whatever else names one. Those of the file that have no patches if none
    /// is named; `all` takes those with patches too.
    #[arg(long, value_delimiter = ',', value_name = "KERNEL,…")]
    pub(crate) kernels: Vec<String>,
    /// The interfaces: `luo` (in-tree), `module`, `kexecfs`, and `kho` (plain Kexec HandOver). All of them if none is named.
    #[arg(long, value_delimiter = ',', value_parser = interface, value_name = "INTERFACE,…")]
    pub(crate) interfaces: Vec<protocol::message::Interface>,
    /// Only this part of the cells: 1/4 to 4/4. Parts hold pairs that need the same kernels.
    #[arg(long, default_value = "1/1", value_name = "N/OF")]
    pub(crate) partition: Partition,
    /// Print so many parts as JSON for `strategy.matrix` of GitHub Actions, and run nothing.
    #[arg(long, value_name = "PARTS")]
    pub(crate) emit_github_matrix: Option<NonZero<u16>>,
    /// Write a report to this folder, the runs' folders in it: a page with a heat map, its picture, Markdown, results.
    #[arg(long, value_name = "DIR")]
    pub(crate) report: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) guests: Guests,
}

/// Join the results of several machines' parts.
#[derive(Debug, Args)]
pub(crate) struct Merge {
    /// What `--json` wrote.
    #[arg(required = true, value_name = "RESULTS.json")]
    pub(crate) results: Vec<PathBuf>,
    /// Write all results to this file.
    #[arg(long, value_name = "PATH")]
    pub(crate) json: Option<PathBuf>,
    /// Write a report to this folder: a page with a heat map, its picture, Markdown, results.
    #[arg(long, value_name = "DIR")]
    pub(crate) report: Option<PathBuf>,
}
