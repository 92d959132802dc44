//! Garbage for everything that takes something: ioctls, mount options, control files.
//!
//! What must come of a call by its argument alone is computed and compared; beyond that it may work or be refused
//! with what the interface's header lists, it leaves no descriptor behind when it fails and writes nothing beyond
//! the argument. What it does inside, the kernel's own complaints on the console tell.

mod arena;
mod call;
mod ground;
mod restore;
mod words;

pub(super) use ground::works_as_before;
pub(super) use restore::{find, leave};

use liveupdate_client::State;
use rustix::io::Errno;

use self::{
    arena::{Arena, Place},
    call::{COMMANDS, Command, Must, Pool},
    ground::{Ground, Takes},
};
use super::{
    context::{Context, Finding, errno_name, holds},
    dice::Dice,
};

/// Calls, unless the step says how many.
const ROUNDS: u32 = 20_000;
/// Most registrations at a time.
const TOKENS: usize = 12;

/// The check.
pub(super) fn ioctls(context: &mut Context) -> Result<(), Finding> {
    let (seed, rounds) = (context.dice().seed, context.dice().rounds.unwrap_or(ROUNDS));
    let mut fuzz = Fuzz::new(Ground::new(context)?)?;
    for round in 0..rounds {
        let mut dice = Dice::new(seed, round);
        fuzz.round(&mut dice).map_err(|finding| located(finding, seed, round))?;
    }
    fuzz.ground.end(context)
}

/// Says which round a finding comes from.
fn located(finding: Finding, seed: u32, round: u32) -> Finding {
    match finding {
        Finding::Contradicted { expected, came } => {
            Finding::new(expected, format!("{came} (seed {seed}, round {round})"))
        }
        other => other,
    }
}

struct Fuzz {
    ground: Ground,
    arena: Arena,
    pool: Pool,
    /// By which descriptors the previous kernel's can be restored, where that must not happen.
    left: Vec<i32>,
}

impl Fuzz {
    fn new(ground: Ground) -> Result<Self, Finding> {
        let pool = Pool { fds: ground.fds.clone(), tokens: Vec::new(), lasting: 0 };
        Ok(Self { ground, arena: Arena::new()?, pool, left: Vec::new() })
    }

    /// One call of some sort.
    fn round(&mut self, dice: &mut Dice) -> Result<(), Finding> {
        match dice.below(40) {
            0 => words::mount(dice)?,
            1..4 => self.word(dice)?,
            4 => self.unknown(dice)?,
            _ => self.known(dice)?,
        }
        self.ground.sweep()?;
        if matches!(self.ground.state()?, State::Prepared | State::Frozen) && dice.once_in(4) {
            self.ground.calm()?;
        }
        Ok(())
    }

    /// A number that no command has, and any command on a file that takes none.
    fn unknown(&mut self, dice: &mut Dice) -> Result<(), Finding> {
        let (name, fd, takes) = dice.pick(&self.ground.targets);
        let number = match takes {
            Takes::Nothing => 0xBB00 | u32::from(dice.pick(COMMANDS).number),
            _ => call::unknown(dice),
        };
        let place = self.arena.place(dice, 64);
        let came = call::ioctl(fd, number, place);
        let expected = format!("ioctl {number:#x} of {name} to be refused with ENOTTY");
        holds(&expected, came == Err(Errno::NOTTY), told(&came))
    }

    fn known(&mut self, dice: &mut Dice) -> Result<(), Finding> {
        let callers: Vec<_> = self.ground.targets.iter().copied().filter(|target| target.2 != Takes::Nothing).collect();
        let (name, fd, takes) = dice.pick(&callers);
        let mut command = dice.pick(COMMANDS);
        // Half of the rest is about registrations, without which all else is empty.
        if dice.once_in(4) {
            command = COMMANDS[0];
        }
        let mut place = self.arena.place(dice, command.bytes as usize);
        match command.number {
            // FINISH would free what was left.
            0x07 if !self.left.is_empty() => return Ok(()),
            // What its owner asks for must not be delivered, and goes back.
            0x02 if self.left.contains(&fd) => place.writable = false,
            _ => {}
        }
        if !place.writable {
            place = self.arena.read_only(place);
        }
        call::fill(dice, &command, &self.pool, self.arena.bytes(place));
        self.call(name, fd, &command, takes == Takes::Driver, place).map(drop)
    }

    /// Makes a call and judges what came of it.
    fn call(
        &mut self,
        name: &str,
        fd: i32,
        command: &Command,
        driver: bool,
        place: Place,
    ) -> Result<Result<(), Errno>, Finding> {
        let before = self.arena.bytes(place).to_vec();
        let must = call::must(command, driver, place, &before);
        let participants = self.ground.participants()?;
        let came = call::ioctl(fd, 0xBB00 | u32::from(command.number), place);
        let as_it_must = match (&must, came) {
            (Must::Refuse(errnos) | Must::Either(errnos), Err(errno)) => errnos.contains(&errno),
            (Must::Either(_), Ok(())) => true,
            (Must::Refuse(_), Ok(())) => false,
        };
        if !as_it_must {
            let words = format!(
                "{} of {name}, argument at {}, to give {must:?}",
                command.name,
                call::told(&mut self.arena, place)
            );
            return Err(Finding::new(words, told(&came)));
        }
        let about = |what: &str| format!("{} of {name} that gave {} {what}", command.name, told(&came));
        // It may write as much as the argument says that it has.
        let said = before.get(..4).map_or(0, |size| u32::from_ne_bytes([size[0], size[1], size[2], size[3]]) as usize);
        let room =
            if came.is_ok() { said.min(command.bytes as usize).min(before.len()) } else { before.len().min(said) };
        let after = self.arena.bytes(place);
        holds(&about("to write nothing beyond its argument"), after[room..] == before[room..], "it did")?;
        if came.is_ok() {
            self.note(command, place);
        } else {
            self.ground.nothing_opened()?;
            if !matches!(command.number, 0x04..=0x06) {
                let now = self.ground.participants()?;
                holds(&about("to register nothing"), now == participants, format!("{now}, before {participants}"))?;
            }
        }
        Ok(came)
    }

    /// Keeps a new token, and not too many.
    fn note(&mut self, command: &Command, place: Place) {
        if command.number == 0x00
            && let Some(token) = self.arena.bytes(place).get(8..16)
        {
            self.pool.tokens.push(token.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte)));
        }
        if self.pool.tokens.len() > TOKENS {
            let token = self.pool.tokens.remove(self.pool.lasting);
            for (_, fd, takes) in self.ground.targets.clone() {
                if takes != Takes::Nothing {
                    let mut argument = [0; 16];
                    argument[0] = 16;
                    argument[8..].copy_from_slice(&token.to_ne_bytes());
                    let good = self.arena.good();
                    self.arena.bytes(good)[..16].copy_from_slice(&argument);
                    // In its own session it works, in NORMAL; the others do not know it.
                    let _ = call::ioctl(fd, 0xBB01, good);
                }
            }
        }
    }

    /// Writes to and reads from a control file.
    fn word(&mut self, dice: &mut Dice) -> Result<(), Finding> {
        let target = |name: &str| self.ground.targets.iter().find(|target| target.0 == name).map(|target| target.1);
        let state = self.ground.state()?;
        match (dice.below(5), target("state"), target("preserve_fd"), target("reason")) {
            (0 | 1, Some(file), ..) => words::state(dice, file, &mut self.arena, state, self.left.is_empty()),
            (2 | 3, _, Some(file), _) => words::preserve_fd(dice, file, &mut self.arena, &self.pool.fds),
            (_, Some(state), Some(tokens), Some(reason)) => {
                words::read(dice, dice_file(dice.clone(), &[state, tokens, reason]), &mut self.arena)
            }
            // The device has none.
            _ => Ok(()),
        }
    }
}

fn dice_file(mut dice: Dice, files: &[i32]) -> i32 {
    dice.pick(files)
}

fn told(came: &Result<(), Errno>) -> String {
    match came {
        Ok(()) => "it worked".to_owned(),
        Err(errno) => errno_name(errno.raw_os_error()),
    }
}
