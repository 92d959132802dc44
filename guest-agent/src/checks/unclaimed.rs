//! What nobody restores: freed at FINISH, or kept for the next kernel, or dropped.

use std::fs;

use liveupdate_client::{
    Control, Drive as _, PageSize, Preserve as _, PreserveFlags, State,
    kexecfs::{Huge, Instance},
};
use protocol::check::Notes;
use rustix::{fd::OwnedFd, io::Errno};

use super::{
    carried::known,
    context::{Context, Finding, holds, same, works},
    fault,
    seat::{called, content, denied, filled, has, in_state, retrieved, session},
};

const PAGE: u64 = 4096;
const MIB: u64 = 1 << 20;
const WANTED: usize = 1 << 20;
const SMALL: u64 = 40 * MIB;
const LARGE: u64 = 96 * MIB;
const MIXED: u64 = 72 * MIB + 3 * PAGE;
const HALF: u64 = 8 * MIB;
/// In an instance that nobody mounts again.
const NAMED: u64 = 24 * MIB;

/// By how much free memory may differ from what is to be expected.
const SLACK: u64 = 4 * MIB;

const POLICY: &str = "/sys/module/liveupdate_lab/parameters/unclaimed";

/// One file that will be wanted, one that will be half restored, and more than 200 MiB besides: of an open seat,
/// of a session, and in an instance.
pub(super) fn leave_much(context: &mut Context) -> Result<Notes, Finding> {
    let seat = context.seat("much")?;
    let named = session(&seat, "much")?;
    let seed = crate::now().0;
    let mut kept = vec![filled(&seat, WANTED, PageSize::Any, seed)?];
    for (by, bytes, pages) in [
        (&seat, HALF, PageSize::Small),
        (&seat, SMALL, PageSize::Small),
        (&named, LARGE, PageSize::Huge),
        (&named, MIXED, PageSize::Any),
    ] {
        kept.push(by.create_memory(bytes, pages)?);
    }
    let (one, other) = kept.split_at(3);
    let mut tokens = Vec::new();
    for (by, files) in [(&seat, one), (&named, other)] {
        for file in files {
            tokens.push(by.preserve(file, PreserveFlags::NONE)?.get());
        }
    }
    let forgotten = match context.on_instance() {
        true => {
            let instance = Instance::builder().name(called("forgotten")).huge(Huge::Always).mount()?;
            let file = instance.create_allocated("file", NAMED)?;
            Some((instance, file))
        }
        false => None,
    };
    seat.prepare()?;
    seat.freeze()?;
    context.stay_with((seat, named, kept, forgotten));
    Ok(Notes::of(&(seed, tokens))?)
}

/// FINISH frees, to the page, all but the one file that was restored; that one keeps its bytes.
pub(super) fn finish_frees(context: &mut Context, notes: &Notes) -> Result<(), Finding> {
    let (seed, tokens): (u64, Vec<u64>) = notes.read()?;
    let seat = context.seat("much")?;
    let extra = u64::from(context.on_instance());
    let files = tokens.len() as u64 + extra;
    let status = seat.status()?;
    same(
        "state, inherited, unclaimed",
        (State::Updated, files, files),
        (status.state, status.inherited, status.unclaimed),
    )?;
    let wanted = seat.restore(known(tokens[0])?)?;
    fault::arm(40)?;
    let half = seat.restore(known(tokens[1])?);
    fault::disarm()?;
    denied("FD_RESTORE with a fault in it", Errno::NOMEM, half)?;
    let named = retrieved(&seat, "much")?;
    let large = named.info(known(tokens[3])?)?;
    same("length, restored", (LARGE, false), (large.bytes, large.restored))?;
    same("unclaimed", files - 1, seat.status()?.unclaimed)?;

    let before = crate::memory::settled()?.free;
    seat.finish()?;
    let after = crate::memory::settled()?.free;
    let expected = HALF + SMALL + LARGE + MIXED + extra * NAMED;
    let status = seat.status()?;
    same("state, inherited, unclaimed", (State::Normal, 0, 0), (status.state, status.inherited, status.unclaimed))?;
    same("pages freed", expected / PAGE, status.freed_pages)?;
    let came = after.saturating_sub(before);
    // The half that was restored had gone to a file already, whose memory comes back with it.
    holds(
        &format!("{expected} bytes to be free again"),
        came.abs_diff(expected) <= SLACK,
        format!("{came} ({before} free before, {after} after)"),
    )?;
    for token in &tokens {
        denied("FD_RESTORE after FINISH", Errno::BUSY, seat.restore(known(*token)?))?;
    }
    denied("FD_INFO after FINISH", Errno::BUSY, named.info(known(tokens[3])?))?;
    has(&wanted, WANTED, seed)
}

/// Files of an open seat, of a session and, where there are such, in an instance that is not mounted again.
fn leave_some(context: &mut Context) -> Result<(u64, u64, [u64; 2]), Finding> {
    let seat = context.seat("policy")?;
    let named = session(&seat, "policy")?;
    let seed = crate::now().0;
    let files = [filled(&seat, WANTED, PageSize::Small, seed)?, filled(&named, WANTED, PageSize::Any, seed + 1)?];
    let tokens =
        [seat.preserve(&files[0], PreserveFlags::NONE)?.get(), named.preserve(&files[1], PreserveFlags::NONE)?.get()];
    let mut kept: Vec<OwnedFd> = Vec::from(files);
    if context.on_instance() {
        let instance = Instance::builder().name(called("policy-file")).mount()?;
        let file = instance.create("file")?;
        works("write", crate::frames::write_all(&file, &content(seed + 2, WANTED)))?;
        kept.extend([file, instance.into()]);
    }
    let generation = seat.status()?.generation;
    context.stay_with((seat, named, kept));
    Ok((generation, seed, tokens))
}

pub(super) fn leave_to_keep(context: &mut Context) -> Result<Notes, Finding> {
    policy("keep")?;
    Ok(Notes::of(&leave_some(context)?)?)
}

/// Two updates later, with nobody asking for any of it in between: all there, and counted as before.
pub(super) fn is_kept(context: &mut Context, notes: &Notes) -> Result<(), Finding> {
    let (generation, seed, tokens): (u64, u64, [u64; 2]) = notes.read()?;
    let seat = context.seat("policy")?;
    let status = seat.status()?;
    let files = 2 + u64::from(context.on_instance());
    same("the generation", generation + 2, status.generation)?;
    same(
        "state, inherited, unclaimed",
        (State::Updated, files, files),
        (status.state, status.inherited, status.unclaimed),
    )?;
    has(&seat.restore(known(tokens[0])?)?, WANTED, seed)?;
    has(&retrieved(&seat, "policy")?.restore(known(tokens[1])?)?, WANTED, seed + 1)?;
    if context.on_instance() {
        let instance = Instance::builder().name(called("policy-file")).retrieve().mount()?;
        has(&instance.open("file")?, WANTED, seed + 2)?;
    }
    same("unclaimed", 0, seat.status()?.unclaimed)?;
    seat.finish()?;
    Ok(())
}

/// Holds the tokens of [`leave_partly`] for the kernel in between.
const MEMO: &str = "memo";

/// Two files in one session, of which only one will be wanted.
pub(super) fn leave_partly(context: &mut Context) -> Result<Notes, Finding> {
    let seat = context.seat("partly-driver")?;
    let named = session(&seat, "partly")?;
    let files = [filled(&named, WANTED, PageSize::Small, 1)?, filled(&named, WANTED, PageSize::Any, 2)?];
    let keep = |file| named.preserve(file, PreserveFlags::NONE);
    let tokens = [keep(&files[0])?.get(), keep(&files[1])?.get()];
    let memo = Instance::builder().name(called(MEMO)).mount()?;
    let text = memo.create("token")?;
    works("write of the memo", crate::frames::write_all(&text, &tokens[0].to_le_bytes()))?;
    context.stay_with((seat, named, files, memo, text));
    Ok(Notes::of(&tokens)?)
}

/// In the kernel between: takes one of the two, and says nothing more.
pub(super) fn take_a_part(context: &mut Context) -> Result<(), Finding> {
    let seat = context.seat("partly-taker")?;
    let memo = Instance::builder().name(called(MEMO)).retrieve().mount()?;
    let mut token = [0; 8];
    let read = works("read of the memo", rustix::io::pread(&memo.open("token")?, &mut token, 0))?;
    same("the length of the memo", token.len(), read)?;
    let named = retrieved(&seat, "partly")?;
    has(&named.restore(known(u64::from_le_bytes(token))?)?, WANTED, 1)?;
    same("unclaimed", 1, seat.status()?.unclaimed)
}

/// The next kernel gets the other one, and knows nothing of what had been taken.
pub(super) fn rest_is_kept(context: &mut Context, notes: &Notes) -> Result<(), Finding> {
    let tokens: [u64; 2] = notes.read()?;
    let seat = context.seat("partly-driver")?;
    let status = seat.status()?;
    same("state, inherited, unclaimed", (State::Updated, 1, 1), (status.state, status.inherited, status.unclaimed))?;
    let named = retrieved(&seat, "partly")?;
    denied("FD_RESTORE of what had been taken", Errno::NOENT, named.restore(known(tokens[0])?))?;
    has(&named.restore(known(tokens[1])?)?, WANTED, 2)?;
    denied(
        "a mount of the instance that had been taken",
        Errno::NOENT,
        Instance::builder().name(called(MEMO)).retrieve().mount(),
    )?;
    seat.finish()?;
    Ok(())
}

pub(super) fn leave_to_drop(context: &mut Context) -> Result<Notes, Finding> {
    drop(context.device()?);
    let free = crate::memory::settled()?.free;
    let left = leave_some(context)?;
    let large = large(context)?;
    context.stay_with(large);
    Ok(Notes::of(&(free, left.2))?)
}

fn large(context: &Context) -> Result<(Control, OwnedFd), Finding> {
    let seat = context.seat("large")?;
    let file = seat.create_memory(LARGE, PageSize::Huge)?;
    seat.preserve(&file, PreserveFlags::NONE)?;
    Ok((seat, file))
}

/// In the kernel between: chooses to drop. Only the two words are taken.
pub(super) fn choose_to_drop(context: &mut Context) -> Result<(), Finding> {
    in_state(&context.seat("chooser")?, State::Updated)?;
    policy("keep")?;
    let wrong = fs::write(POLICY, "perhaps").map_err(|error| error.raw_os_error());
    same("the word `perhaps` in the policy", Err(Some(libc::EINVAL)), wrong)?;
    fs::write(POLICY, "drop").map_err(|error| Finding::new("`drop` to be written", error.to_string()))?;
    policy("drop")
}

/// The kernel after the next knows nothing of it, and has its memory.
pub(super) fn is_dropped(context: &mut Context, notes: &Notes) -> Result<(), Finding> {
    let (free, tokens): (u64, [u64; 2]) = notes.read()?;
    let seat = context.seat("policy")?;
    let status = seat.status()?;
    same(
        "state, generation, inherited, unclaimed",
        (State::Normal, 1, 0, 0),
        (status.state, status.generation, status.inherited, status.unclaimed),
    )?;
    for token in tokens {
        denied("FD_RESTORE of what was dropped", Errno::BUSY, seat.restore(known(token)?))?;
    }
    denied("SESSION_RETRIEVE of what was dropped", Errno::BUSY, seat.retrieve_session(&called("policy")))?;
    drop(seat);
    policy("keep")?;
    let now = crate::memory::settled()?.free;
    // The first kernel was not booted by a kexec: they may differ by more than one kernel does from itself.
    holds(&format!("{free} bytes free, or nearly"), now.saturating_add(4 * SLACK) >= free, now.to_string())
}

fn policy(word: &str) -> Result<(), Finding> {
    let found = fs::read_to_string(POLICY).map_err(|error| Finding::new("the policy to be read", error.to_string()))?;
    same("what a kexec does with what nobody claimed", word, found.trim())
}

/// The number of this kernel's generation.
pub(super) fn leave_generation(context: &mut Context) -> Result<Notes, Finding> {
    let seat = context.seat("generation")?;
    let file = seat.create_memory(PAGE, PageSize::Any)?;
    seat.preserve(&file, PreserveFlags::NONE)?;
    let generation = seat.status()?.generation;
    context.stay_with((seat, file));
    Ok(Notes::of(&generation)?)
}

pub(super) fn generation_counts(context: &mut Context, notes: &Notes) -> Result<(), Finding> {
    let before: u64 = notes.read()?;
    same("the generation", before + 1, context.seat("generation")?.status()?.generation)
}
