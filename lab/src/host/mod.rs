//! This machine: what it has, what it lacks, and how commands run on it.

mod busybox;
mod cancel;
mod capacity;
mod compiler;
mod doctor;
mod fuzzing;
mod install;
pub mod process;
mod progress;
mod system;
mod versions;

pub use busybox::busybox;
pub use cancel::{Cancel, Subscription};
pub use capacity::Capacity;
pub use compiler::Compiler;
pub use doctor::{Check, Doctor, Found, GUEST_TARGET, Remedy};
pub(crate) use install::apt_percent;
pub use install::{Consent, Error, ensure, ensure_for_fuzzing, ensure_for_shell};
pub use progress::{Progress, Silent};
pub use system::{Family, Package, find_program};
pub use versions::{Toolchain, Versions};
