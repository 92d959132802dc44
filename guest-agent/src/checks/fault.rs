//! Faults on purpose: the module's parameter that makes the Nth step from now fail once for want of memory.

use liveupdate_client::Error;
use rustix::io::Errno;

use super::context::{Finding, holds};

const PARAMETER: &str = "/sys/module/liveupdate_lab/parameters/fail_step";

/// More steps than anything here takes.
const MANY: u32 = 20_000;

/// Has the Nth fallible step from now fail; 0: none.
pub(super) fn arm(step: u32) -> Result<(), Finding> {
    std::fs::write(PARAMETER, step.to_string())
        .map_err(|error| Finding::new(format!("{step} to be written to fail_step"), error.to_string()))
}

/// Arms none, and tells whether the fault had come.
pub(super) fn disarm() -> Result<bool, Finding> {
    let text =
        std::fs::read_to_string(PARAMETER).map_err(|error| Finding::new("fail_step to be read", error.to_string()))?;
    arm(0)?;
    Ok(text.trim() == "0")
}

/// Makes each step of `attempt` fail in its turn, from the first on, until one attempt has met no fault. What
/// fails must do so with ENOMEM; `failed` looks at what it left. What works with a fault in it, or without,
/// goes to `done`, to be undone. Gives the number of failures.
pub(super) fn at_every_step<T>(
    what: &str,
    mut attempt: impl FnMut() -> Result<T, Error>,
    mut failed: impl FnMut() -> Result<(), Finding>,
    mut done: impl FnMut(T) -> Result<(), Finding>,
) -> Result<u32, Finding> {
    let mut failures = 0;
    for step in 1..MANY {
        arm(step)?;
        let result = attempt();
        let came = disarm()?;
        match result {
            Ok(value) => {
                done(value)?;
                if !came {
                    return Ok(failures);
                }
            }
            Err(error) => {
                only_for_memory(what, step, came, &error)?;
                failures += 1;
                failed()?;
            }
        }
    }
    Err(Finding::new(format!("{what} to work at last"), format!("{failures} failures")))
}

/// Fails `attempt` over and over, each time at one of its first steps, until it works nevertheless: possible only
/// if each attempt goes on where the last one stopped. Gives what it made, and the number of failures.
pub(super) fn again_and_again<T>(
    what: &str,
    mut attempt: impl FnMut() -> Result<T, Error>,
    mut failed: impl FnMut() -> Result<(), Finding>,
) -> Result<(T, u32), Finding> {
    let mut failures = 0;
    for turn in 0..MANY {
        let step = 1 + turn % 4;
        arm(step)?;
        let result = attempt();
        let came = disarm()?;
        match result {
            Ok(value) => return Ok((value, failures)),
            Err(error) => {
                only_for_memory(what, step, came, &error)?;
                failures += 1;
                failed()?;
            }
        }
    }
    Err(Finding::new(format!("{what} to work at last"), format!("{failures} failures")))
}

fn only_for_memory(what: &str, step: u32, came: bool, error: &Error) -> Result<(), Finding> {
    let so = came && error.errno() == Errno::NOMEM;
    holds(&format!("{what} to fail with ENOMEM and at step {step} alone"), so, format!("{error}, fault met: {came}"))
}
