//! One command at a time with a mark on it, by which all that it started can be found.

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Once, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::common::{Ended, xtask};

/// One at a time: guests that share the cores look slow to each other.
static TURN: Mutex<()> = Mutex::new(());

/// On a new machine the first run builds a kernel; no test's patience is meant for that.
static WARM: Once = Once::new();

/// Carried by the command and inherited by all that it starts.
const MARK: &str = "LAB_TEST_MARK";

/// How long what has to happen at once may take on a busy machine.
pub(crate) const PROMPT: Duration = Duration::from_secs(3);
/// How long a whole run may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(150);

/// A bench to work on: folders that vanish, and the right to boot guests.
pub(crate) struct Bench {
    folder: tempfile::TempDir,
    mark: String,
    _turn: MutexGuard<'static, ()>,
}

pub(crate) fn bench() -> Bench {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().expect("a folder");
    let bench = Bench { mark: folder.path().display().to_string(), folder, _turn: turn };
    fs::create_dir(bench.temporary()).expect("a folder");
    WARM.call_once(|| bench.warm());
    bench
}

impl Bench {
    /// Fills the cache: a run that never gets to its guest.
    fn warm(&self) {
        let run = self.start(self.scenario(&["one-object", "--interface", "module", "--timeout", "0.1"]));
        run.end(Duration::from_secs(1800)).exits(1);
        fs::remove_dir_all(self.runs()).expect("the runs");
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where runs leave their folders.
    pub(crate) fn runs(&self) -> PathBuf {
        self.path("runs")
    }

    /// What the command has for `TMPDIR`.
    pub(crate) fn temporary(&self) -> PathBuf {
        self.path("tmp")
    }

    /// `scenario --runs …` with these words.
    pub(crate) fn scenario(&self, words: &[&str]) -> Command {
        let mut command = xtask();
        command.arg("scenario").args(words).arg("--runs").arg(self.runs());
        self.marked(command)
    }

    /// `shell`, for a terminal.
    pub(crate) fn shell(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.args(["shell", "--yes"]).env("TERM", "vt100");
        self.marked(command)
    }

    fn marked(&self, mut command: Command) -> Command {
        command.env(MARK, &self.mark).env("TMPDIR", self.temporary()).current_dir(self.folder.path());
        command
    }

    /// The command in a mount namespace of its own, with a small file system at `place`. `None` where
    /// the machine allows no namespaces.
    pub(crate) fn in_small_file_system(
        &self,
        command: &Command,
        place: &Path,
        options: &str,
        first: &str,
    ) -> Option<Command> {
        fs::create_dir_all(place).expect("a folder");
        let allowed =
            Command::new("unshare").args(["-rm", "true"]).output().is_ok_and(|output| output.status.success());
        if !allowed {
            eprintln!("skipped: this machine allows no mount namespaces");
            return None;
        }
        let script = format!("mount -t tmpfs -o {options} tmpfs \"$1\" && shift && {{ {first}; exec \"$@\"; }}");
        let mut wrapped = Command::new("unshare");
        wrapped.args(["-rm", "sh", "-c", &script, "sh"]).arg(place).arg(command.get_program()).args(command.get_args());
        wrapped
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped());
        Some(self.marked(wrapped))
    }

    pub(crate) fn start(&self, mut command: Command) -> Running {
        let mut child = command.spawn().expect("the binary starts");
        let out = Listener::new(child.stdout.take().expect("a pipe"));
        let err = Listener::new(child.stderr.take().expect("a pipe"));
        Running { child, out, err }
    }

    /// Runs `scenario` with these words to its end.
    pub(crate) fn run(&self, words: &[&str]) -> Ended {
        self.start(self.scenario(words)).end(PATIENCE)
    }

    /// Processes that carry the mark and whose name begins so.
    pub(crate) fn processes(&self, name: &str) -> Vec<Pid> {
        let wanted = format!("{MARK}={}", self.mark);
        let carries = |pid: i32| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            let called = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            called.starts_with(name) && environment.split(|&byte| byte == 0).any(|entry| entry == wanted.as_bytes())
        };
        let entries = fs::read_dir("/proc").expect("/proc").flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        pids.filter(|&pid| carries(pid)).filter_map(Pid::from_raw).collect()
    }

    /// Waits until a process of this name carries the mark. Who starts it does not tell: so `/proc` is asked.
    #[track_caller]
    pub(crate) fn sees(&self, name: &str, within: Duration) {
        let deadline = Instant::now() + within;
        while self.processes(name).is_empty() {
            assert!(Instant::now() < deadline, "no {name} was started within {within:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until nothing with the mark is left. A process that is no child of ours tells nobody when it
    /// ends: so `/proc` is asked again and again.
    #[track_caller]
    pub(crate) fn all_gone(&self, within: Duration) {
        let deadline = Instant::now() + within;
        loop {
            let left = self.processes("");
            if left.is_empty() {
                return;
            }
            assert!(Instant::now() < deadline, "still there {within:?} later: {}", describe(&left));
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Requires that no temporary file was left behind.
    #[track_caller]
    pub(crate) fn no_litter(&self) {
        let left: Vec<_> =
            fs::read_dir(self.temporary()).expect("the folder").flatten().map(|entry| entry.path()).collect();
        assert!(left.is_empty(), "left behind: {left:?}");
    }

    /// The only folder of a run.
    #[track_caller]
    pub(crate) fn kept(&self) -> PathBuf {
        let mut all: Vec<_> =
            fs::read_dir(self.runs()).expect("the runs").flatten().map(|entry| entry.path()).collect();
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // Whatever a failed test left running must not disturb the next one.
        for pid in self.processes("") {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

fn describe(pids: &[Pid]) -> String {
    let one = |pid: &Pid| {
        let pid = pid.as_raw_pid();
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        format!("{pid}: {}", String::from_utf8_lossy(&words).replace('\0', " "))
    };
    pids.iter().map(one).collect::<Vec<_>>().join("\n")
}

/// A command under way.
pub(crate) struct Running {
    child: Child,
    out: Listener,
    err: Listener,
}

impl Running {
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(pid, signal).expect("the process is ours and not reaped");
    }

    /// Waits until standard error has these words.
    #[track_caller]
    pub(crate) fn hears(&self, words: &str) {
        assert!(self.err.wait_for(words, PATIENCE), "nobody said `{words}`: {}", self.err.text());
    }

    /// The same of standard output.
    #[track_caller]
    pub(crate) fn hears_out(&self, words: &str) {
        assert!(self.out.wait_for(words, PATIENCE), "nobody said `{words}`: {}{}", self.out.text(), self.err.text());
    }

    /// Waits for its end; whoever takes longer is killed and told of.
    #[track_caller]
    pub(crate) fn end(mut self, within: Duration) -> Ended {
        let deadline = Instant::now() + within;
        // std has no wait with a time limit.
        let status = loop {
            match self.child.try_wait().expect("a child of ours") {
                Some(status) => break Some(status),
                None if Instant::now() > deadline => break None,
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        let late = status.is_none();
        if late {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        let code = status.and_then(|status| status.code());
        let ended = Ended::new(code, self.out.finish().as_bytes(), self.err.finish().as_bytes());
        assert!(!late, "it did not end within {within:?}\n{ended}");
        ended
    }
}

type Heard = Arc<(Mutex<(Vec<u8>, bool)>, Condvar)>;

/// Reads a pipe as it fills.
struct Listener {
    heard: Heard,
    thread: JoinHandle<()>,
}

impl Listener {
    fn new(mut pipe: impl Read + Send + 'static) -> Self {
        let heard = Heard::default();
        let shared = Arc::clone(&heard);
        let thread = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            loop {
                let count = pipe.read(&mut buffer).unwrap_or(0);
                let mut state = shared.0.lock().unwrap_or_else(PoisonError::into_inner);
                state.0.extend(&buffer[..count]);
                state.1 = count == 0;
                shared.1.notify_all();
                if count == 0 {
                    return;
                }
            }
        });
        Self { heard, thread }
    }

    fn text(&self) -> String {
        let state = self.heard.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&state.0).into_owned()
    }

    fn wait_for(&self, words: &str, patience: Duration) -> bool {
        let has = |state: &(Vec<u8>, bool)| String::from_utf8_lossy(&state.0).contains(words);
        let state = self.heard.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.heard.1.wait_timeout_while(state, patience, |state| !state.1 && !has(state));
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        has(&state)
    }

    fn finish(self) -> String {
        let text = |heard: &Heard| {
            String::from_utf8_lossy(&heard.0.lock().unwrap_or_else(PoisonError::into_inner).0).into_owned()
        };
        let _ = self.thread.join();
        text(&self.heard)
    }
}

/// A name as text.
pub(crate) fn text(name: impl AsRef<OsStr>) -> String {
    name.as_ref().to_str().expect("UTF-8").to_owned()
}
