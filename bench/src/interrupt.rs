//! A benchmark that Ctrl-C ends properly.

use std::process::ExitCode;

use lab::host::Cancel;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::Failure;

/// Does the work and says how it went. Ctrl-C ends the run under way, so that no guest and no folder stays behind.
pub fn interruptible(work: impl FnOnce(&Cancel) -> Result<(), Failure>) -> ExitCode {
    let cancel = Cancel::new();
    match listen(&cancel).map_err(Failure::from).and_then(|()| work(&cancel)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) if cancel.is_cancelled() => ExitCode::from(130),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn listen(cancel: &Cancel) -> std::io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let cancel = cancel.clone();
    std::thread::spawn(move || signals.forever().for_each(|_| cancel.cancel()));
    Ok(())
}
