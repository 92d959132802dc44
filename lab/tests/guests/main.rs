//! The engine against real guests that misbehave. Each of them has to be named for what it did.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up its stage has failed")]

mod checks;
mod elf;
mod misbehaviour;
mod restored;
mod support;
