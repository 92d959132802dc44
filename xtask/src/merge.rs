//! `cargo xtask merge`

use lab::matrix::merge;
use lab::report::{matrix as shown, read_json, terminal, write_json};
use lab::result::Pace;

use crate::cli::Merge;
use crate::exit::Exit;
use crate::matrix::write_report;

pub(crate) fn run(options: &Merge) -> Exit {
    let mut parts = Vec::new();
    for path in &options.results {
        match read_json(path) {
            Ok(report) => parts.push((path.display().to_string(), report)),
            Err(error) => {
                eprintln!("error: {} cannot be read: {error}", path.display());
                return Exit::Usage;
            }
        }
    }
    let report = match merge(parts) {
        Ok(report) => report,
        Err(error) => {
            eprintln!("error: {error}");
            return Exit::Usage;
        }
    };
    match &report.matrix {
        Some(matrix) => {
            println!("{}\n{}\n\n{}", shown::table(matrix), shown::differences(&report), shown::summary(matrix));
        }
        None => println!("{}", terminal::table(&report.runs)),
    }
    let pace = report.pace.unwrap_or_else(|| Pace::of(&report.runs, std::time::Duration::ZERO));
    println!("{}", terminal::summary(&report.runs, &pace));
    let json = options.json.as_ref().map_or(Ok(()), |path| {
        write_json(&report, path).map_err(|error| format!("cannot write {}: {error}", path.display()))
    });
    let written = json.and_then(|()| options.report.as_ref().map_or(Ok(()), |folder| write_report(&report, folder)));
    if let Err(error) = written {
        eprintln!("error: {error}");
        return Exit::Infrastructure;
    }
    if report.runs.iter().all(lab::result::Run::is_green) { Exit::Passed } else { Exit::Failed }
}
