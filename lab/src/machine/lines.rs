//! From what a guest prints to lines that can be kept and shown.

/// Longest line in bytes; the rest of it is dropped.
pub const MAX_LINE: usize = 4096;

/// Cuts a console's bytes into lines, without what a terminal would obey. Holds at most [`MAX_LINE`] bytes.
#[derive(Debug, Default)]
pub struct Lines {
    pending: Vec<u8>,
}

impl Lines {
    /// Takes in `bytes` and hands each line that they end to `sink`.
    pub fn feed(&mut self, bytes: &[u8], mut sink: impl FnMut(String)) {
        for &byte in bytes {
            match byte {
                b'\n' => {
                    sink(harmless(&self.pending));
                    self.pending.clear();
                }
                b'\r' => {}
                byte if self.pending.len() < MAX_LINE => self.pending.push(byte),
                _ => {}
            }
        }
    }

    /// The line that the console ended in, if in any.
    #[must_use]
    pub fn end(self) -> Option<String> {
        (!self.pending.is_empty()).then(|| harmless(&self.pending))
    }
}

fn harmless(line: &[u8]) -> String {
    String::from_utf8_lossy(line).replace(|c: char| c.is_control() && c != '\t', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(pieces: &[&[u8]]) -> (Vec<String>, Option<String>) {
        let (mut lines, mut found) = (Lines::default(), Vec::new());
        pieces.iter().for_each(|piece| lines.feed(piece, |line| found.push(line)));
        (found, lines.end())
    }

    #[test]
    fn lines_are_whole_whatever_the_pieces_and_end_with_the_console() {
        let (found, last) = all(&[b"one\r\nt", b"wo", b"\n\nthr"]);
        assert_eq!(found, ["one", "two", ""]);
        assert_eq!(last.as_deref(), Some("thr"));
        assert_eq!(all(&[b"one\n"]).1, None);
    }

    #[test]
    fn nothing_that_a_terminal_obeys_is_left_and_no_line_is_endless() {
        let (found, _) = all(&[b"\x1b[31mred\x07\tand \xc2\x9b2J\xff\n"]);
        assert_eq!(found, ["[31mred\tand 2J\u{fffd}"]);
        let (found, _) = all(&[&[b'x'; 2 * MAX_LINE], b"\n", b"y\n"]);
        assert_eq!(found, ["x".repeat(MAX_LINE), "y".to_owned()]);
    }
}
