//! What may be done, and random sequences of it.

use std::fmt;

use kmod_core::state::Event;

use crate::checks::dice::Dice;

/// How many there are of what operations name by number.
pub(super) const SESSIONS: usize = 3;
pub(super) const FILES: usize = 5;
pub(super) const TOKENS: usize = 3;
pub(super) const INSTANCES: usize = 2;
/// Names of sessions, of instances and of files in them, and of subsystems that nobody registers.
pub(super) const NAMES: [&str; 2] = ["a", "b"];
/// Most pages of a file.
pub(super) const PAGES: usize = 4;

/// By which way the machine is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Through {
    /// An ioctl of this session: a device, a session file or a `control`.
    Session(u8),
    /// A word written to `state` or `preserve_fd` of this instance.
    Word(u8),
}

/// Which instance a mount insists on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Either,
    Retrieved,
    Fresh,
}

/// What something is said to need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum On {
    Token(u8),
    Subsystem(u8),
}

/// One thing that a program may do. Numbers are places in the program's tables: what comes into a place ends what
/// was there, and what is asked of an empty one is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    OpenDevice { session: u8 },
    OpenControl { instance: u8, session: u8 },
    CreateSession { by: u8, name: u8, session: u8 },
    RetrieveSession { by: u8, name: u8 },
    Close { session: u8 },
    Kill { session: u8 },
    Signal { by: Through, event: Event },
    Status { by: u8 },

    MakeMemory { by: u8, file: u8, pages: u8 },
    MakeMemfd { file: u8, pages: u8 },
    MakeEventfd { file: u8 },
    MakePipe { file: u8 },
    Alias { file: u8, into: u8 },
    CloseFile { file: u8 },
    Write { file: u8, page: u8, byte: u8 },
    Resize { file: u8, pages: u8 },
    Read { file: u8 },

    Preserve { by: Through, file: u8, memfd: bool, token: u8 },
    Unpreserve { by: u8, token: u8 },
    Restore { by: u8, token: u8 },
    Depend { by: u8, token: Option<u8>, on: On },

    Mount { instance: u8, name: u8, origin: Origin },
    Umount { instance: u8 },
    Create { instance: u8, name: u8, file: u8 },
    Open { instance: u8, name: u8, file: u8 },
    Unlink { instance: u8, name: u8 },
    Rename { instance: u8, from: u8, to: u8 },
}

impl fmt::Display for Op {
    /// As the variant, in small letters and without punctuation: short, for sequences.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = format!("{self:?}").to_ascii_lowercase().replace(['{', '}', ',', ':'], " ");
        let mut between = "";
        for word in words.split_whitespace() {
            write!(f, "{between}{word}")?;
            between = " ";
        }
        Ok(())
    }
}

/// A sequence. `device`: whether the ioctl device is there to be opened; else all goes through instances.
pub(super) fn sequence(dice: &mut Dice, length: usize, device: bool) -> Vec<Op> {
    // Something to work with comes first.
    let mut ops = match device {
        true => vec![Op::OpenDevice { session: 0 }],
        false => {
            let origin = Origin::Either;
            vec![Op::Mount { instance: 0, name: 0, origin }, Op::OpenControl { instance: 0, session: 0 }]
        }
    };
    while ops.len() < length {
        ops.push(operation(dice, device));
    }
    ops
}

fn operation(dice: &mut Dice, device: bool) -> Op {
    let session = dice.slot(SESSIONS);
    let (file, into) = (dice.slot(FILES), dice.slot(FILES));
    let (token, other) = (dice.slot(TOKENS), dice.slot(TOKENS));
    let instance = dice.slot(INSTANCES);
    let (name, name_too) = (dice.slot(NAMES.len()), dice.slot(NAMES.len()));
    // What one session does has to do with what it did before.
    let by = if dice.once_in(2) { 0 } else { dice.slot(SESSIONS) };
    let through = if dice.once_in(4) { Through::Word(instance) } else { Through::Session(by) };
    let (page, byte) = (dice.slot(PAGES), dice.slot(255) + 1);
    match dice.below(100) {
        0..3 if device => Op::OpenDevice { session },
        0..8 => Op::OpenControl { instance, session },
        8..14 => Op::CreateSession { by, name, session },
        14 => Op::RetrieveSession { by, name },
        15 => Op::Close { session },
        16 => Op::Kill { session },
        17 => Op::CloseFile { file },
        18..22 => Op::Signal { by: through, event: Event::Prepare },
        22..25 => Op::Signal { by: through, event: Event::Freeze },
        25..30 => Op::Signal { by: through, event: Event::Cancel },
        30 => Op::Signal { by: through, event: Event::Finish },
        31 => Op::Status { by },
        32..36 => Op::MakeMemory { by, file, pages: page },
        36..39 => Op::MakeMemfd { file, pages: page },
        39 => Op::MakeEventfd { file },
        40 => Op::MakePipe { file },
        41 => Op::Alias { file, into },
        42..46 => Op::Write { file, page, byte },
        46..48 => Op::Resize { file, pages: page },
        48..51 => Op::Read { file },
        51..65 => Op::Preserve { by: through, file, memfd: !dice.once_in(5), token },
        65..68 => Op::Unpreserve { by, token },
        68 => Op::Restore { by, token },
        69..78 => {
            let on = if dice.once_in(12) { On::Subsystem(name) } else { On::Token(other) };
            Op::Depend { by, token: (!dice.once_in(4)).then_some(token), on }
        }
        78..82 => {
            let origin = dice.pick(&[Origin::Either, Origin::Either, Origin::Fresh, Origin::Retrieved]);
            Op::Mount { instance, name, origin }
        }
        82..84 => Op::Umount { instance },
        84..91 => Op::Create { instance, name, file },
        91..94 => Op::Open { instance, name, file },
        94..97 => Op::Unlink { instance, name },
        _ => Op::Rename { instance, from: name, to: name_too },
    }
}
