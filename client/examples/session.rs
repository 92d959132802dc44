//! A service on the device: a named session that holds a piece of memory and an eventfd.
//!
//! `session` makes them and waits; `session MEMORY EVENTFD`, under the next kernel, opens them again by their
//! tokens. Whoever restarts the machine calls PREPARE and FREEZE in between, and FINISH at the end.

use std::{env, fs::File, io::stdin, os::unix::fs::FileExt as _};

use liveupdate_client::{Device, Drive as _, Name, PageSize, Preserve as _, PreserveFlags};
use rustix::event::{EventfdFlags, eventfd};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let name = Name::new("session-example")?;
    let device = Device::open()?;
    let tokens: Vec<String> = env::args().skip(1).collect();

    if let [memory, wakeups] = tokens.as_slice() {
        let session = device.retrieve_session(&name)?;
        let memory = File::from(session.restore(memory.parse()?)?);
        let wakeups = session.restore(wakeups.parse()?)?;
        let (mut text, mut count) = ([0; 5], [0; 8]);
        memory.read_exact_at(&mut text, 0)?;
        rustix::io::read(&wakeups, &mut count)?;
        println!("memory: {}, wakeups: {}", String::from_utf8_lossy(&text), u64::from_ne_bytes(count));
        return Ok(());
    }

    // From here on no privileges are needed: the session could be another process's.
    let session = device.create_session(&name)?;
    let memory = File::from(session.create_memory(2 << 20, PageSize::Any)?);
    memory.write_all_at(b"hello", 0)?;
    let wakeups = eventfd(3, EventfdFlags::CLOEXEC)?;
    let memory = session.preserve(&memory, PreserveFlags::NONE)?;
    let wakeups = session.preserve(&wakeups, PreserveFlags::NONE)?;
    // The one is not to be frozen before the other is.
    session.depend(wakeups, liveupdate_client::Need::File(memory))?;
    println!("{memory} {wakeups}");
    // Until PREPARE the registrations live as long as the session file.
    stdin().read_line(&mut String::new())?;
    Ok(())
}
