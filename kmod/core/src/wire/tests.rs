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

use crate::testing::cases;
