//! Runs the real binary as a person or a script would, and says what it said when a test fails.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The command line, its output piped and its input empty.
pub(crate) fn xtask() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The exit code; `None` after a signal.
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    /// Whatever a test is about: no panic ever reaches a person, and no colour a pipe.
    pub(crate) fn new(code: Option<i32>, out: &[u8], err: &[u8]) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("what is printed is UTF-8");
        let ended = Self { code, out: text(out), err: text(err) };
        for text in [&ended.out, &ended.err] {
            assert!(!text.contains('\u{1b}'), "a control sequence in a pipe:\n{ended}");
            assert!(!text.contains("panicked at"), "{ended}");
        }
        ended
    }

    /// Requires this exit code.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// Requires all of these words in one of the two outputs.
    #[track_caller]
    pub(crate) fn says(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.out.contains(word) || self.err.contains(word), "nothing says `{word}`\n{self}");
        }
        self
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit code {:?}\n--- stdout\n{}\n--- stderr\n{}\n---", self.code, self.out, self.err)
    }
}

/// Runs it to its end.
pub(crate) fn ended(mut command: Command) -> Ended {
    let output = command.output().expect("the binary starts");
    Ended::new(output.status.code(), &output.stdout, &output.stderr)
}

/// Runs it with these words.
pub(crate) fn say(words: &[&str]) -> Ended {
    let mut command = xtask();
    command.args(words);
    ended(command)
}

/// The root of the sources.
pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace is above its members")
}

/// A folder of programs, to be all of `PATH` or its beginning.
pub(crate) struct Programs(tempfile::TempDir);

impl Programs {
    pub(crate) fn none() -> Self {
        Self(tempfile::tempdir().expect("a folder for programs"))
    }

    pub(crate) fn folder(&self) -> &Path {
        self.0.path()
    }

    /// Adds a shell script.
    pub(crate) fn with_script(self, name: &str, body: &str) -> Self {
        let path = self.folder().join(name);
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).expect("a script");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("an executable script");
        self
    }
}

/// Where a program of this machine is.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|candidate| candidate.is_file())
}
