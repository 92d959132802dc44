//! Liveupdate Lab's engine: what survives a live update, is it the same to the bit, and how long was the
//! world dark?
//!
//! The rooms, in the order in which a run passes through them:
//!
//! - [`host`]: what this machine has, and how it gets what it lacks; [`cache`]: what was costly, kept.
//! - [`kernel`]: from `7.3` to a kernel that boots.
//! - [`image`]: the agent, the module and the initramfs that carries them.
//! - [`machine`]: one QEMU, owned.
//! - [`scenario`]: from YAML to a plan that can be run.
//! - [`run`]: one plan on one machine, to its verdict.
//! - [`measure`]: fidelity and time.
//! - [`selftest`]: the kernel's own tests, on the same machine; [`shell`]: a person at it;
//!   [`bisect`]: which commit broke it; [`watch`]: what has changed.
//! - [`requirement`]: what is asked for, by id; [`conformance`]: which of it the runs prove.
//! - [`mutants`]: what the runs would see if a mistake were made.
//! - [`result`]: the one model of what was found out; [`report`]: shows it to people and machines.

pub mod bisect;
pub mod cache;
pub mod conformance;
pub mod host;
pub mod image;
pub mod kernel;
pub mod machine;
pub mod matrix;
pub mod measure;
pub mod mutants;
pub mod report;
pub mod requirement;
pub mod result;
pub mod run;
pub mod scenario;
pub mod selftest;
pub mod shell;
pub mod watch;
