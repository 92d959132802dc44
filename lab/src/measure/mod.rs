//! From what the guest said to figures: fidelity of memory, and time by the guest's time stamp counter.

pub mod clock;
pub mod fidelity;
pub mod leak;
pub mod timeline;
