//! Several processes and threads at once, on as many processors as there are.

use std::{
    sync::Barrier,
    time::{Duration, Instant},
};

use protocol::check::Notes;
use rustix::{
    fd::OwnedFd,
    io::{Errno, pwrite},
};

use super::{filled, many_files};
use crate::{
    checks::{
        aside::Aside,
        context::{Context, Finding, done, holds, refused, works},
        seat::{content, has},
    },
    luo::{Session, open_device},
};

const PROCESSES: usize = 4;
const THREADS: u64 = 4;
/// Files of each thread.
const FILES: u64 = 40;
/// The longest of them, in pages.
const PAGES: u64 = 24;
/// Files of each thread that hold nothing: preserved one after the other they leave no time between two calls.
const EMPTY: u64 = 200;
/// Where their tokens begin.
const EMPTY_FROM: u64 = 1 << 40;
/// A file for each process, its pages lying between those of the others.
const LAID: u64 = 1 << 41;
const LAID_BYTES: usize = 8 << 20;
/// How long sessions come and go.
const STIR: Duration = Duration::from_millis(400);

fn name(process: usize) -> String {
    format!("crowd-{process}")
}

fn bytes(token: u64) -> usize {
    (1 + token % PAGES) as usize * 4096 - (token % 2) as usize
}

fn seed(process: usize, token: u64) -> u64 {
    (process as u64) << 32 | token
}

/// Files whose pages are made in turn: whoever preserves them at once is at work in the same places all the time.
fn interleaved() -> Result<Vec<OwnedFd>, Finding> {
    let files = (0..PROCESSES).map(|_| filled(0, 0)).collect::<Result<Vec<_>, _>>()?;
    let contents: Vec<Vec<u8>> = (0..PROCESSES).map(|process| content(seed(process, LAID), LAID_BYTES)).collect();
    for from in (0..LAID_BYTES).step_by(4096) {
        for (file, content) in files.iter().zip(&contents) {
            works("write", pwrite(file, &content[from..from + 4096], from as u64))?;
        }
    }
    Ok(files)
}

/// Makes and closes sessions with some files, while the others do the same.
fn stir(device: &OwnedFd, process: usize) -> Result<(), Finding> {
    let until = Instant::now() + STIR;
    let mut turn = 0u64;
    while Instant::now() < until {
        let mut open = Vec::new();
        for at in 0..6 {
            let passing = format!("passing-{process}-{at}");
            let session = works(&format!("CREATE_SESSION of {passing}"), Session::create_by(device, &passing))?;
            works("PRESERVE_FD", session.preserve(filled(bytes(turn), turn)?, turn))?;
            refused("CREATE_SESSION of the same name", Errno::EXIST, Session::create_by(device, &passing))?;
            open.push(session);
            turn += 1;
        }
        while !open.is_empty() {
            drop(open.swap_remove((turn as usize * 7) % open.len()));
        }
    }
    Ok(())
}

/// The same of sessions without files: nothing but the list of them is at work.
fn churn(device: &OwnedFd, process: usize) -> Result<(), Finding> {
    let until = Instant::now() + STIR;
    while Instant::now() < until {
        let make = |at| {
            let name = format!("empty-{process}-{at}");
            works(&format!("CREATE_SESSION of {name}"), Session::create_by(device, &name))
        };
        let mut open = (0..16).map(make).collect::<Result<Vec<_>, _>>()?;
        while !open.is_empty() {
            drop(open.swap_remove(open.len() / 2));
        }
    }
    Ok(())
}

/// Threads of one process fill one session.
fn fill(session: &Session, process: usize) -> Result<(), Finding> {
    many_files()?;
    let together = &Barrier::new(THREADS as usize);
    let work = move |thread: u64| {
        for at in 0..FILES {
            let token = thread * FILES + at;
            works("PRESERVE_FD", session.preserve(filled(bytes(token), seed(process, token))?, token))?;
        }
        let empty = (0..EMPTY).map(|_| filled(0, 0)).collect::<Result<Vec<_>, _>>()?;
        together.wait();
        for (token, file) in (EMPTY_FROM + thread * EMPTY..).zip(empty) {
            works("PRESERVE_FD of an empty file", session.preserve(file, token))?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || work(thread))).collect();
        threads
            .into_iter()
            .try_for_each(|thread| done("a thread", thread.join().map_err(|_| "it panicked")).and_then(|result| result))
    })
}

pub(in crate::checks) fn leave(context: &mut Context) -> Result<Notes, Finding> {
    let device = works("open of the device", open_device())?;
    let laid = interleaved()?;
    // They begin together.
    let until = Instant::now() + Duration::from_millis(300);
    let mut crowd = Vec::new();
    for (process, laid) in laid.iter().enumerate() {
        crowd.push(Aside::begin(|kept| {
            let session = works("CREATE_SESSION", Session::create_by(&device, &name(process)))?;
            std::thread::sleep(until.saturating_duration_since(Instant::now()));
            works("PRESERVE_FD", session.preserve(laid, LAID))?;
            churn(&device, process)?;
            stir(&device, process)?;
            fill(&session, process)?;
            kept.push(Box::new(session));
            Ok(())
        })?);
    }
    for beginning in crowd {
        let (aside, ()) = beginning.wait()?;
        context.stay_with(aside);
    }
    Ok(Notes::of(&())?)
}

/// All of it is there, and nothing of what only came and went.
pub(in crate::checks) fn find(_: &mut Context, notes: &Notes) -> Result<(), Finding> {
    let (): () = notes.read()?;
    let device = works("open of the device", open_device())?;
    let mut crowd = Vec::new();
    for process in 0..PROCESSES {
        let passing = Session::retrieve_by(&device, &format!("passing-{process}-0"));
        refused("RETRIEVE_SESSION of one that was closed", Errno::NOENT, passing)?;
        crowd.push(Aside::begin(|_| {
            let session = works("RETRIEVE_SESSION", Session::retrieve_by(&device, &name(process)))?;
            let count = (0..THREADS * FILES).try_fold(0, |count, token| {
                let file = works(&format!("RETRIEVE_FD of {token}"), session.retrieve_fd(token))?;
                has(&file, bytes(token), seed(process, token))?;
                Ok::<_, Finding>(count + 1)
            })?;
            for token in EMPTY_FROM..EMPTY_FROM + THREADS * EMPTY {
                has(&works("RETRIEVE_FD of an empty file", session.retrieve_fd(token))?, 0, 0)?;
            }
            has(&works("RETRIEVE_FD", session.retrieve_fd(LAID))?, LAID_BYTES, seed(process, LAID))?;
            works("FINISH", session.finish())?;
            holds("all files", count == THREADS * FILES, count.to_string())
        })?);
    }
    crowd.into_iter().try_for_each(|beginning| beginning.wait().and_then(|(aside, ())| aside.kill()))
}
