//! Whole cycles that a check drives itself.

use std::sync::atomic::Ordering::Relaxed;

use liveupdate_client::{
    Drive as _, Event, Info, Kind, PageSize, Preserve as _, PreserveFlags, State, Token, kexecfs::Huge,
};
use protocol::check::Notes;
use rustix::{
    event::{EventfdFlags, eventfd},
    io::Errno,
};

use super::{COUNTED, SLACK, content, denied, free, has_files, named, put, reads, write_file};
use crate::{
    checks::context::{Context, Finding, holds, same, works},
    mapping::Mapping,
};

/// What is written when all is frozen.
const LATE: u64 = 0x1A7E_1A7E_1A7E_1A7E;

/// All that leads to a kexec, through `control` alone; the device is not opened.
pub(in crate::checks) fn leave_by_control(context: &mut Context) -> Result<Notes, Finding> {
    drop(context.device()?);
    let instance = named("driver").mount()?;
    let control = instance.control()?;
    let file = write_file(&instance, "file", &content(1, 12_345))?;
    let mapping = works("mmap", Mapping::new(&file, 1, 1, true))?;
    let memory = control.create_memory(3 * 4096, PageSize::Small)?;
    put(&memory, 5, &content(2, 100))?;
    let counter = works("eventfd", eventfd(9, EventfdFlags::CLOEXEC | EventfdFlags::SEMAPHORE))?;
    let tokens = [control.preserve(&memory, PreserveFlags::NONE)?.get(), instance.preserve_fd(&counter)?.get()];
    control.prepare()?;
    same("the state", State::Prepared, control.state()?)?;
    control.freeze()?;
    same("the state", State::Frozen, control.state()?)?;
    // Until the kexec itself, by way of a mapping.
    mapping.page(0)[0].store(LATE, Relaxed);
    context.stay_with((mapping, file, instance, control, memory, counter));
    Ok(Notes::of(&tokens)?)
}

pub(in crate::checks) fn find_by_control(context: &mut Context, notes: &Notes) -> Result<(), Finding> {
    drop(context.device()?);
    let tokens: [u64; 2] = notes.read()?;
    let token = |at: usize| Token::new(tokens[at]).ok_or_else(|| Finding::new("a token", "0"));
    // Another session than the one that registered them: it has none of them.
    let other = named("another").mount()?;
    for at in [0, 1] {
        denied("FD_INFO through another instance", Errno::NOENT, other.control()?.info(token(at)?))?;
        denied("FD_RESTORE through another instance", Errno::NOENT, other.control()?.restore(token(at)?))?;
    }
    let instance = named("driver").retrieve().mount()?;
    let control = instance.control()?;
    same("the state", State::Updated, control.state()?)?;
    same("the state as a file", State::Updated, instance.state()?.read()?)?;
    for (event, with) in [(Event::Prepare, Errno::INVAL), (Event::Freeze, Errno::INVAL), (Event::Cancel, Errno::NOENT)]
    {
        denied(&format!("{event} in UPDATED"), with, control.signal(event))?;
        denied(&format!("{event} written in UPDATED"), with, instance.state()?.write(event))?;
    }
    let info = Info { kind: Kind::Memory, bytes: 3 * 4096, restored: false };
    same("what FD_INFO says", info, control.info(token(0)?)?)?;
    let memory = control.restore(token(0)?)?;
    same("what it says then", Info { restored: true, ..info }, control.info(token(0)?)?)?;
    let mut expected = vec![0; 3 * 4096];
    expected[5..105].copy_from_slice(&content(2, 100));
    reads(&memory, "the memory file", &expected)?;
    denied("FD_RESTORE a second time", Errno::NOENT, control.restore(token(0)?))?;
    let counter = control.restore(token(1)?)?;
    let mut count = [0; 8];
    for read in 0..9 {
        works("read of the eventfd", rustix::io::read(&counter, &mut count))?;
        same(&format!("read {read} of a semaphore"), 1, u64::from_ne_bytes(count))?;
    }
    let mut expected = content(1, 12_345);
    expected[4096..4104].copy_from_slice(&LATE.to_ne_bytes());
    reads(instance.open("file")?, "the file", &expected)?;
    instance.state()?.write(Event::Finish)?;
    same("the state after finish", State::Normal, control.state()?)?;
    denied("FINISH afterwards", Errno::INVAL, control.finish())?;
    reads(instance.open("file")?, "the file after FINISH", &expected)
}

/// Files in the unclaimed instance, the large one aside.
const SMALL: u64 = 20;

/// An instance that nobody will ask for, beside one that somebody will.
pub(in crate::checks) fn leave_unclaimed(context: &mut Context) -> Result<Notes, Finding> {
    let device = context.device()?;
    let claimed = named("claimed").mount()?;
    write_file(&claimed, "file", &content(3, 5000))?;
    let before = free()?;
    let unclaimed = named("unclaimed").size(COUNTED + (1 << 20)).huge(Huge::Always).mount()?;
    let large = unclaimed.create_allocated("large", COUNTED)?;
    for number in 0..SMALL {
        write_file(&unclaimed, &format!("small-{number}"), &content(number, 4096))?;
    }
    let memory = unclaimed.control()?.create_memory(8192, PageSize::Small)?;
    unclaimed.control()?.preserve(&memory, PreserveFlags::NONE)?;
    super::takes_memory("the instance", before)?;
    device.prepare()?;
    device.freeze()?;
    context.stay_with((device, claimed, unclaimed, large, memory));
    Ok(Notes::of(&())?)
}

pub(in crate::checks) fn find_it_freed(context: &mut Context, notes: &Notes) -> Result<(), Finding> {
    let () = notes.read()?;
    let device = context.device()?;
    let claimed = named("claimed").retrieve().mount()?;
    let status = device.status()?;
    // The large file, the small ones, the memory file; the claimed one's file.
    same("the files that were handed over", (1 + SMALL + 1 + 1, State::Updated), (status.inherited, status.state))?;
    same("those that nobody asked for", 1 + SMALL + 1, status.unclaimed)?;
    let before = free()?;
    device.finish()?;
    let freed = free()?.saturating_sub(before);
    let status = device.status()?;
    same("the pages that FINISH gave back", COUNTED / 4096 + SMALL + 2, status.freed_pages)?;
    same("what is left of them", (0, 0, State::Normal), (status.inherited, status.unclaimed, status.state))?;
    let near = freed + SLACK >= COUNTED && freed <= COUNTED + 2 * SLACK;
    holds(&format!("{COUNTED} bytes to be free then"), near, format!("{freed} bytes"))?;
    reads(claimed.open("file")?, "what was asked for", &content(3, 5000))?;
    denied("a retrieval after FINISH", Errno::NOENT, named("unclaimed").retrieve().mount())?;
    has_files(&named("unclaimed").mount()?, "an instance of that name after FINISH", &[])
}
