//! One process holds the machine and decides for all others: a single broker of policy.

use liveupdate_client::{Control, Drive as _, Name, PageSize, Preserve as _, PreserveFlags, State};
use protocol::check::Notes;
use rustix::{
    event::{PollFd, PollFlags, poll},
    fd::OwnedFd,
    io::Errno,
};

use super::{
    aside::Aside,
    carried::known,
    context::{Context, Finding, Kept, refused, same, works},
    domain::no_power,
    pass,
    privilege::become_user,
    seat::{filled, has},
};

const CLIENTS: usize = 3;
const BYTES: usize = 4096;

/// What a client may ask for: a session of a name that begins with its own.
fn allowed(client: usize, name: &str) -> bool {
    name.starts_with(&format!("client-{client}."))
}

/// Serves the clients until it is killed. Each has a socket of its own, which says who it is.
fn serve(seat: &Control, clients: &[OwnedFd]) -> Result<(), Finding> {
    loop {
        let mut waiting: Vec<_> = clients.iter().map(|client| PollFd::new(client, PollFlags::IN)).collect();
        works("poll", rustix::io::retry_on_intr(|| poll(&mut waiting, None)))?;
        let ready: Vec<usize> = (0..clients.len()).filter(|&at| !waiting[at].revents().is_empty()).collect();
        for client in ready {
            let (name, _) = pass::receive(&clients[client])?;
            let name = String::from_utf8_lossy(&name);
            match answer(seat, client, &name) {
                Ok(file) => pass::send(&clients[client], &[0], Some(&file))?,
                Err(errno) => pass::send(&clients[client], &[errno.raw_os_error() as u8], None)?,
            }
        }
    }
}

fn answer(seat: &Control, client: usize, name: &str) -> Result<OwnedFd, Errno> {
    if !allowed(client, name) {
        return Err(Errno::PERM);
    }
    let name = Name::new(name).map_err(|_| Errno::INVAL)?;
    let session = match seat.state() {
        Ok(State::Updated) => seat.retrieve_session(&name),
        _ => seat.create_session(&name),
    };
    session.map(OwnedFd::from).map_err(|error| error.errno())
}

/// What a client asks of the broker.
fn ask(broker: &OwnedFd, name: &str) -> Result<Result<Control, Errno>, Finding> {
    pass::send(broker, name.as_bytes(), None)?;
    match pass::receive(broker)? {
        (answer, Some(file)) if answer == [0] => Ok(Ok(Control::from_fd(file)?)),
        (answer, None) if answer.len() == 1 => Ok(Err(Errno::from_raw_os_error(answer[0].into()))),
        (answer, file) => Err(Finding::new("an answer of the broker's", format!("{answer:?}, {file:?}"))),
    }
}

/// A broker, and one client after the other at it.
fn with_broker<T: serde::Serialize + serde::de::DeserializeOwned>(
    context: &Context,
    client: impl Fn(usize, &OwnedFd, &mut Kept) -> Result<T, Finding>,
) -> Result<(Vec<Aside>, Vec<T>), Finding> {
    let pairs = (0..CLIENTS).map(|_| pass::pair()).collect::<Result<Vec<_>, _>>()?;
    let (brokers, clients): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
    let mut asides = vec![Aside::serving(|| {
        let _ = context.seat("broker").and_then(|seat| serve(&seat, &brokers));
    })?];
    // It alone answers: when it is gone the clients are told.
    drop(brokers);
    let mut values = Vec::new();
    for (number, socket) in clients.iter().enumerate() {
        let (aside, value) = Aside::start(|kept| {
            become_user(1000 + number as u32)?;
            client(number, socket, kept)
        })?;
        asides.push(aside);
        values.push(value);
    }
    Ok((asides, values))
}

pub(super) fn leave(context: &mut Context) -> Result<Notes, Finding> {
    let (asides, tokens) = with_broker(context, |number, broker, kept| {
        let foreign = format!("client-{}.db", (number + 1) % CLIENTS);
        refused("another client's session", Errno::PERM, ask(broker, &foreign)?)?;
        refused("a session that belongs to nobody", Errno::PERM, ask(broker, "everything")?)?;
        let own = format!("client-{number}.db");
        let seat = works("a session of its own", ask(broker, &own)?)?;
        refused("a session that it has already", Errno::EXIST, ask(broker, &own)?)?;
        no_power(&seat)?;
        let file = filled(&seat, BYTES, PageSize::Any, number as u64)?;
        let token = seat.preserve(&file, PreserveFlags::NONE)?.get();
        kept.push(Box::new((seat, file)));
        Ok(token)
    })?;
    context.stay_with(asides);
    Ok(Notes::of(&tokens)?)
}

pub(super) fn find(context: &mut Context, notes: &Notes) -> Result<(), Finding> {
    let tokens: Vec<u64> = notes.read()?;
    let (_, found) = with_broker(context, |number, broker, _| {
        let foreign = format!("client-{}.db", (number + 1) % CLIENTS);
        refused("another client's session", Errno::PERM, ask(broker, &foreign)?)?;
        let unknown = format!("client-{number}.cache");
        refused("a session that was not", Errno::NOENT, ask(broker, &unknown)?)?;
        let own = format!("client-{number}.db");
        let seat = works("its session", ask(broker, &own)?)?;
        refused("its session a second time", Errno::BUSY, ask(broker, &own)?)?;
        has(&seat.restore(known(tokens[number])?)?, BYTES, number as u64)?;
        Ok(seat.state()?.word().to_owned())
    })?;
    same("the state that each of them saw", vec!["updated".to_owned(); CLIENTS], found)
}
