//! The lab against upstream's own test of the same thing.
//!
//! [`selftest`] makes upstream's `luo_kexec_simple` bootable, [`sides`] runs either once and times it,
//! [`batch`] many of them side by side, [`figures`] boils the times down. `benches/upstream.rs` puts them together; `benches/hot_paths.rs`
//! needs none of them. `benches/interfaces.rs` compares the interfaces with one another: [`costs`] asks the
//! checks that measure them, and [`tables`] shows what they bring.

pub mod batch;
pub mod costs;
pub mod figures;
pub mod interrupt;
pub mod selftest;
pub mod sides;
pub mod tables;

/// Whatever went wrong: a benchmark can only say so and stop.
pub type Failure = Box<dyn std::error::Error>;
