//! The files `state`, `preserve_fd` and `reason` of an instance.

use std::{fs::File, io::Read as _, time::Duration};

use liveupdate_client::{Drive as _, Event, Preserve as _, PreserveFlags, State, Token, kexecfs::Instance};
use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll},
    fd::{AsFd, AsRawFd as _, OwnedFd},
    fs::{Mode, OFlags, openat},
    io::Errno,
};

use super::{denied, done, named, write_file};
use crate::checks::{
    aside::Aside,
    context::{Context, Finding, holds, refused, same, works},
    privilege::become_user,
};

/// Lets this process open something as a user without privileges, and takes them back.
pub(super) fn as_user<T>(id: u32, open: impl FnOnce() -> T) -> Result<T, Finding> {
    let set = |effective: u32| -> Result<(), Finding> {
        // SAFETY: it changes the identity of this process alone, which has one thread.
        match unsafe { libc::setresuid(u32::MAX, effective, u32::MAX) } {
            0 => Ok(()),
            _ => Err(Finding::new("setresuid to work", std::io::Error::last_os_error().to_string())),
        }
    };
    set(id)?;
    let opened = open();
    set(0)?;
    Ok(opened)
}

fn file(instance: &Instance, name: &str) -> Result<OwnedFd, Errno> {
    openat(instance, name, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
}

fn write(file: impl AsFd, text: &str) -> Result<(), Errno> {
    rustix::io::write(file, text.as_bytes()).map(drop)
}

/// Read, written and polled, in words.
pub(in crate::checks) fn is_a_file_of_words(context: &mut Context) -> Result<(), Finding> {
    let device = context.device()?;
    let instance = named("words").mount()?;
    let (writer, watcher) = (instance.state()?, instance.state()?);
    let now = Some(Duration::ZERO);
    same("that a state never read has changed", true, watcher.wait(now)?)?;
    same("the state", State::Normal, watcher.read()?)?;
    same("that the state has changed since", false, watcher.wait(now)?)?;

    // Who waits is woken.
    let (woken, cancelled) = std::thread::scope(|scope| {
        let waiter = scope.spawn(|| watcher.wait(Some(Duration::from_secs(5))));
        std::thread::sleep(Duration::from_millis(50));
        let prepared = device.prepare();
        (waiter.join(), prepared.and_then(|()| device.cancel()))
    });
    cancelled?;
    same("that a waiter was woken", Some(Ok(true)), woken.ok())?;
    same("the state", State::Normal, watcher.read()?)?;

    let path = [(Event::Prepare, State::Prepared), (Event::Freeze, State::Frozen), (Event::Cancel, State::Normal)];
    for (event, state) in path {
        writer.write(event)?;
        let mut polled = [PollFd::new(&watcher, PollFlags::PRI)];
        let woken = works("poll", poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })));
        let came = watcher.read();
        if state != State::Normal && (woken != Ok(1) || came != Ok(state)) {
            device.cancel()?;
        }
        same(&format!("the files that poll names after {event}"), Ok(1), woken)?;
        same(&format!("the state after {event}"), state, came?)?;
        same("that it has changed since", false, watcher.wait(now)?)?;
        same("the state that GET_STATE says", state, device.state()?)?;
    }
    // What the device does is seen too.
    device.prepare()?;
    let woken = watcher.wait(now);
    device.cancel()?;
    same("that a change by the device is seen", true, woken?)?;

    // The bytes themselves, and what else is taken or not.
    let mut text = String::new();
    done("read of state", File::from(works("open", file(&instance, "state"))?).read_to_string(&mut text))?;
    same("the text of state", "normal\n".to_owned(), text)?;
    let raw = works("open", file(&instance, "state"))?;
    for (word, with) in [
        ("prepared", Errno::INVAL),
        ("PREPARE", Errno::INVAL),
        ("prepare cancel", Errno::INVAL),
        ("prepare\0", Errno::INVAL),
        (&"x".repeat(4096), Errno::INVAL),
        ("freeze", Errno::INVAL),
        ("cancel", Errno::NOENT),
        ("finish", Errno::INVAL),
    ] {
        refused(&format!("{word:.20?} written to state in NORMAL"), with, write(&raw, word))?;
    }
    works("prepare and a newline", write(&raw, "prepare\n"))?;
    let again = write(&raw, "prepare");
    works("cancel amid spaces", write(&raw, "  cancel \n"))?;
    refused("prepare written in PREPARED", Errno::EXIST, again)?;
    same("the state afterwards", State::Normal, device.state()?)?;

    // Who opened it without privileges cannot move the machine, nor can others with that file.
    let owned = named("words-of-a-user").uid(1000).gid(1000).mount()?;
    let opened = works("open", as_user(1000, || file(&owned, "state"))?)?;
    refused("prepare written by root to what a user opened", Errno::PERM, write(&opened, "prepare"))?;
    Aside::run(|| {
        become_user(1001)?;
        refused("open of another user's state", Errno::ACCESS, file(&owned, "state"))
    })
}

/// A number goes in, tokens come out; the number is that of a file of who opened it.
pub(in crate::checks) fn preserves_by_number(context: &mut Context) -> Result<(), Finding> {
    let device = context.device()?;
    let instance = named("numbers").mount()?;
    let control = instance.control()?;
    let before = device.status()?.participants;
    let make = || works("eventfd", eventfd(5, EventfdFlags::CLOEXEC));
    let (first, second, third) = (make()?, make()?, make()?);
    let registry = works("open", file(&instance, "preserve_fd"))?;
    let number = |file: &OwnedFd| file.as_raw_fd().to_string();
    works("the first number", write(&registry, &number(&first)))?;
    works("the second number, and a newline", write(&registry, &format!("{}\n", number(&second))))?;
    same("the participants", before + 2, device.status()?.participants)?;

    let mut text = String::new();
    let mut other = works("dup", rustix::io::fcntl_dupfd_cloexec(&registry, 0)).map(File::from)?;
    done("read of preserve_fd", other.read_to_string(&mut text))?;
    let tokens: Vec<Token> = text.lines().filter_map(|line| line.parse().ok()).collect();
    holds("two lines, 0x and sixteen digits", text.len() == 2 * 19 && tokens.len() == 2, format!("{text:?}"))?;
    text.clear();
    done("read", File::from(works("open", file(&instance, "preserve_fd"))?).read_to_string(&mut text))?;
    same("the tokens that another open file was given", "", text.as_str())?;

    for (what, text, with) in [
        ("a number that is registered", number(&first), Errno::EXIST),
        ("the number of no file", "1000000".to_owned(), Errno::BADF),
        ("a negative number", "-1".to_owned(), Errno::BADF),
        ("no number", "three".to_owned(), Errno::INVAL),
        ("a number and more", format!("{} x", number(&third)), Errno::INVAL),
    ] {
        refused(&format!("{what} written to preserve_fd"), with, write(&registry, &text))?;
    }
    let data = write_file(&instance, "data", b"it is in the instance")?;
    refused("a file of an instance", Errno::EXIST, write(&registry, &number(&data)))?;
    holds("the reason for that", instance.reason()?.contains("instance"), instance.reason()?)?;
    let null = OwnedFd::from(done("open of /dev/null", File::open("/dev/null"))?);
    refused("a file that nothing knows", Errno::NOENT, write(&registry, &number(&null)))?;

    // The tokens are the ioctl's, and belong to the instance.
    denied("FD_UNPRESERVE of them by the device", Errno::NOENT, device.unpreserve(tokens[0]))?;
    for &token in &tokens {
        control.unpreserve(token)?;
    }
    denied("FD_UNPRESERVE of one a second time", Errno::NOENT, control.unpreserve(tokens[0]))?;
    let by_ioctl = control.preserve(&third, PreserveFlags::NONE)?;
    refused("what the ioctl has registered", Errno::EXIST, write(&registry, &number(&third)))?;
    control.unpreserve(by_ioctl)?;
    same("the participants without them", before, device.status()?.participants)?;

    works("prepare", write(works("open", file(&instance, "state"))?, "prepare"))?;
    let prepared = write(&registry, &number(&first));
    device.cancel()?;
    refused("a number in PREPARED", Errno::BUSY, prepared)?;

    // Whoever is led to write there does not name a file of its own.
    Aside::run(|| works("a number by a child of the opener", write(&registry, &number(&first))))?;
    same("the participants with its file", before + 1, device.status()?.participants)?;
    Aside::run(|| {
        become_user(1000)?;
        refused("a number by another user", Errno::PERM, write(&registry, &number(&second)))
    })?;
    let owned = named("numbers-of-a-user").uid(1000).gid(1000).mount()?;
    let opened = works("open", as_user(1000, || file(&owned, "preserve_fd"))?)?;
    refused("a number by root where a user opened the file", Errno::PERM, write(&opened, &number(&second)))?;
    same("the participants in the end", before + 2, device.status()?.participants)
}
