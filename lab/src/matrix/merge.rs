//! Several machines' parts of a matrix, joined.

use crate::result::{Finding, Pace, Report, SCHEMA_VERSION};

/// Why reports cannot be joined.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is none.
    #[error("there is no report to join")]
    Nothing,
    /// One was written by another version of the lab.
    #[error("{report} has schema version {found}, this lab reads and writes {SCHEMA_VERSION}")]
    Version {
        /// Which one.
        report: String,
        /// Its version.
        found: u32,
    },
    /// One holds a matrix and another holds none, or one of other cells.
    #[error("{report} is no part of the same matrix as {first}: {why}")]
    OtherMatrix {
        /// Which one.
        report: String,
        /// The one that it was compared with.
        first: String,
        /// How that shows.
        why: String,
    },
    /// Two of them ran the same cell.
    #[error("{report} has a cell that another one has too: {cell}")]
    Twice {
        /// Which one.
        report: String,
        /// The cell, in words.
        cell: String,
    },
}

/// Joins reports, each with its name for messages. Runs follow one another, machines are told apart, and of a matrix every
/// cell is whose part it was.
///
/// # Errors
/// They do not belong together.
pub fn merge(reports: Vec<(String, Report)>) -> Result<Report, Error> {
    let mut parts = reports.into_iter();
    let (first, mut whole) = parts.next().ok_or(Error::Nothing)?;
    version(&first, &whole)?;
    for (name, part) in parts {
        version(&name, &part)?;
        join(&mut whole, part, &first, &name)?;
    }
    Ok(whole)
}

fn version(name: &str, report: &Report) -> Result<(), Error> {
    match report.schema_version {
        SCHEMA_VERSION => Ok(()),
        found => Err(Error::Version { report: name.to_owned(), found }),
    }
}

fn join(whole: &mut Report, part: Report, first: &str, name: &str) -> Result<(), Error> {
    let (machines, runs) = (whole.environments.len(), whole.runs.len());
    match (&mut whole.matrix, part.matrix) {
        (None, None) => {}
        (Some(whole), Some(part)) => {
            let other = |why: String| Error::OtherMatrix { report: name.to_owned(), first: first.to_owned(), why };
            let key = |cell: &crate::result::MatrixCell| {
                format!("{} → {}, {} by {}", cell.from, cell.to, cell.scenario, cell.interface.name())
            };
            if !whole.cells.iter().map(key).eq(part.cells.iter().map(key)) {
                return Err(other("it has other cells".to_owned()));
            }
            for (mine, theirs) in whole.kernels.iter_mut().zip(part.kernels) {
                match (&mine.release, &theirs.release) {
                    (Some(one), Some(another)) if one != another => {
                        return Err(other(format!("there {} is {another}, here {one}", mine.name)));
                    }
                    (None, Some(_)) => *mine = theirs,
                    _ => {}
                }
            }
            for (mine, theirs) in whole.cells.iter_mut().zip(part.cells) {
                match (&mine.finding, theirs.finding) {
                    (_, Finding::Elsewhere) => {}
                    (Finding::Elsewhere, Finding::Ran { outcome, predicted, still_reserved, hazard, green, run }) => {
                        let run = run + runs;
                        mine.finding = Finding::Ran { outcome, predicted, still_reserved, hazard, green, run };
                    }
                    (Finding::Elsewhere, found @ Finding::NotApplicable { .. }) => mine.finding = found,
                    (Finding::NotApplicable { .. }, Finding::NotApplicable { .. }) => {}
                    _ => return Err(Error::Twice { report: name.to_owned(), cell: key(mine) }),
                }
            }
        }
        (mine, _) => {
            let why = if mine.is_some() { "it has none, the other has one" } else { "it has one, the other has none" };
            let (report, first) = (name.to_owned(), first.to_owned());
            return Err(Error::OtherMatrix { report, first, why: why.to_owned() });
        }
    }
    whole.environments.extend(part.environments);
    whole.runs.extend(part.runs.into_iter().map(|mut run| {
        run.machine += machines;
        run
    }));
    whole.pace = match (whole.pace, part.pace) {
        // They ran at the same time, each on a machine of its own.
        (Some(one), Some(other)) => Some(Pace {
            wall_ms: one.wall_ms.max(other.wall_ms),
            runs: one.runs + other.runs,
            restored: one.restored + other.restored,
            side_by_side: one.side_by_side.max(other.side_by_side),
        }),
        (one, other) => one.or(other),
    };
    // What several machines prove together is not the sum of what each does.
    whole.conformance = None;
    Ok(())
}

#[cfg(test)]
mod tests {
    use protocol::message::Interface;

    use super::*;
    use crate::result::{Accelerator, AcceleratorKind, Environment, HopOutcome, Matrix, MatrixCell, MatrixKernel};

    const ELSEWHERE: Finding = Finding::Elsewhere;

    fn ran(run: usize) -> Finding {
        let outcome = Some(HopOutcome::Preserved);
        Finding::Ran { outcome, predicted: None, still_reserved: None, hazard: None, green: true, run }
    }

    /// Of one machine, on which as many runs were made as cells say.
    fn part(findings: &[Finding]) -> Report {
        let accelerator = Accelerator { kind: AcceleratorKind::Tcg, reason: String::new() };
        let (lab, qemu, host_kernel) = (String::new(), String::new(), String::new());
        let cell = |(at, finding): (usize, &Finding)| MatrixCell {
            scenario: "one".to_owned(),
            interface: Interface::Luo,
            from: "7.3".to_owned(),
            to: at.to_string(),
            finding: finding.clone(),
        };
        let kernel = MatrixKernel { name: "7.3".to_owned(), release: Some("7.3.4".to_owned()), unobtainable: None };
        Report {
            schema_version: SCHEMA_VERSION,
            environments: vec![Environment { lab, qemu, accelerator, host_kernel, kernels: Vec::new() }],
            runs: Vec::new(),
            pace: None,
            matrix: Some(Matrix { kernels: vec![kernel], cells: findings.iter().enumerate().map(cell).collect() }),
            conformance: None,
            selftests: Vec::new(),
        }
    }

    fn joined(parts: &[Report]) -> Result<Report, Error> {
        merge(parts.iter().enumerate().map(|(at, part)| (format!("{at}.json"), part.clone())).collect())
    }

    #[test]
    fn parts_make_a_whole() {
        let na = Finding::NotApplicable { reason: "no Rust".to_owned() };
        let parts = [part(&[ran(0), ELSEWHERE, ELSEWHERE]), part(&[ELSEWHERE, ran(0), na.clone()])];
        let whole = joined(&parts).unwrap();
        assert_eq!(whole.environments.len(), 2);
        let findings: Vec<Finding> = whole.matrix.unwrap().cells.into_iter().map(|cell| cell.finding).collect();
        assert_eq!(findings, [ran(0), ran(0), na]);
    }

    #[test]
    fn what_does_not_belong_together_stays_apart() {
        let said = |parts: &[Report]| joined(parts).unwrap_err().to_string();
        assert_eq!(said(&[]), "there is no report to join");
        let one = part(&[ran(0)]);
        assert!(said(&[one.clone(), one.clone()]).contains("another one has too: 7.3 → 0, one by luo"));
        assert!(said(&[one.clone(), part(&[ELSEWHERE, ran(0)])]).contains("it has other cells"));
        assert!(said(&[one.clone(), Report { schema_version: 1, ..one.clone() }]).contains("has schema version 1"));
        assert!(said(&[one.clone(), Report { matrix: None, ..one.clone() }]).contains("it has none"));
        let mut newer = part(&[ELSEWHERE]);
        newer.matrix.as_mut().unwrap().kernels[0].release = Some("7.3.5".to_owned());
        assert!(said(&[one, newer]).contains("there 7.3 is 7.3.5, here 7.3.4"));
    }
}
