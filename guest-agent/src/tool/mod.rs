//! What the executable does as a command by hand, or of a program's list: `/init insmod lib/x.ko`.

mod insmod;
mod kexec;
mod session;

use std::ffi::CStr;

use crate::failure::Outcome;

/// A command, as `main` of a program would have it.
type Tool = fn(&[String]) -> Outcome<()>;

/// By what they are called.
const TOOLS: [(&str, Tool); 5] = [
    ("hold", session::hold),
    ("insmod", insmod::run),
    ("kexec", kexec::run),
    ("preserve", session::preserve),
    ("retrieve", session::retrieve),
];

/// What they are called.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    TOOLS.iter().map(|(name, _)| *name)
}

/// Runs the command that these words name, and gives its exit status; nothing if they name none. The first word is
/// the executable's own name: a link to it is called as what it is to do.
pub fn run(words: &[&CStr]) -> Option<i32> {
    let words: Vec<String> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let called = |word: &String| {
        let called = word.rsplit('/').next().unwrap_or(word);
        TOOLS.iter().find(|(name, _)| *name == called)
    };
    let (at, (name, tool)) = words.iter().take(2).enumerate().find_map(|(at, word)| Some((at, called(word)?)))?;
    let ended = tool(&words[at + 1..]);
    if let Err(failure) = &ended {
        eprintln!("{name}: {}: {}", failure.operation, failure.detail);
    }
    Some(i32::from(ended.is_err()))
}
