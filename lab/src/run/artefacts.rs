//! The folder that a run leaves behind.
//!
//! `console.log`, `agent.log`, `qmp.log`, `qemu.log`, `qemu.sh` to start the same machine by hand,
//! `kernel.log` as the last guest kernel kept it, `registers.txt` of a guest that hung, `result.json`.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::result::Run;
use crate::scenario::plan::Plan;

/// Why a run's folder could not be made or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to {}: {source}; a full disk or a read-only folder? `--runs DIR` chooses another", path.display())]
pub struct Error {
    path: PathBuf,
    source: io::Error,
}

/// A run's folder.
#[derive(Debug)]
pub struct Artefacts {
    folder: PathBuf,
}

impl Artefacts {
    /// Makes a new folder in `runs`, named after time, scenario and interface.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn create(runs: &Path, plan: &Plan) -> Result<Self, Error> {
        let interface = format!("{:?}", plan.interface).to_lowercase();
        Self::named(runs, &format!("{}-{interface}", plan.scenario))
    }

    /// Makes a new folder in `runs`, named after the time and what runs.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn named(runs: &Path, name: &str) -> Result<Self, Error> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| Error { path, source }
        };
        fs::create_dir_all(runs).map_err(failed(runs))?;
        let millis = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_millis());
        // A scenario's name is a file's stem; what else it may hold stays out of folder names.
        let name: String =
            name.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' }).collect();
        for attempt in 0u32.. {
            let folder = runs.join(format!("{}-{name}", millis + u128::from(attempt)));
            match fs::create_dir(&folder) {
                Ok(()) => return Ok(Self { folder }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && attempt < 1000 => {}
                Err(error) => return Err(failed(&folder)(error)),
            }
        }
        Err(failed(runs)(io::Error::from(io::ErrorKind::AlreadyExists)))
    }

    /// What is in a folder that is there.
    #[must_use]
    pub(super) fn at(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Where it is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes one file; a failure to do so never hides why the run ended.
    pub fn keep(&self, name: &str, content: &str) {
        let _ = fs::write(self.folder.join(name), content);
    }

    /// Opens the log of what was said to the agent and by it.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn agent_log(&self) -> Result<File, Error> {
        let path = self.folder.join("agent.log");
        File::create(&path).map_err(|source| Error { path, source })
    }
}

pub(super) fn write_result(run: &Run) -> Result<(), Error> {
    if run.artefacts.is_empty() {
        return Ok(());
    }
    let path = Path::new(&run.artefacts).join("result.json");
    let write = || -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&run.artefacts)?;
        let mut writer = BufWriter::new(&mut file);
        serde_json::to_writer_pretty(&mut writer, run)?;
        writer.flush()?;
        drop(writer);
        file.persist(&path).map(drop).map_err(|error| error.error)
    };
    write().map_err(|source| Error { path: path.clone(), source })
}
