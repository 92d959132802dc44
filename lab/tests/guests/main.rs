//! The engine against real guests that misbehave, each of which has to be named for what it did; and the kernel's own tests
//! on them.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up its stage has failed")]

mod checks;
mod elf;
mod misbehaviour;
mod restored;
mod selftests;
mod support;
