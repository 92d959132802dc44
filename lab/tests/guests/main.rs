//! The engine against real guests that misbehave. Each of them has to be named for what it did.

mod elf;
mod misbehaviour;
mod support;
