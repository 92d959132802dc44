//! The real command against real guests, as a user would run it: what it reports, and what it leaves behind
//! when it is interrupted, killed, or its host fails.

mod cache;
#[path = "../common/mod.rs"]
mod common;
mod conformance;
mod host_faults;
mod interrupt;
mod red;
mod shell;
mod side_by_side;
mod suite;
mod support;
