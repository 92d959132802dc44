// SPDX-License-Identifier: GPL-2.0

//! What all tests with random cases have in common.

use proptest::test_runner::Config;

/// So many random cases, and few under Miri, which is slow and has no files to keep failures in.
pub(crate) fn cases(cases: u32) -> Config {
    let mut config = Config::with_cases(cases);
    if cfg!(miri) {
        config.cases = 1;
        config.failure_persistence = None;
    }
    config
}

/// The most that a random list may have, and few under Miri.
pub(crate) const fn length(most: usize) -> usize {
    if cfg!(miri) {
        most / 4
    } else {
        most
    }
}
