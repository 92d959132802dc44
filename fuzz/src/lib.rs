//! What is done with hostile bytes, once for cargo-fuzz and for ordinary tests.
//!
//! Each module is one target: its `run` takes any bytes and panics if something is wrong. The programs in
//! `fuzz_targets/` hand it what libFuzzer makes up; `tests/seeds.rs` replays what is known, on any toolchain.
//!
//! - [`description`]: what one kernel leaves for the next, read as the module reads it.
//! - [`orchestrator`]: calls in any order, against a model.
//! - [`frame`]: what a hostile guest says to the host.
//! - [`scenario`]: a scenario file, from bytes to plan.
//! - [`console`]: what a guest's kernel prints.

pub mod console;
pub mod description;
pub mod frame;
pub mod orchestrator;
pub mod scenario;

/// What is done with an input; it panics if something is wrong.
pub type Target = fn(&[u8]);

/// All targets, by the names of their programs.
pub const TARGETS: &[(&str, Target)] = &[
    ("console", console::run),
    ("description", description::run),
    ("frame", frame::run),
    ("orchestrator", orchestrator::run),
    ("scenario", scenario::run),
];

/// The program of a target: libFuzzer's, or, without it, one that replays the files it is given.
#[macro_export]
macro_rules! target {
    ($run:path) => {
        #[cfg(fuzzing)]
        ::libfuzzer_sys::fuzz_target!(|bytes: &[u8]| $run(bytes));

        #[cfg(not(fuzzing))]
        fn main() -> ::std::io::Result<()> {
            $crate::replay($run)
        }
    };
}

/// Runs a target over the files that the command line names.
///
/// # Errors
/// One of them cannot be read.
pub fn replay(run: Target) -> std::io::Result<()> {
    for path in std::env::args_os().skip(1) {
        run(&std::fs::read(&path)?);
        println!("{}", path.display());
    }
    Ok(())
}
