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

/// An error in a file that a person wrote.
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
        let line = place.and_then(|place| nth_line(text, place.line.checked_sub(1)?));
        let line = line.map(|line| harmless(line.chars().take(SHOWN)));
        // Both may repeat the file's own words.
        let (message, help) = (harmless(message.chars()), help.map(|help| harmless(help.chars())));
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

/// Without what a terminal would obey.
fn harmless(text: impl Iterator<Item = char>) -> String {
    text.map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A line, counted from zero as YAML counts: more ends one than a line feed.
fn nth_line(text: &str, index: usize) -> Option<&str> {
    let mut rest = text;
    for _ in 0..index {
        let (end, c) = rest.char_indices().find(|&(_, c)| ends_line(c))?;
        rest = &rest[end + c.len_utf8()..];
        if c == '\r' {
            rest = rest.strip_prefix('\n').unwrap_or(rest);
        }
    }
    rest.split(ends_line).next().filter(|_| !rest.is_empty())
}

fn ends_line(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// The word among `known` that `word` was meant to be.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let scored = known.into_iter().map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate));
    scored.min().filter(|&(distance, candidate)| distance <= 1 + candidate.len() / 3).map(|(_, candidate)| candidate)
}

/// Finds the wrong word and the right ones in serde's message, which quotes them in backticks.
pub(crate) fn suggest(message: &str, steps: &[&str]) -> Option<String> {
    let (_, unknown) = message.split_once("unknown ")?;
    let mut quoted = unknown.split('`').skip(1).step_by(2);
    let wrong = quoted.next()?;
    let known: Vec<&str> = quoted.collect();
    if let Some(meant) = nearest(wrong, known.iter().copied()) {
        return Some(format!("did you mean `{meant}`?"));
    }
    (unknown.starts_with("variant") && !steps.is_empty()).then(|| format!("the steps are {}", steps.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_as_yaml_counts_them() {
        let text = "a\r\nb\rc\n\n\u{2028}e\u{85}f\n";
        let lines: Vec<_> = (0..9).map(|index| nth_line(text, index)).collect();
        assert_eq!(lines[..3], [Some("a"), Some("b"), Some("c")]);
        assert_eq!(lines[3..7], [Some(""), Some(""), Some("e"), Some("f")]);
        assert_eq!(lines[7..], [None, None]);
    }

    #[test]
    fn a_files_words_are_repeated_without_what_a_terminal_obeys() {
        let place = Some(Place { line: 1, column: 1 });
        let shown = Diagnostic::new("x.yaml", "\u{1b}[31m", place, "no \u{9b}2J".to_owned(), Some("\u{7}?".to_owned()));
        assert!(!shown.to_string().contains(|c: char| c.is_control() && c != '\n'), "{shown}");
    }
}
