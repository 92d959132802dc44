//! The guest's kernels and their modules: where the source comes from, how it is configured and built.

pub mod abi;
mod build;
mod error;
mod excerpt;
mod expression;
mod fragment;
mod git;
mod job;
mod kconfig;
pub mod module;
mod origin;
mod profile;
mod provider;
mod resolve;
mod source;
mod tools;
mod tree;
mod tree_state;
mod version;

pub use abi::Abi;
pub use error::Error;
pub use fragment::Fragment;
pub use job::Job;
pub use kconfig::{Kconfig, Values};
pub use module::Module;
pub use profile::{DEBUG, GUEST, KASAN, Profile};
pub use provider::{Kernel, Provider};
pub use resolve::ResolvedSource;
pub use source::{KernelSource, ParseError};
pub use version::{NotAVersion, Series, Version};
