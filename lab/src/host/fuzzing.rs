//! What fuzzing needs besides.

use super::doctor::{Check, Doctor, Found, Remedy};
use super::system::{Package, find_program};

/// The `cargo fuzz` that is installed where there is none.
const CARGO_FUZZ: &str = "cargo-fuzz@0.13.2";

const CXX: Package = Package { apt: "g++", dnf: "gcc-c++", pacman: "gcc", zypper: "gcc-c++" };

impl Doctor {
    /// Checks what `cargo xtask fuzz` alone needs. A compiler that takes the fuzzer's options is none of it: the
    /// stable one does when asked.
    #[must_use]
    pub fn inspect_for_fuzzing(&self) -> Vec<Check> {
        let there = |name| find_program(name).map_or(Found::Missing, |path| Found::Good(path.display().to_string()));
        vec![
            Check {
                name: "cargo-fuzz",
                found: there("cargo-fuzz"),
                needed: "builds and runs fuzz targets",
                remedy: Remedy::Cargo(CARGO_FUZZ),
            },
            Check { name: "g++", found: there("g++"), needed: "libFuzzer is C++", remedy: Remedy::Package(CXX) },
        ]
    }
}
