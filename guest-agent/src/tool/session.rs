//! `preserve NAME FILE` and `retrieve NAME`: a file's content in a session of the in-tree orchestrator.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    os::unix::process::CommandExt as _,
    process::{Command, Stdio},
};

use rustix::fs::{MemfdFlags, memfd_create};

use crate::{
    failure::{Outcome, Tell, refuse},
    luo::Session,
};

/// The file's token in its session.
const TOKEN: u64 = 1;

/// Leaves a process behind that holds the session, since it ends with its last descriptor.
pub(super) fn preserve(words: &[String]) -> Outcome<()> {
    let [_, _] = words else { return Err(refuse("preserve", "which NAME, which FILE?")) };
    let mut holder = Command::new("/proc/self/exe");
    holder.arg("hold").args(words).stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0);
    let mut holder = holder.spawn().tell("start a holder")?;
    // It says nothing, and closes its output when all is done; why it failed it says itself.
    let mut said = String::new();
    if let Some(mut output) = holder.stdout.take() {
        output.read_to_string(&mut said).tell("hear the holder")?;
    }
    match said.trim() {
        "held" => Ok(()),
        _ => Err(refuse("preserve", "nothing is held")),
    }
}

/// The holder.
pub(super) fn hold(words: &[String]) -> Outcome<()> {
    let [name, file] = words else { return Err(refuse("hold", "which NAME, which FILE?")) };
    let content = fs::read(file).tell(format!("read {file}"))?;
    let memory = memfd_create(c"preserved", MemfdFlags::CLOEXEC).tell("memfd_create")?;
    let mut memory = File::from(memory);
    memory.write_all(&content).tell("fill a memfd")?;
    let session = Session::create(name).tell(format!("create session {name}"))?;
    session.preserve(&memory, TOKEN).tell(format!("preserve {file} in session {name}"))?;
    println!("held");
    // The reader waits for the end of this.
    rustix::stdio::dup2_stdout(File::open("/dev/null").tell("open /dev/null")?).tell("close the output")?;
    loop {
        std::thread::park();
    }
}

pub(super) fn retrieve(words: &[String]) -> Outcome<()> {
    let [name] = words else { return Err(refuse("retrieve", "which NAME?")) };
    let session = Session::retrieve(name).tell(format!("retrieve session {name}"))?;
    let mut file = File::from(session.retrieve_fd(TOKEN).tell(format!("retrieve the file of session {name}"))?);
    // Its position came along.
    io::Seek::rewind(&mut file).tell("go to the file's beginning")?;
    io::copy(&mut file, &mut io::stdout()).tell("print the file")?;
    session.finish().tell(format!("finish session {name}"))
}
