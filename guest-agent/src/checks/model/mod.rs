//! Random sequences of everything that a program can do, on the real machine and on a model of it.
//!
//! The model ([`oracle`]) has the documented table of states and books of who owns what; whatever the machine
//! answers otherwise is a finding. It is told with the shortest sequence that shows it.

mod books;
mod files;
mod live;
mod operation;
mod oracle;
mod shrink;
#[cfg(test)]
mod tests;

use kmod_core::state::State;
use protocol::message::Interface;
use rustix::io::Errno;

use self::{live::Live, operation::Op, oracle::Oracle};
use super::{
    context::{Context, Finding, errno_name},
    dice::Dice,
};

/// Sequences, unless the step says how many, and operations in each.
const ROUNDS: u32 = 100;
const LENGTH: usize = 120;
/// Most sequences that are tried to find the shortest.
const TRIES: usize = 500;

/// What an operation showed, beyond that it worked.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Nothing,
    /// Of an eventfd.
    Count(u64),
    /// The byte that each page is full of.
    Pages(Vec<u8>),
}

/// What can be done to a machine, the real one or another.
trait Face {
    /// Carries out what the oracle says can be.
    fn apply(&mut self, op: Op) -> Result<Seen, Errno>;
    /// The state, and how many take part.
    fn observe(&mut self) -> Result<(State, u64), Finding>;
    /// Closes everything, and goes back to NORMAL. It is a finding if that does not bring back the beginning.
    fn reset(&mut self) -> Result<(), Finding>;
}

/// Where model and machine part.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Parting {
    expected: String,
    came: String,
}

/// Runs a sequence from the beginning.
fn run(face: &mut impl Face, sequence: &[Op]) -> Result<(), Parting> {
    let mut oracle = Oracle::new();
    let followed = sequence.iter().try_for_each(|&op| follow(face, &mut oracle, op));
    followed.and(face.reset().map_err(Parting::from))
}

fn follow(face: &mut impl Face, oracle: &mut Oracle, op: Op) -> Result<(), Parting> {
    let before = oracle.state.name();
    let Some(expected) = oracle.apply(op) else { return Ok(()) };
    let came = face.apply(op);
    if came != expected {
        return Err(Parting { expected: format!("`{op}` in {before}: {}", told(&expected)), came: told(&came) });
    }
    let (state, participants) = face.observe()?;
    if (state, participants) != (oracle.state, oracle.participants()) {
        return Err(Parting {
            expected: format!("after `{op}`: {}, {} participants", oracle.state.name(), oracle.participants()),
            came: format!("{}, {participants} participants", state.name()),
        });
    }
    Ok(())
}

fn told(result: &Result<Seen, Errno>) -> String {
    match result {
        Ok(Seen::Nothing) => "it works".to_owned(),
        Ok(seen) => format!("{seen:?}"),
        Err(errno) => errno_name(errno.raw_os_error()),
    }
}

impl From<Finding> for Parting {
    fn from(finding: Finding) -> Self {
        match finding {
            Finding::Contradicted { expected, came } => Self { expected, came },
            Finding::NotApplicable(reason) => Self { expected: "the interface".to_owned(), came: reason },
        }
    }
}

/// Rounds of sequences; the first finding ends them.
fn rounds(face: &mut impl Face, seed: u32, rounds: u32, device: bool) -> Result<(), Finding> {
    for round in 0..rounds {
        let sequence = operation::sequence(&mut Dice::new(seed, round), LENGTH, device);
        let Err(first) = run(face, &sequence) else { continue };
        eprintln!("model: seed {seed} round {round}: expected {}, came {}", first.expected, first.came);
        // Where the beginning cannot be had again, a shorter sequence would prove nothing.
        let (shortest, parting) = match face.reset() {
            Err(_) => (sequence, first),
            Ok(()) => {
                let shortest = shrink::shrink(&sequence, TRIES, |part| run(face, part).is_err());
                let parting = run(face, &shortest).err().unwrap_or(first);
                (shortest, parting)
            }
        };
        let words: Vec<String> = shortest.iter().map(Op::to_string).collect();
        eprintln!("model: the shortest sequence: {}", words.join("; "));
        let of = format!("seed {seed}, round {round}, {} operations: {}", words.len(), words.join("; "));
        return Err(Finding::new(parting.expected, format!("{} ({of})", parting.came)));
    }
    Ok(())
}

/// The check.
pub(super) fn model(context: &mut Context) -> Result<(), Finding> {
    let (dice, device) = (context.dice(), context.face() != Interface::Kexecfs);
    let mut live = Live::new(context)?;
    rounds(&mut live, dice.seed, dice.rounds.unwrap_or(ROUNDS), device)
}
