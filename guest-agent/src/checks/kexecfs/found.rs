//! How an instance is found again: by its owner and its name, if there is one by the key, and once.

use liveupdate_client::{
    Drive as _, Preserve as _, State,
    kexecfs::{Builder, Key},
};
use protocol::check::Notes;
use rustix::io::Errno;

use super::{content, denied, has_files, named, own::become_service, reads, write_file};
use crate::checks::{
    aside::Aside,
    context::{Context, Finding, same},
};

const OWNER: u32 = 1001;
const STRANGER: u32 = 1002;

fn keyed(builder: Builder, last: u8) -> Builder {
    let mut key = *b"sixteen bytes of";
    key[15] ^= last;
    builder.key(Key::from(key))
}

/// The holder is killed when the update is prepared, and nobody holds anything during the kexec.
pub(in crate::checks) fn leave_by_the_dead(context: &mut Context) -> Result<Notes, Finding> {
    let device = context.device()?;
    let seed = crate::now().0;
    let (holder, ()) = Aside::start(|kept| {
        become_service(OWNER)?;
        let (plain, secret) = (named("ledger").mount()?, keyed(named("secret"), 0).mount()?);
        write_file(&plain, "file", &content(seed, 10_000))?;
        write_file(&secret, "file", &content(!seed, 10_000))?;
        kept.push(Box::new((plain, secret)));
        Ok(())
    })?;
    let before = device.status()?.participants;
    device.prepare()?;
    holder.kill()?;
    same("the participants without their holder", before, device.status()?.participants)?;
    device.freeze()?;
    // This process ends too.
    Ok(Notes::of(&seed)?)
}

/// What a mount of `ledger` and of a name that nobody ever used is answered, to this user: the same.
fn cannot_tell(user: u32) -> Result<(), Finding> {
    let words = |builder: Builder, name: &str| match builder.mount() {
        Ok(instance) => (None, instance.files().map(|files| files.len()).unwrap_or(99).to_string()),
        Err(error) => (Some(error.errno()), error.reason().replace(name, "NAME")),
    };
    for (what, options) in [
        ("retrieve", Builder::retrieve as fn(Builder) -> Builder),
        ("fresh", Builder::fresh),
        ("neither", |builder| builder),
        ("retrieve, with a key", |builder| keyed(builder, 0).retrieve()),
    ] {
        for handed_over in ["ledger", "secret"] {
            let (came, never) =
                (words(options(named(handed_over)), handed_over), words(options(named("never")), "never"));
            same(&format!("the answer to user {user}'s mount of {handed_over} with {what}"), never, came)?;
        }
    }
    denied("a retrieval by a stranger", Errno::NOENT, named("ledger").retrieve().mount())?;
    let own = named("ledger").mount()?;
    has_files(&own, "a stranger's instance of that name", &[])?;
    write_file(&own, "file", b"a stranger's").map(drop)
}

pub(in crate::checks) fn find_by_the_next(context: &mut Context, notes: &Notes) -> Result<(), Finding> {
    let device = context.device()?;
    let seed: u64 = notes.read()?;
    same("the state", State::Updated, device.state()?)?;
    same("the files that nobody asked for yet", 2, device.status()?.unclaimed)?;
    Aside::run(|| {
        become_service(STRANGER)?;
        cannot_tell(STRANGER)
    })?;
    // Root is one too.
    cannot_tell(0)?;
    same("the files that nobody asked for after that", 2, device.status()?.unclaimed)?;

    let (claimer, ()) = Aside::start(|kept| {
        become_service(OWNER)?;
        denied("a fresh mount of what was handed over", Errno::EXIST, named("ledger").fresh().mount())?;
        denied("a retrieval of another name", Errno::NOENT, named("ledge").retrieve().mount())?;
        denied("a mount without its key", Errno::ACCESS, named("secret").mount())?;
        denied("a retrieval without its key", Errno::ACCESS, named("secret").retrieve().mount())?;
        denied("a mount with another key", Errno::ACCESS, keyed(named("secret"), 1).mount())?;
        let plain = named("ledger").retrieve().mount()?;
        reads(plain.open("file")?, "the file", &content(seed, 10_000))?;
        let secret = keyed(named("secret"), 0).mount()?;
        reads(secret.open("file")?, "the file of the instance with a key", &content(!seed, 10_000))?;
        kept.push(Box::new((plain, secret)));
        Ok(())
    })?;
    Aside::run(|| {
        become_service(OWNER)?;
        for (what, builder) in [
            ("a second mount", named("ledger")),
            ("a second retrieval", named("ledger").retrieve()),
            ("a second mount with the key", keyed(named("secret"), 0)),
        ] {
            denied(what, Errno::BUSY, builder.mount())?;
        }
        Ok(())
    })?;
    same("the files that nobody asked for in the end", 0, device.status()?.unclaimed)?;

    // Its user has had it: with the mount it ends, in UPDATED too.
    claimer.kill()?;
    Aside::run(|| {
        become_service(OWNER)?;
        denied("a retrieval of what was unmounted since", Errno::NOENT, named("ledger").retrieve().mount())?;
        has_files(&named("ledger").mount()?, "an instance of that name since", &[])?;
        has_files(&named("ledger").fresh().mount()?, "a fresh instance of that name", &[])?;
        has_files(&named("secret").mount()?, "one that had a key", &[])
    })?;
    device.finish()?;
    same("the state after FINISH", State::Normal, device.state()?)
}
