//! One process holds the device, and hands out sessions.

use protocol::check::Notes;
use rustix::{fd::AsFd as _, io::Errno};

use super::filled;
use crate::{
    checks::{
        aside::Aside,
        context::{Context, Finding, refused, works},
        pass,
        privilege::become_user,
        seat::has,
    },
    luo::{Session, open_device},
};

const BYTES: usize = 5 * 4096;
/// Who serves, under which token: it is for them to choose.
const SERVICES: [(&str, u32, u64); 2] = [("one", 1000, u64::MAX), ("two", 1001, 0)];

/// While the broker has the device nobody else gets it. A service without privileges is sent a session's file, and
/// preserves what it likes through that.
pub(in crate::checks) fn leave(context: &mut Context) -> Result<Notes, Finding> {
    let device = works("open of the device", open_device())?;
    Aside::run(|| refused("a second open of the device", Errno::BUSY, open_device()))?;
    for (name, user, token) in SERVICES {
        let (here, there) = pass::pair()?;
        let session = works("CREATE_SESSION", Session::create_by(&device, name))?;
        let copy = works("dup", session.as_fd().try_clone_to_owned().map_err(|_| Errno::MFILE))?;
        pass::send(&here, name.as_bytes(), Some(&copy))?;
        let (service, ()) = Aside::start(|kept| {
            become_user(user)?;
            let session = Session::from(pass::receive_file(&there)?);
            let file = filled(BYTES, token)?;
            works("PRESERVE_FD", session.preserve(&file, token))?;
            kept.push(Box::new((session, file)));
            Ok(())
        })?;
        context.stay_with((service, session));
    }
    context.stay_with(device);
    Ok(Notes::of(&())?)
}

/// Each finds its own in the session that it is sent, and no token of the other's.
pub(in crate::checks) fn find(_: &mut Context, notes: &Notes) -> Result<(), Finding> {
    let (): () = notes.read()?;
    for (at, (name, user, token)) in SERVICES.into_iter().enumerate() {
        let (here, there) = pass::pair()?;
        let session = works("RETRIEVE_SESSION", Session::retrieve(name))?;
        let copy = works("dup", session.as_fd().try_clone_to_owned().map_err(|_| Errno::MFILE))?;
        pass::send(&here, name.as_bytes(), Some(&copy))?;
        Aside::run(|| {
            become_user(user)?;
            let session = Session::from(pass::receive_file(&there)?);
            let (_, _, foreign) = SERVICES[1 - at];
            refused("RETRIEVE_FD of the other's token", Errno::NOENT, session.retrieve_fd(foreign))?;
            has(&works("RETRIEVE_FD", session.retrieve_fd(token))?, BYTES, token)
        })?;
        works("FINISH", session.finish())?;
    }
    Ok(())
}
