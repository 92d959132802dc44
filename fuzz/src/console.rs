//! What a guest's kernel prints: cut into lines, made harmless, and searched for the end.

use lab::machine::alarm;
use lab::machine::lines::{Lines, MAX_LINE};

/// The target. The first byte says into what pieces the rest is cut.
pub fn run(input: &[u8]) {
    let Some((&piece, printed)) = input.split_first() else { return };
    let whole = lines(printed, printed.len().max(1));
    assert_eq!(whole, lines(printed, usize::from(piece).max(1)), "whatever the pieces");
    for line in whole {
        assert!(!line.contains(|c: char| c.is_control() && c != '\t'), "harmless: {line:?}");
        // A byte that is no text takes three as the sign for that.
        assert!(line.len() <= 3 * MAX_LINE);
        for text in [line.as_str(), alarm::without_level(&line)] {
            assert!(text.ends_with(alarm::message(text)), "a line without its beginning: {text:?}");
            let Some(found) = alarm::scan(text) else { continue };
            assert!(text.ends_with(&found.line));
            let again = alarm::scan(&found.line);
            assert_eq!(again.map(|again| again.kind), Some(found.kind), "with a time stamp or without: {text:?}");
        }
    }
}

fn lines(printed: &[u8], piece: usize) -> Vec<String> {
    let (mut lines, mut found) = (Lines::default(), Vec::new());
    printed.chunks(piece).for_each(|piece| lines.feed(piece, |line| found.push(line)));
    found.extend(lines.end());
    found
}
