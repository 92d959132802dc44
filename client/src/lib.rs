//! Keeps files and memory through a kexec: the user's side of Liveupdate Lab's kernel module.
//!
//! The module has two faces over one orchestrator, and so has this crate:
//!
//! - [`Device`], `/dev/liveupdate_lab`: registers open files (memory, memfds, eventfds), each known in the
//!   next kernel by a [`Token`]. It makes a named [`Session`] for a service that shall not have the device's
//!   power over the machine.
//! - [`kexecfs::Instance`], a mounted file system: whatever file is in it when the update is prepared is in
//!   it again under the next kernel. Its [`Control`] takes the device's calls.
//!
//! What all three have in common is [`Preserve`]; what only the first and the last can do, which is to
//! drive the machine, is [`Drive`].
//!
//! ```no_run
//! use liveupdate_client::{Device, Drive as _, Name, PageSize, Preserve as _, PreserveFlags, State};
//!
//! # fn main() -> Result<(), liveupdate_client::Error> {
//! let device = Device::open()?;
//! let session = device.create_session(&Name::new("ledger").expect("a valid name"))?;
//! let memory = session.create_memory(2 << 20, PageSize::Any)?;
//! let token = session.preserve(&memory, PreserveFlags::NONE)?;
//! // Whoever restarts the machine:
//! device.prepare()?;
//! device.freeze()?;
//! // kexec. Then, in the next kernel, where the token has to be known:
//! if device.state()? == State::Updated {
//!     let session = device.retrieve_session(&Name::new("ledger").expect("a valid name"))?;
//!     let memory = session.restore(token)?;
//!     device.finish()?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A failed call tells the errno, and in words what the kernel knows beyond it: [`Error::reason`].

#![deny(missing_docs, unsafe_code)]

mod abi;
mod error;
mod handle;
pub mod kexecfs;
mod operations;
mod words;

pub use error::{Error, Result};
pub use handle::{Control, Device, Session};
pub use operations::{Drive, Info, Kind, Need, PageSize, Preserve, PreserveFlags, Status};
pub use words::{Event, InvalidName, InvalidToken, Name, State, Token, UnknownState};
