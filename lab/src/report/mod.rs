//! What a run found out, for people and for machines.
//!
//! [`crate::result`] is the one model; [`terminal`] shows it ([`live`] while it comes about, [`conformance`] which requirements
//! are met, [`kernels`] what they ran on, [`matrix`] what becomes of each pair of kernels, [`selftest`] the kernel's own
//! tests, [`mutants`] which mistakes are seen), JSON is its serde form, and its JSON Schema comes from the same types.

pub mod conformance;
pub mod kernels;
pub mod live;
pub mod matrix;
pub mod mutants;
pub mod selftest;
pub mod terminal;

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;

use serde::Serialize;

use crate::result::{Mutants, Report};

/// Writes a report, or a [`Mutants`], as JSON, whole or not at all.
///
/// # Errors
/// As the file system says.
pub fn write_json(report: &impl Serialize, path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let file = tempfile::NamedTempFile::new_in(folder)?;
    let mut writer = BufWriter::new(file);
    serde_json::to_writer_pretty(&mut writer, report)?;
    writer.write_all(b"\n")?;
    let file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.as_file().sync_all()?;
    file.persist(path).map(|_: File| ()).map_err(|error| error.error)
}

/// Longest report that is read, in bytes.
const MAX_JSON: u64 = 256 << 20;

/// Reads a report that [`write_json`] wrote.
///
/// # Errors
/// As the file system says; or it is no report, or too long for one.
pub fn read_json(path: &Path) -> io::Result<Report> {
    let file = File::open(path)?;
    if file.metadata()?.len() > MAX_JSON {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("it is longer than {MAX_JSON} bytes")));
    }
    Ok(serde_json::from_reader(io::BufReader::new(file))?)
}

/// Writes a text, whole or not at all.
///
/// # Errors
/// As the file system says.
pub fn write_text(text: &str, path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

/// The JSON Schema of [`Mutants`].
#[must_use]
pub fn mutants_schema() -> String {
    let schema = schemars::schema_for!(Mutants);
    format!("{schema:#}", schema = schema.as_value())
}

/// The JSON Schema of [`Report`].
#[must_use]
pub fn json_schema() -> String {
    let schema = schemars::schema_for!(Report);
    format!("{schema:#}", schema = schema.as_value())
}
