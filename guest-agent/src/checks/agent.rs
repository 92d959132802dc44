//! An agent that has the machine's privilege hands out session files, before the update and after it.

use liveupdate_client::{Control, Drive as _, PageSize, Preserve as _, PreserveFlags};
use protocol::check::Notes;
use rustix::{fd::OwnedFd, io::Errno};

use super::{
    aside::Aside,
    carried::known,
    context::{Context, Finding, same, works},
    domain::no_power,
    pass,
    privilege::become_user,
    seat::{called, denied, filled, has, retrieved, session},
};

const BYTES: usize = 3 * 4096;
const USER: u32 = 1000;
/// The largest file that the agent lets through where it looks at each.
const LIMIT: usize = 16 * 4096;

/// One service has its session wholesale. Another has none: it sends its files, and the agent vets each.
pub(super) fn leave(context: &mut Context) -> Result<Notes, Finding> {
    let agent = context.seat("agent")?;
    let (here, there) = pass::pair()?;
    pass::send(&here, b"whole", Some(&session(&agent, "whole")?.into()))?;
    let (service, whole) = Aside::start(|kept| {
        become_user(USER)?;
        let seat = Control::from_fd(pass::receive_file(&there)?)?;
        let files = [filled(&seat, BYTES, PageSize::Any, 1)?, filled(&seat, BYTES, PageSize::Any, 2)?];
        let mut tokens = [0; 2];
        for (file, token) in files.iter().zip(&mut tokens) {
            *token = seat.preserve(file, PreserveFlags::NONE)?.get();
        }
        kept.push(Box::new((seat, files)));
        Ok(tokens)
    })?;

    let vetted = session(&agent, "vetted")?;
    let (client, ()) = Aside::start(|kept| {
        become_user(USER + 1)?;
        // It has no session, and so cannot make memory: the agent has sent it two files.
        kept.push(Box::new(send_files(&agent, &there)?));
        Ok(())
    })?;
    let mut token = None;
    for (bytes, passes) in [(LIMIT, true), (LIMIT + 1, false)] {
        let file = pass::receive_file(&here)?;
        let size = works("fstat of what the client sent", rustix::fs::fstat(&file))?.st_size;
        same("the length of what the client sent", bytes as i64, size)?;
        if passes {
            token = Some(vetted.preserve(&file, PreserveFlags::NONE)?.get());
        }
    }
    let token = token.ok_or_else(|| Finding::new("a file that passes", "none"))?;
    context.stay_with((agent, service, client, vetted));
    Ok(Notes::of(&(whole, token))?)
}

/// A small file and one that is too large.
fn send_files(by: &Control, socket: &OwnedFd) -> Result<[OwnedFd; 2], Finding> {
    let files = [filled(by, LIMIT, PageSize::Any, 3)?, filled(by, LIMIT + 1, PageSize::Any, 4)?];
    for file in &files {
        pass::send(socket, b"please", Some(file))?;
    }
    Ok(files)
}

/// A service that was handed its session, restored the file of `restore` and lives on.
fn serve(agent: &Control, restore: Option<u64>) -> Result<Aside, Finding> {
    let (here, there) = pass::pair()?;
    pass::send(&here, b"whole", Some(&retrieved(agent, "whole")?.into()))?;
    let (service, ()) = Aside::start(|kept| {
        become_user(USER)?;
        let seat = Control::from_fd(pass::receive_file(&there)?)?;
        no_power(&seat)?;
        if let Some(token) = restore {
            let file = seat.restore(known(token)?)?;
            has(&file, BYTES, 1)?;
            kept.push(Box::new(file));
        }
        kept.push(Box::new(seat));
        Ok(())
    })?;
    Ok(service)
}

/// By name, one holder at a time, and again when that has crashed: nothing is lost but what it had restored.
pub(super) fn find(context: &mut Context, notes: &Notes) -> Result<(), Finding> {
    let (whole, vetted): ([u64; 2], u64) = notes.read()?;
    let agent = context.seat("agent")?;
    let name = called("whole");
    let waiting = agent.status()?.unclaimed;
    denied("SESSION_RETRIEVE of a name that was not", Errno::NOENT, agent.retrieve_session(&called("unknown")))?;
    denied("SESSION_CREATE of a name that waits", Errno::EXIST, agent.create_session(&name))?;

    for restore in [None, Some(whole[0])] {
        let service = serve(&agent, restore)?;
        denied("SESSION_RETRIEVE of what is held", Errno::BUSY, agent.retrieve_session(&name))?;
        denied("SESSION_CREATE of a name that is held", Errno::EXIST, agent.create_session(&name))?;
        service.kill()?;
    }
    let seat = retrieved(&agent, "whole")?;
    denied("FD_RESTORE of what the crashed one had restored", Errno::NOENT, seat.restore(known(whole[0])?))?;

    // The agent crashes with sessions in its hands: another one goes on.
    drop(seat);
    let (crashing, ()) = Aside::start(|kept| {
        let agent = context.seat("second-agent")?;
        kept.push(Box::new((retrieved(&agent, "whole")?, retrieved(&agent, "vetted")?, agent)));
        Ok(())
    })?;
    denied("SESSION_RETRIEVE of what is held", Errno::BUSY, agent.retrieve_session(&called("vetted")))?;
    crashing.kill()?;
    has(&retrieved(&agent, "whole")?.restore(known(whole[1])?)?, BYTES, 2)?;
    let seat = retrieved(&agent, "vetted")?;
    denied("FD_RESTORE of a file of another session", Errno::NOENT, seat.restore(known(whole[0])?))?;
    has(&seat.restore(known(vetted)?)?, LIMIT, 3)?;
    same("files that wait still", waiting - 3, agent.status()?.unclaimed)
}
