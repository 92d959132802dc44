//! What crosses a live update.

use std::os::fd::AsFd as _;

use protocol::{
    check::Notes,
    message::{Claim, ObjectId, Token},
};

use super::context::{Context, Finding, holds, works};

const FILE: ObjectId = ObjectId(1);
const BYTES: usize = 3 * 4096;

fn content(seed: u64) -> Vec<u8> {
    (0..BYTES as u64).map(|at| (seed.wrapping_add(at).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8).collect()
}

/// A memory file with bytes that the notes tell, preserved by a holder that stays.
pub(super) fn leave_memory(context: &mut Context) -> Result<Notes, Finding> {
    let mut session = context.open()?;
    let file = session.create(FILE, BYTES as u64)?;
    let seed = crate::now().0;
    works("write to the memory file", crate::frames::write_all(&file, &content(seed)))?;
    let token = session.preserve(FILE, file.as_fd())?;
    context.stay_with((session, file));
    Ok(Notes::of(&(token.0, seed))?)
}

/// The token opens a file with those bytes, once: it is reclaimed by then.
pub(super) fn find_memory(context: &mut Context, notes: &Notes) -> Result<(), Finding> {
    let (token, seed): (u64, u64) = notes.read()?;
    let claim = Claim { id: FILE, token: Token(token) };
    let mut session = context.open()?;
    let guess = Claim { token: Token(token ^ 1), ..claim };
    holds("nothing under a token that nobody was given", session.retrieve(guess)?.is_none(), "a file")?;
    let Some(file) = session.retrieve(claim)? else {
        return Err(Finding::new("a file under the token that was left", "the kernel has none"));
    };
    let mut found = vec![0; BYTES + 1];
    let read = works("read of the memory file", rustix::io::pread(&file, &mut found[..], 0))?;
    holds("the bytes that were left", found[..read] == content(seed), format!("{read} bytes, not those"))?;
    holds("a token to be good for one restore", session.retrieve(claim)?.is_none(), "a second file")
}
