//! What becomes of what is preserved, when its session goes before the kexec.

use rustix::io::Errno;

use super::filled;
use crate::{
    checks::{
        aside::Aside,
        context::{Context, Finding, refused, works},
        leak::no_change,
    },
    luo::Session,
};

const PAGE: usize = 4096;

/// A file that one session preserves is refused to another until that session is closed, or its holder is killed.
pub(in crate::checks) fn closed_session_forgets(_: &mut Context) -> Result<(), Finding> {
    let other = works("CREATE_SESSION", Session::create("other"))?;
    let file = filled(PAGE, 1)?;
    let closed = works("CREATE_SESSION", Session::create("closed"))?;
    works("PRESERVE_FD", closed.preserve(&file, 1))?;
    refused("PRESERVE_FD by another session", Errno::BUSY, other.preserve(&file, 1))?;
    drop(closed);
    works("PRESERVE_FD once the first session is closed", other.preserve(&file, 1))?;

    let file = filled(PAGE, 2)?;
    let (holder, ()) = Aside::start(|kept| {
        let session = works("CREATE_SESSION", Session::create("killed"))?;
        works("PRESERVE_FD", session.preserve(&file, 2))?;
        kept.push(Box::new(session));
        Ok(())
    })?;
    refused("PRESERVE_FD by another session", Errno::BUSY, other.preserve(&file, 2))?;
    refused("CREATE_SESSION of a name that is held", Errno::EXIST, Session::create("killed"))?;
    holder.kill()?;
    works("PRESERVE_FD once the holder is killed", other.preserve(&file, 2))?;
    works("CREATE_SESSION once the holder is killed", Session::create("killed")).map(drop)
}

/// Preserving and closing again and again costs no memory: with large files, with many, and with refused ones.
pub(in crate::checks) fn closed_session_leaks_nothing(_: &mut Context) -> Result<(), Finding> {
    no_change("sessions with a large file that are closed", || {
        for turn in 0..8 {
            let session = works("CREATE_SESSION", Session::create("large"))?;
            works("PRESERVE_FD", session.preserve(filled(16 << 20, turn)?, turn))?;
        }
        Ok(())
    })?;
    no_change("2048 files that are preserved and let go", || {
        for turn in 0..64 {
            let session = works("CREATE_SESSION", Session::create("many"))?;
            for token in 0..32 {
                works("PRESERVE_FD", session.preserve(filled(PAGE, turn)?, token))?;
            }
        }
        Ok(())
    })?;
    let file = filled(PAGE, 1)?;
    no_change("refusals", || {
        let session = works("CREATE_SESSION", Session::create("refusing"))?;
        works("PRESERVE_FD", session.preserve(&file, 1))?;
        for _ in 0..2048 {
            refused("PRESERVE_FD of a token in use", Errno::EXIST, session.preserve(filled(PAGE, 2)?, 1))?;
            refused("PRESERVE_FD of the session itself", Errno::NOENT, session.preserve(&session, 2))?;
        }
        Ok(())
    })
}
