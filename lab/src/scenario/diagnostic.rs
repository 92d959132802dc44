//! What is wrong with a file, shown on its own line.

use std::fmt;

/// A place in a text, both counted from one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

/// An error in a scenario file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file.
    pub path: String,
    /// Where in it, if that can be told.
    pub place: Option<Place>,
    /// The line itself.
    pub line: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What was meant, or what to do.
    pub help: Option<String>,
}

/// Longest part of a line that is shown, in characters.
const SHOWN: usize = 160;

impl Diagnostic {
    /// What is wrong with a file as a whole.
    #[must_use]
    pub fn about(path: &str, message: String) -> Self {
        Self::new(path, "", None, message, None)
    }

    pub(crate) fn new(path: &str, text: &str, place: Option<Place>, message: String, help: Option<String>) -> Self {
        let line = place.and_then(|place| text.lines().nth(place.line.checked_sub(1)?));
        let line = line.map(|line| line.chars().take(SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect());
        Self { path: path.to_owned(), place, line, message, help }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.message)?;
        match (self.place, &self.line) {
            (Some(place), Some(line)) => {
                let number = place.line.to_string();
                let margin = " ".repeat(number.len());
                writeln!(f, "{margin}--> {}:{}:{}", self.path, place.line, place.column)?;
                writeln!(f, "{margin} |")?;
                writeln!(f, "{number} | {line}")?;
                write!(f, "{margin} | {}^", " ".repeat(place.column.saturating_sub(1).min(SHOWN)))?;
            }
            // Behind the last line, where something is missing.
            (Some(place), None) => write!(f, " --> {}:{}:{}", self.path, place.line, place.column)?,
            (None, _) => write!(f, " --> {}", self.path)?,
        }
        if let Some(help) = &self.help {
            write!(f, "\n = help: {help}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostic {}

/// The word among `known` that `word` was meant to be.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let scored = known.into_iter().map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate));
    scored.min().filter(|&(distance, candidate)| distance <= 1 + candidate.len() / 3).map(|(_, candidate)| candidate)
}

/// Finds the wrong word and the right ones in serde's message, which quotes them in backticks.
pub(super) fn suggest(message: &str, steps: &[&str]) -> Option<String> {
    let (_, unknown) = message.split_once("unknown ")?;
    let mut quoted = unknown.split('`').skip(1).step_by(2);
    let wrong = quoted.next()?;
    let known: Vec<&str> = quoted.collect();
    if let Some(meant) = nearest(wrong, known.iter().copied()) {
        return Some(format!("did you mean `{meant}`?"));
    }
    unknown.starts_with("variant").then(|| format!("the steps are {}", steps.join(", ")))
}
