//! A service on kexecfs: the same call at every start, before a live update and after it.
//!
//! It counts its starts in a file, goes on counting where the previous kernel left off, and waits at the end
//! until an update is prepared, when the file must not change its size any more.

use std::{fs::File, os::unix::fs::FileExt as _};

use liveupdate_client::{
    Name, State,
    kexecfs::{Huge, Instance},
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let instance = Instance::builder().name(Name::new("kexecfs-example")?).size(64 << 20).huge(Huge::Always).mount()?;

    let counter = match instance.open("starts") {
        Ok(counter) => counter,
        Err(error) if error.errno() == rustix::io::Errno::NOENT => instance.create_allocated("starts", 4096)?,
        Err(error) => return Err(error.into()),
    };
    let counter = File::from(counter);
    let mut starts = [0; 8];
    counter.read_exact_at(&mut starts, 0)?;
    let starts = u64::from_le_bytes(starts) + 1;
    counter.write_all_at(&starts.to_le_bytes(), 0)?;
    println!("start {starts}");

    let state = instance.state()?;
    while state.read()? != State::Prepared {
        state.wait(None)?;
    }
    Ok(())
}
