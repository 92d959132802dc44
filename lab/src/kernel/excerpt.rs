//! Finds the first error in a build's log: what follows it is mostly its echo.

/// Lines that an error repeats.
const LINES: usize = 16;

/// The first error of a log, with what the compiler says about it; the end of the log if nothing looks like one.
#[must_use]
pub(super) fn first_error(log: &str) -> Vec<String> {
    let lines: Vec<&str> = log.lines().filter(|line| !is_progress(line)).collect();
    let from_compiler = lines.iter().position(|line| is_error(line));
    let from_make = || lines.iter().position(|line| line.contains("***"));
    match from_compiler.or_else(from_make) {
        Some(at) => lines[at..].iter().take(LINES).map(ToString::to_string).collect(),
        None => lines[lines.len().saturating_sub(LINES)..].iter().map(ToString::to_string).collect(),
    }
}

fn is_error(line: &str) -> bool {
    let bare = line.trim_start();
    // rustc and clippy begin a line with it; gcc, ld and modpost put it after a place or a name.
    bare.starts_with("error:")
        || bare.starts_with("error[")
        || bare.starts_with("ERROR:")
        || [" error: ", " fatal error: ", "undefined reference to", "No rule to make target"]
            .iter()
            .any(|sign| line.contains(sign))
}

/// kbuild's `  CC      kernel/fork.o`.
pub(super) fn is_progress(line: &str) -> bool {
    let Some(rest) = line.strip_prefix("  ") else { return false };
    let word = rest.split_whitespace().next().unwrap_or_default();
    !rest.starts_with(' ')
        && word.len() >= 2
        && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_' || byte == b'+')
        && rest.split_whitespace().count() >= 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_error_wins_over_its_echo() {
        let log = "  CC      kernel/a.o\n  CC      kernel/b.o\nkernel/a.c:3:1: error: expected ';'\n    3 | }\n\
                   make[3]: *** [scripts/Makefile.build:289: kernel/a.o] Error 1\nkernel/b.c:9:9: error: other\n";
        let shown = first_error(log);
        assert_eq!(shown[0], "kernel/a.c:3:1: error: expected ';'");
        assert_eq!(shown[1], "    3 | }");
        assert_eq!(first_error("  RUSTC x\nerror[E0425]: cannot find value\n")[0], "error[E0425]: cannot find value");
        assert_eq!(first_error("warning: x\nmake: *** No rule to make target 'y'.  Stop.\n").len(), 1);
        assert_eq!(first_error("a\nb\n"), ["a", "b"]);
    }

    #[test]
    fn kbuilds_announcements_are_progress_and_code_is_not() {
        assert!(is_progress("  CC      kernel/fork.o"));
        assert!(is_progress("  RUSTC L rust/core.o"));
        assert!(!is_progress("    3 | }"));
        assert!(!is_progress("  = note: see E0308"));
        assert!(!is_progress("  --> src/main.rs:1:2"));
    }
}
