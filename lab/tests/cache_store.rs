//! The cache under crashes, corruption, a full disk, and two who want the same.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc;

use lab::cache::{Built, Cache, Error, Key, Layout, Lock, Ready, Removal, disk};
use lab::host::{Cancel, Progress, Silent};
use tempfile::TempDir;

const CACHE: &str = "CACHE_STORE_TEST_DIRECTORY";

#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl Progress for Notes {
    fn stage(&self, _name: &str, _total: Option<u64>) {}
    fn advance(&self, _done: u64) {}
    fn note(&self, line: &str) {
        self.0.lock().unwrap().push(line.to_owned());
    }
}

impl Notes {
    fn text(&self) -> String {
        self.0.lock().unwrap().join("\n")
    }
}

fn key() -> Key {
    Key::of([("input", "1")])
}

fn write(dir: &Path) -> Result<Built, Error> {
    fs::write(dir.join("file"), "content").unwrap();
    Ok(Built::of(&["file"]).with("made by", "a test"))
}

fn obtain(cache: &Cache, layout: Layout, progress: &dyn Progress) -> Result<Ready, Error> {
    cache.entry("thing", &key()).obtain(layout, "tests", (progress, &Cancel::new()), write)
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// Runs one of the ignored tests below as a process of its own.
fn child(name: &str, cache: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--ignored", "--nocapture"])
        .env(CACHE, cache)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn cache_of_parent() -> Cache {
    Cache::at(Path::new(&std::env::var_os(CACHE).expect("run by the parent"))).unwrap()
}

#[test]
fn what_someone_uses_or_builds_is_not_removed() {
    let dir = TempDir::new().unwrap();
    let (user, tidier) = (Cache::at(dir.path()).unwrap(), Cache::at(dir.path()).unwrap());
    let entry = obtain(&user, Layout::Moved, &Silent).unwrap();
    assert_eq!(tidier.remove("thing", &entry.dir).unwrap(), Removal::InUse, "it was handed out");
    let copy = user.clone();
    drop(user);
    assert_eq!(tidier.remove("thing", &entry.dir).unwrap(), Removal::InUse, "by a copy too");
    drop(copy);
    let builder = Lock::try_take(&tidier.lock_path("thing", &key())).unwrap().unwrap();
    assert_eq!(tidier.remove("thing", &entry.dir).unwrap(), Removal::InUse, "someone repairs it");
    drop(builder);
    assert_eq!(tidier.remove("thing", &entry.dir).unwrap(), Removal::Done);
    assert!(!entry.dir.exists());
    assert!(tidier.entry("thing", &key()).find().unwrap().is_none());
    obtain(&tidier, Layout::Moved, &Silent).unwrap();
}

#[test]
fn built_once_then_found() {
    let dir = TempDir::new().unwrap();
    let cache = Cache::at(dir.path()).unwrap();
    for layout in [Layout::Moved, Layout::InPlace] {
        let first = obtain(&cache, layout, &Silent).unwrap();
        let again = cache
            .entry("thing", &key())
            .obtain::<Error>(layout, "tests", (&Silent, &Cancel::new()), |_| panic!("it is there"))
            .unwrap();
        assert_eq!(first, again);
        assert_eq!(again.provenance("made by"), "a test");
        assert_eq!(fs::read_to_string(again.dir.join("file")).unwrap(), "content");
    }
}

#[test]
fn corruption_is_told_and_mended() {
    for damage in ["c0ntent", "content and more", ""] {
        for layout in [Layout::Moved, Layout::InPlace] {
            let dir = TempDir::new().unwrap();
            let cache = Cache::at(dir.path()).unwrap();
            let ready = obtain(&cache, layout, &Silent).unwrap();
            fs::write(ready.dir.join("file"), damage).unwrap();
            let notes = Notes::default();
            let mended = obtain(&cache, layout, &notes).unwrap();
            assert_eq!(fs::read_to_string(mended.dir.join("file")).unwrap(), "content");
            assert!(notes.text().contains("corrupted"), "{}", notes.text());
        }
    }
}

#[test]
fn a_lost_file_and_a_torn_manifest_are_corruption_too() {
    let dir = TempDir::new().unwrap();
    let cache = Cache::at(dir.path()).unwrap();
    let ready = obtain(&cache, Layout::Moved, &Silent).unwrap();
    fs::remove_file(ready.dir.join("file")).unwrap();
    let ready = obtain(&cache, Layout::Moved, &Silent).unwrap();
    fs::write(ready.dir.join("manifest.json"), "{\"key\":").unwrap();
    assert!(matches!(cache.entry("thing", &key()).find(), Err(Error::Corrupt { .. })));
    obtain(&cache, Layout::Moved, &Silent).unwrap();
}

#[test]
fn a_failed_build_leaves_nothing() {
    let dir = TempDir::new().unwrap();
    let cache = Cache::at(dir.path()).unwrap();
    let entry = cache.entry("thing", &key());
    let failed = entry.obtain(Layout::Moved, "tests", (&Silent, &Cancel::new()), |dir| {
        fs::write(dir.join("half"), "").unwrap();
        Err(Error::NoHome)
    });
    assert!(matches!(failed, Err(Error::NoHome)));
    assert_eq!(entry.find().unwrap(), None);
    assert_eq!(names(&dir.path().join("tmp")), Vec::<String>::new());
    assert!(!entry.dir().exists());
}

#[test]
#[ignore = "a process for a_crash_leaves_no_entry"]
fn crashes_in_the_middle() {
    let cache = cache_of_parent();
    let entry = cache.entry("thing", &key());
    let _ = entry.obtain::<Error>(Layout::Moved, "tests", (&Silent, &Cancel::new()), |dir| {
        fs::write(dir.join("file"), "half").unwrap();
        std::process::abort();
    });
}

#[test]
fn a_crash_leaves_no_entry_and_its_lock_is_not_stale() {
    let dir = TempDir::new().unwrap();
    let cache = Cache::at(dir.path()).unwrap();
    assert!(!child("crashes_in_the_middle", dir.path()).wait().unwrap().success());
    assert_eq!(names(&dir.path().join("tmp")).len(), 1, "the crash did happen in the middle");
    assert_eq!(cache.entry("thing", &key()).find().unwrap(), None);

    // The next build of anything sweeps up, but not after someone who is alive.
    let busy = dir.path().join("tmp/thing.busy");
    fs::create_dir_all(&busy).unwrap();
    let _held = Lock::try_take(&dir.path().join("locks/thing.busy")).unwrap().unwrap();
    let other = Key::of([("input", "2")]);
    cache.entry("thing", &other).obtain(Layout::Moved, "tests", (&Silent, &Cancel::new()), write).unwrap();
    assert_eq!(names(&dir.path().join("tmp")), ["thing.busy"]);

    let notes = Notes::default();
    obtain(&cache, Layout::Moved, &notes).unwrap();
    assert_eq!(notes.text(), "", "nobody holds a dead process's lock");
}

#[test]
#[ignore = "a process for two_processes_build_once"]
fn builds_slowly() {
    let cache = cache_of_parent();
    let root = cache.root().to_path_buf();
    cache
        .entry("thing", &key())
        .obtain::<Error>(Layout::Moved, "builds a thing", (&Silent, &Cancel::new()), |dir| {
            let mut log = fs::File::options().create(true).append(true).open(root.join("builds")).unwrap();
            writeln!(log, "{}", std::process::id()).unwrap();
            // Long enough for the other to come upon the lock.
            std::thread::sleep(std::time::Duration::from_millis(200));
            write(dir)
        })
        .unwrap();
}

#[test]
fn two_processes_build_once() {
    let dir = TempDir::new().unwrap();
    let mut children: Vec<Child> = (0..4).map(|_| child("builds_slowly", dir.path())).collect();
    for child in &mut children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(fs::read_to_string(dir.path().join("builds")).unwrap().lines().count(), 1);
}

#[test]
fn one_waits_for_the_other_is_told_so_and_can_stop_waiting() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("lock");
    let held = Lock::take(&path, "builds Linux 7.3.4", &Silent, &Cancel::new()).unwrap();

    struct Tells(mpsc::Sender<String>);
    impl Progress for Tells {
        fn stage(&self, _name: &str, _total: Option<u64>) {}
        fn advance(&self, _done: u64) {}
        fn note(&self, line: &str) {
            self.0.send(line.to_owned()).unwrap();
        }
    }
    let (sender, told) = mpsc::channel();
    let cancel = Cancel::new();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| Lock::take(&path, "waits", &Tells(sender), &cancel));
        let told = told.recv().unwrap();
        assert!(told.contains("builds Linux 7.3.4") && told.contains(&std::process::id().to_string()), "{told}");
        cancel.cancel();
        assert!(matches!(waiting.join().unwrap(), Err(Error::Cancelled { .. })));
    });
    drop(held);
    // The thread that gave up waiting lets go of the lock again.
    Lock::take(&path, "after all", &Silent, &Cancel::new()).unwrap();
}

#[test]
fn a_full_disk_is_explained() {
    let dir = TempDir::new().unwrap();
    let cache = Cache::at(dir.path()).unwrap();
    let entry = cache.entry("thing", &key());
    let full = entry.obtain(Layout::Moved, "tests", (&Silent, &Cancel::new()), |_| {
        let path = Path::new("/dev/full");
        fs::write(path, "x").map_err(|source| Error::io("write", path, source))?;
        Ok(Built::default())
    });
    let Err(error @ Error::NoSpace(_)) = full else { panic!("/dev/full took it") };
    assert!(error.to_string().contains("mounted at /dev"), "{error}");
    assert!(error.to_string().contains("XDG_CACHE_HOME"), "{error}");
    assert_eq!(entry.find().unwrap(), None);

    let short = disk::require(dir.path(), u64::MAX - 1).unwrap_err();
    assert!(short.free < u64::MAX - 1 && short.to_string().contains("needed"), "{short}");
    let words = ["  CC      kernel/fork.o", "as: kernel/fork.o: No space left on device"];
    assert!(disk::shortage_in(words, dir.path()).is_some());
    assert!(disk::shortage_in(["error: expected `;`"], dir.path()).is_none());
}

#[test]
fn a_key_knows_where_its_parts_end() {
    assert_ne!(Key::of([("a", "bc")]), Key::of([("ab", "c")]));
    assert_ne!(Key::of([("a", "b"), ("c", "d")]), Key::of([("c", "d"), ("a", "b")]));
    assert_eq!(key(), key());
}
