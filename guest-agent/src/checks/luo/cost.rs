//! What preserving, giving up and retrieving costs grows as what is preserved does, and no faster.
//!
//! Judged by one large file against as many small ones as are as long: what is linear costs the same, whatever the
//! machine is and whoever else uses it.

use protocol::check::Notes;
use rustix::{
    fd::OwnedFd,
    fs::{FallocateFlags, MemfdFlags, fallocate, ftruncate, memfd_create},
};

use crate::{
    checks::context::{Context, Finding, holds, works},
    luo::Session,
    now,
};

const MIB: u64 = 1 << 20;
/// So many small files are as long as the large one.
const TIMES: u64 = 16;
const LARGE: u64 = 128 * MIB;
/// Of what the next kernel retrieves there are two of each.
const LARGE_THERE: u64 = 48 * MIB;
/// The large one may cost so many times as much. What grows with the square costs TIMES times as much.
const AT_MOST: u64 = 3;
/// Attempts: one that nobody disturbed is enough.
const ROUNDS: u64 = 5;

const SESSION: &str = "cost";

fn file(bytes: u64) -> Result<OwnedFd, Finding> {
    let file = works("memfd_create", memfd_create("cost", MemfdFlags::CLOEXEC))?;
    works("ftruncate", ftruncate(&file, bytes))?;
    works("fallocate", fallocate(&file, FallocateFlags::empty(), 0, bytes))?;
    Ok(file)
}

fn files(large: u64) -> Result<(OwnedFd, Vec<OwnedFd>), Finding> {
    Ok((file(large)?, (0..TIMES).map(|_| file(large / TIMES)).collect::<Result<_, _>>()?))
}

/// How long `work` takes.
fn timed(work: impl FnOnce() -> Result<(), Finding>) -> Result<u64, Finding> {
    let from = now().0;
    work()?;
    Ok(now().0.saturating_sub(from))
}

/// The figures of the attempt that was best for the large one.
#[derive(Clone, Copy)]
struct Best {
    large: u64,
    small: u64,
}

impl Best {
    const NONE: Self = Self { large: u64::MAX, small: 1 };

    fn or(self, large: u64, small: u64) -> Self {
        let small = small.max(1);
        let better = u128::from(large) * u128::from(self.small) < u128::from(self.large) * u128::from(small);
        if better { Self { large, small } } else { self }
    }

    fn judge(self, what: &str) -> Result<(), Finding> {
        let expected =
            format!("{what} one file to cost at most {AT_MOST} times what {TIMES} files of its length in all do");
        holds(&expected, self.large <= self.small.saturating_mul(AT_MOST), format!("{} times", self.large / self.small))
    }
}

/// Beside what is judged at once, files for the next kernel to be as quick with.
pub(in crate::checks) fn leave(context: &mut Context) -> Result<Notes, Finding> {
    let (large, small) = files(LARGE)?;
    let (mut preserve, mut close) = (Best::NONE, Best::NONE);
    for _ in 0..ROUNDS {
        let (one, many) =
            (works("CREATE_SESSION", Session::create("one"))?, works("CREATE_SESSION", Session::create("many"))?);
        let took = timed(|| works("PRESERVE_FD", one.preserve(&large, 0)))?;
        let others =
            timed(|| (0..).zip(&small).try_for_each(|(token, file)| works("PRESERVE_FD", many.preserve(file, token))))?;
        preserve = preserve.or(took, others);
        let took = timed(|| {
            drop(one);
            Ok(())
        })?;
        let others = timed(|| {
            drop(many);
            Ok(())
        })?;
        close = close.or(took, others);
    }
    preserve.judge("to preserve")?;
    close.judge("to give up")?;
    drop((large, small));

    let session = works("CREATE_SESSION", Session::create(SESSION))?;
    for round in 0..2 {
        let (large, small) = files(LARGE_THERE)?;
        works("PRESERVE_FD", session.preserve(large, 100 * round))?;
        for (token, file) in (100 * round + 1..).zip(small) {
            works("PRESERVE_FD", session.preserve(file, token))?;
        }
    }
    context.stay_with(session);
    Ok(Notes::of(&())?)
}

pub(in crate::checks) fn find(_: &mut Context, notes: &Notes) -> Result<(), Finding> {
    let (): () = notes.read()?;
    let session = works("RETRIEVE_SESSION", Session::retrieve(SESSION))?;
    let take = |token| works("RETRIEVE_FD", session.retrieve_fd(token)).map(drop);
    let mut best = Best::NONE;
    // The very first retrieval of all is the emulator's that sees the code for the first time.
    for round in 0..2 {
        let small = timed(|| (100 * round + 1..=100 * round + TIMES).try_for_each(take))?;
        best = best.or(timed(|| take(100 * round))?, small);
    }
    works("FINISH", session.finish())?;
    best.judge("to retrieve")
}
