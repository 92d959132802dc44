// SPDX-License-Identifier: GPL-2.0

//! Tests of the wire format: what is written is read, and hostile bytes do no harm.

#[path = "tests/damage.rs"]
mod damage;
#[path = "tests/golden.rs"]
mod golden;
#[path = "tests/hostile.rs"]
mod hostile;
#[path = "tests/model.rs"]
mod model;
#[path = "tests/root.rs"]
mod root;
#[path = "tests/roundtrip.rs"]
mod roundtrip;
#[path = "tests/rules.rs"]
mod rules;
#[path = "tests/salvage.rs"]
mod salvage;
#[path = "tests/writer.rs"]
mod writer;

/// So many random cases, and few under Miri, which is slow and has no files to keep failures in.
fn cases(cases: u32) -> proptest::test_runner::Config {
    let mut config = proptest::test_runner::Config::with_cases(cases);
    if cfg!(miri) {
        config.cases = 1;
        config.failure_persistence = None;
    }
    config
}
