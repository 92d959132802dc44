//! eventfds, and who waits for them.

use std::{
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread::Scope,
    time::Duration,
};

use liveupdate_client::{Kind, Preserve as _, PreserveFlags, Token};
use protocol::check::Notes;
use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, eventfd, poll},
    fs::{OFlags, fcntl_getfl},
    io::Errno,
};

use super::{
    context::{Context, Finding, holds, refused, same, works},
    face::{Side, declined},
};

/// Counter and flags, one of each sort.
fn sorts() -> [(u64, EventfdFlags); 5] {
    let (plain, semaphore, nonblock) = (EventfdFlags::empty(), EventfdFlags::SEMAPHORE, EventfdFlags::NONBLOCK);
    [(3, plain), (4, semaphore), (5, nonblock), (u64::MAX - 1, semaphore | nonblock), (0, nonblock)]
}

fn new(count: u64, flags: EventfdFlags) -> Result<OwnedFd, Finding> {
    let counter = works("eventfd", eventfd(0, flags | EventfdFlags::CLOEXEC))?;
    if count > 0 {
        works("write to an eventfd", rustix::io::write(&counter, &count.to_ne_bytes()))?;
    }
    Ok(counter)
}

fn taken(counter: impl std::os::fd::AsFd) -> Result<u64, Errno> {
    let mut count = [0; 8];
    rustix::io::read(counter, &mut count)?;
    Ok(u64::from_ne_bytes(count))
}

pub(super) fn leave(context: &mut Context) -> Result<Notes, Finding> {
    let side = Side::fresh(context, "eventfd")?;
    let (mut counters, mut tokens) = (Vec::new(), Vec::new());
    for (count, flags) in sorts() {
        let counter = new(count, flags)?;
        tokens.push(side.preserve(counter.as_fd(), PreserveFlags::NONE)?.get());
        counters.push(counter);
    }
    // Looking at them takes nothing; what is counted until FREEZE counts.
    side.goes_round()?;
    same("the count after CANCEL", 3, works("read of an eventfd", taken(&counters[0]))?)?;
    works("write to an eventfd", rustix::io::write(&counters[0], &3u64.to_ne_bytes()))?;
    context.stay_with((side, counters));
    Ok(Notes::of(&tokens)?)
}

pub(super) fn find(context: &mut Context, notes: &Notes) -> Result<(), Finding> {
    let tokens: Vec<u64> = notes.read()?;
    let side = Side::retrieved(context, "eventfd")?;
    let known = |at: usize| tokens.get(at).copied().and_then(Token::new).ok_or_else(|| Finding::new("a token", "none"));
    for (at, (_, flags)) in sorts().into_iter().enumerate() {
        let semaphore = flags.contains(EventfdFlags::SEMAPHORE);
        let kind = Kind::Eventfd { semaphore, nonblocking: flags.contains(EventfdFlags::NONBLOCK) };
        same("its kind", kind, side.info(known(at)?)?.kind)?;
    }
    wrong_ones(&side, known(0)?)?;
    waiters(&side, known(0)?, known(1)?)?;
    for (at, (count, flags)) in sorts().into_iter().enumerate().skip(2) {
        let counter = side.restore(known(at)?)?;
        declined("a second restore", Errno::NOENT, side.restore(known(at)?))?;
        let nonblocking = works("F_GETFL", fcntl_getfl(&counter))?.contains(OFlags::NONBLOCK);
        same("O_NONBLOCK", flags.contains(EventfdFlags::NONBLOCK), nonblocking)?;
        match (count, flags.contains(EventfdFlags::SEMAPHORE)) {
            (0, _) => refused("a read of a counter at 0", Errno::AGAIN, taken(&counter))?,
            (_, false) => same("the count", count, works("read of an eventfd", taken(&counter))?)?,
            (_, true) => {
                refused("to count beyond the end", Errno::AGAIN, rustix::io::write(&counter, &1u64.to_ne_bytes()))?;
                same("what a semaphore gives", 1, works("read of an eventfd", taken(&counter))?)?;
                works("to count what was taken", rustix::io::write(&counter, &1u64.to_ne_bytes()))?;
            }
        }
    }
    Ok(())
}

/// What is no new eventfd of the right sort is refused, left as it was, and another one can be tried.
fn wrong_ones(side: &Side, token: Token) -> Result<(), Finding> {
    let used = new(1, EventfdFlags::NONBLOCK)?;
    declined("an eventfd that has counted", Errno::INVAL, side.restore_into(token, &used))?;
    same("its count", 1, works("read of an eventfd", taken(&used))?)?;
    let semaphore = new(0, EventfdFlags::SEMAPHORE | EventfdFlags::NONBLOCK)?;
    declined("a semaphore for what was none", Errno::INVAL, side.restore_into(token, &semaphore))?;
    refused("a read of what was refused", Errno::AGAIN, taken(&semaphore))?;
    let (reader, _writer) = works("pipe", rustix::pipe::pipe())?;
    declined("a pipe for an eventfd", Errno::INVAL, side.restore_into(token, &reader))?;
    holds("it to be there still", !side.info(token)?.restored, "it is restored")
}

/// Who waits for the new eventfd already is woken by what the old one had counted.
fn waiters(side: &Side, plain: Token, semaphore: Token) -> Result<(), Finding> {
    let (read, polled) = (new(0, EventfdFlags::empty())?, new(0, EventfdFlags::SEMAPHORE)?);
    std::thread::scope(|scope| {
        let reads = waiter(scope, read.as_fd(), taken);
        let polls = waiter(scope, polled.as_fd(), |counter| {
            poll(&mut [PollFd::new(&counter, PollFlags::IN)], None)?;
            taken(counter)
        });
        std::thread::sleep(Duration::from_millis(50));
        let restored =
            [(plain, &read, reads, 3), (semaphore, &polled, polls, 1)].map(|(token, counter, woken, count)| {
                holds("who waits to wait on", woken.try_recv().is_err(), "it was woken before")?;
                side.restore_into(token, counter)?;
                match woken.recv_timeout(Duration::from_secs(2)) {
                    Ok(taken) => same("what who waited was given", count, works("read of an eventfd", taken)?),
                    Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                        Err(Finding::new("who waits in read(2) or poll(2) to be woken", "it slept on for 2 s"))
                    }
                }
            });
        // Else the end of the scope would wait for ever.
        for counter in [&read, &polled] {
            let _ = rustix::io::write(counter, &1u64.to_ne_bytes());
        }
        restored.into_iter().collect()
    })
}

fn waiter<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    counter: BorrowedFd<'env>,
    wait: impl FnOnce(BorrowedFd<'env>) -> Result<u64, Errno> + Send + 'scope,
) -> Receiver<Result<u64, Errno>>
where
    'env: 'scope,
{
    let (said, heard) = channel();
    scope.spawn(move || said.send(wait(counter)));
    heard
}
