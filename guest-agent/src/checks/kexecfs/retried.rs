//! Retrievals that fail half way, and are tried again.

use std::fs;

use liveupdate_client::kexecfs::Instance;
use protocol::check::Notes;
use rustix::io::Errno;

use super::{content, denied, done, has_files, named, put, reads, write_file};
use crate::checks::context::{Context, Finding, holds, same};

const FAIL_STEP: &str = "/sys/module/liveupdate_lab/parameters/fail_step";

/// Instances, of which each fails at another step; more than a retrieval has steps.
const INSTANCES: u32 = 40;

/// Least steps that a retrieval is known to have.
const LEAST: u32 = 15;

fn name(number: u32) -> String {
    format!("half-{number}")
}

fn fail_at(step: u32) -> Result<(), Finding> {
    done("write to fail_step", fs::write(FAIL_STEP, step.to_string()))
}

/// Whether the step that was to fail has done so; none is to fail any more.
fn has_failed() -> Result<bool, Finding> {
    let left = done("read of fail_step", fs::read_to_string(FAIL_STEP))?;
    fail_at(0)?;
    Ok(left.trim() == "0")
}

fn make(number: u32, seed: u64) -> Result<Instance, Finding> {
    let instance = named(&name(number)).mount()?;
    let seed = seed ^ u64::from(number);
    write_file(&instance, "a", &content(seed, 100))?;
    let sparse = write_file(&instance, "b", &content(seed ^ 1 << 32, 4096))?;
    put(&sparse, 5 * 4096, &content(seed ^ 2 << 32, 4096))?;
    instance.create("c")?;
    write_file(&instance, "d", &content(seed ^ 3 << 32, 9000))?;
    Ok(instance)
}

fn is_whole(instance: &Instance, number: u32, seed: u64) -> Result<(), Finding> {
    has_files(instance, &name(number), &["a", "b", "c", "d"])?;
    let seed = seed ^ u64::from(number);
    reads(instance.open("a")?, "a", &content(seed, 100))?;
    let mut sparse = content(seed ^ 1 << 32, 4096);
    sparse.resize(5 * 4096, 0);
    sparse.extend(content(seed ^ 2 << 32, 4096));
    reads(instance.open("b")?, "b", &sparse)?;
    reads(instance.open("c")?, "c", &[])?;
    reads(instance.open("d")?, "d", &content(seed ^ 3 << 32, 9000))
}

pub(in crate::checks) fn leave(context: &mut Context) -> Result<Notes, Finding> {
    drop(context.device()?);
    let seed = crate::now().0;
    let instances = (0..=INSTANCES).map(|number| make(number, seed)).collect::<Result<Vec<_>, _>>()?;
    context.stay_with(instances);
    Ok(Notes::of(&seed)?)
}

/// Whatever step fails, the next attempt has every byte; and so has one that failed at all of them in turn.
pub(in crate::checks) fn find(context: &mut Context, notes: &Notes) -> Result<(), Finding> {
    drop(context.device()?);
    let seed = notes.read()?;
    let (mut failed, mut whole) = (0, Vec::new());
    for number in 1..=INSTANCES {
        let builder = named(&name(number)).retrieve();
        fail_at(number)?;
        let attempt = builder.mount();
        if has_failed()? {
            failed += 1;
            denied(&format!("a retrieval whose step {number} fails"), Errno::NOMEM, attempt)?;
            let again = builder.mount()?;
            is_whole(&again, number, seed)?;
            whole.push(again);
        } else {
            is_whole(&attempt?, number, seed)?;
        }
    }
    holds(&format!("{LEAST} steps or more to fail"), failed >= LEAST, format!("{failed} did"))?;
    holds("steps enough to get past the last one", failed < INSTANCES, format!("all {failed} did"))?;

    let builder = named(&name(0)).retrieve();
    let mut attempts = 0;
    let last = loop {
        attempts += 1;
        fail_at(attempts)?;
        let attempt = builder.mount();
        if !has_failed()? {
            break attempt?;
        }
        denied(&format!("attempt {attempts}"), Errno::NOMEM, attempt)?;
        denied("a fresh mount meanwhile", Errno::EXIST, named(&name(0)).fresh().mount())?;
    };
    holds("several attempts", attempts > 5, format!("{attempts}"))?;
    is_whole(&last, 0, seed)?;
    same("the memory of it, written to", 4096, {
        put(&last.open("c")?, 0, &content(seed, 4096))?;
        super::all(last.open("c")?)?.len()
    })
}
