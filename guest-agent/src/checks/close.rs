//! What becomes of registrations whose owner closes or dies.

use protocol::message::ObjectId;
use rustix::fd::AsFd as _;

use super::{
    aside::Aside,
    context::{Context, Finding, Kept},
};

const FILE: ObjectId = ObjectId(1);

/// The same file can be registered by another session as soon as the first one is closed: while it is
/// registered it cannot.
pub(super) fn close_before_prepare_forgets(context: &mut Context) -> Result<(), Finding> {
    let (mut one, mut other) = (context.open()?, context.open()?);
    let file = one.create(FILE, 4096)?;
    one.preserve(FILE, file.as_fd())?;
    if other.preserve(FILE, file.as_fd()).is_ok() {
        return Err(Finding::new("a file that is registered to be refused to another session", "it was taken"));
    }
    drop(one);
    other.preserve(FILE, file.as_fd())?;
    Ok(())
}

/// The same of a process that is killed. The file is opened here, so that it outlives that process.
pub(super) fn crash_before_prepare_forgets(context: &mut Context) -> Result<(), Finding> {
    let mut other = context.open()?;
    let file = other.create(FILE, 4096)?;
    let (holder, ()) = Aside::start(|kept: &mut Kept| {
        let mut session = context.open()?;
        session.preserve(FILE, file.as_fd())?;
        kept.push(Box::new(session));
        Ok(())
    })?;
    if other.preserve(FILE, file.as_fd()).is_ok() {
        return Err(Finding::new("a file that is registered to be refused to another session", "it was taken"));
    }
    holder.kill()?;
    other.preserve(FILE, file.as_fd())?;
    Ok(())
}
