//! Faults on purpose: the module's parameter that makes the Nth step from now fail once for want of memory.

use std::{fs::File, io, os::unix::fs::FileExt as _, sync::OnceLock};

use liveupdate_client::Error;
use rustix::io::Errno;

use super::context::{Finding, holds};

const PARAMETER: &str = "/sys/module/liveupdate_lab/parameters/fail_step";

/// More steps than anything here takes.
const MANY: u32 = 20_000;

/// How many of its first steps an attempt is failed at in turn: more than a mount takes before it restores anything.
const FIRST: u32 = 24;

fn parameter<T>(work: impl FnOnce(&File) -> io::Result<T>) -> Result<T, Finding> {
    static OPEN: OnceLock<File> = OnceLock::new();
    let failed = |error: io::Error| Finding::new(format!("{PARAMETER} to be read and written"), error.to_string());
    let file = match OPEN.get() {
        Some(file) => file,
        None => {
            let file = File::options().read(true).write(true).open(PARAMETER).map_err(failed)?;
            OPEN.get_or_init(|| file)
        }
    };
    work(file).map_err(failed)
}

/// Has the Nth fallible step from now fail; 0: none.
pub(super) fn arm(step: u32) -> Result<(), Finding> {
    parameter(|file| file.write_all_at(step.to_string().as_bytes(), 0))
}

/// The same, and the `next`th after that fails too.
pub(super) fn arm_two(step: u32, next: u32) -> Result<(), Finding> {
    parameter(|file| file.write_all_at(format!("{step},{next}").as_bytes(), 0))
}

/// Arms none, and tells whether the fault had come; of two, whether both had.
pub(super) fn disarm() -> Result<bool, Finding> {
    Ok(left()? == 0)
}

/// Arms none, and tells how many steps were left.
fn left() -> Result<u32, Finding> {
    let mut text = [0; 16];
    let read = parameter(|file| file.read_at(&mut text, 0))?;
    arm(0)?;
    let number = std::str::from_utf8(text[..read].trim_ascii()).ok().and_then(|number| number.parse().ok());
    number.ok_or_else(|| Finding::new(format!("{PARAMETER} to hold a number"), format!("{:?}", &text[..read])))
}

/// How many fallible steps some work takes that goes well.
pub(super) fn steps_of(work: impl FnOnce() -> Result<(), Finding>) -> Result<u32, Finding> {
    const MOST: u32 = i32::MAX.unsigned_abs();
    arm(MOST)?;
    let done = work();
    let left = left()?;
    done?;
    Ok(MOST - left)
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
        let step = 1 + turn % FIRST;
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
