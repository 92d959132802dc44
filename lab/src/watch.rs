//! What changes in the sources that a run is made of, told when they have come to rest. Nothing is polled: the kernel tells.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind};
use notify::{Config, RecommendedWatcher, RecursiveMode, Watcher as _};

use crate::host::{Cancel, Subscription};

/// Sources have come to rest when nothing has changed for so long: an editor's write, or a checkout, is many changes.
const REST: Duration = Duration::from_millis(300);

/// Why nothing can be watched.
#[derive(Debug, thiserror::Error)]
#[error("cannot watch {}: {source}; if its limit is reached, `sysctl fs.inotify.max_user_watches=524288` raises it", path.display())]
pub struct Error {
    path: PathBuf,
    source: notify::Error,
}

enum Heard {
    Changed(Vec<PathBuf>),
    /// Too much happened to tell what.
    Anything,
    Cancelled,
}

/// Watches folders, and files by their folders: editors put another file in the place of one.
pub struct Watch {
    _watcher: RecommendedWatcher,
    heard: Receiver<Heard>,
    _subscription: Subscription,
    files: Vec<PathBuf>,
    folders: Vec<PathBuf>,
}

impl Watch {
    /// Watches these, from now on.
    ///
    /// # Errors
    /// One of them cannot be watched.
    pub fn of(paths: &[PathBuf], cancel: &Cancel) -> Result<Self, Error> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| Error { path, source }
        };
        let (sender, heard) = mpsc::channel();
        let woken = sender.clone();
        let subscription = cancel.on_cancel(move || drop(woken.send(Heard::Cancelled)));
        let tell = move |event: notify::Result<notify::Event>| {
            let word = match event {
                Ok(event) if event.need_rescan() => Heard::Anything,
                Ok(event) if is_change(event.kind) => Heard::Changed(event.paths),
                Ok(_) => return,
                Err(_) => Heard::Anything,
            };
            // Nobody listens any more: it is about to end.
            let _ = sender.send(word);
        };
        let config = Config::default().with_follow_symlinks(false);
        let mut watcher = RecommendedWatcher::new(tell, config).map_err(failed(Path::new(".")))?;
        let (mut files, mut folders) = (Vec::new(), Vec::new());
        for path in paths {
            let whole = std::fs::canonicalize(path).map_err(|error| failed(path)(notify::Error::io(error)))?;
            if whole.is_dir() {
                watcher.watch(&whole, RecursiveMode::Recursive).map_err(failed(&whole))?;
                folders.push(whole);
            } else {
                let folder = whole.parent().unwrap_or(&whole).to_owned();
                watcher.watch(&folder, RecursiveMode::NonRecursive).map_err(failed(&folder))?;
                files.push(whole);
            }
        }
        Ok(Self { _watcher: watcher, heard, _subscription: subscription, files, folders })
    }

    /// Waits until a source has changed and all have come to rest, and tells which ones; nothing if the user wants to stop.
    pub fn wait(&mut self) -> Option<BTreeSet<PathBuf>> {
        let mut changed = BTreeSet::new();
        loop {
            let heard = match changed.is_empty() {
                true => self.heard.recv().ok()?,
                false => match self.heard.recv_timeout(REST) {
                    Ok(heard) => heard,
                    Err(_) => return Some(changed),
                },
            };
            match heard {
                Heard::Cancelled => return None,
                Heard::Anything => changed.extend(self.folders.iter().cloned()),
                Heard::Changed(paths) => changed.extend(paths.into_iter().filter(|path| self.counts(path))),
            }
        }
    }

    fn counts(&self, path: &Path) -> bool {
        let below = |folder: &PathBuf| path.strip_prefix(folder).is_ok_and(|rest| !is_product(rest));
        self.files.iter().any(|file| file == path) || self.folders.iter().any(below)
    }
}

/// That a file is read, or opened, is none: a build does it to all of them.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Create(_) | EventKind::Remove(_) => true,
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        EventKind::Modify(modified) => !matches!(modified, ModifyKind::Metadata(_)),
        _ => false,
    }
}

/// What builds and editors leave beside sources; `path` begins below the folder that is watched.
fn is_product(path: &Path) -> bool {
    const ENDINGS: [&str; 16] = [
        ".a", ".cmd", ".d", ".ko", ".log", ".mod", ".mod.c", ".o", ".order", ".rmeta", ".rsi", ".so", ".swp", ".swx",
        ".symvers", "~",
    ];
    // An editor tries whether it may write; and the lab's own results.
    const NAMES: [&str; 4] = ["4913", "runs", "target", "vmlinux"];
    let words = path.components().filter_map(|component| match component {
        Component::Normal(name) => name.to_str(),
        _ => None,
    });
    let hidden = |name: &str| name.starts_with('.') || name.starts_with('#');
    words.into_iter().any(|name| hidden(name) || NAMES.contains(&name))
        || path.to_str().is_some_and(|path| ENDINGS.iter().any(|ending| path.ends_with(ending)))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn sources_count_and_what_builds_and_editors_leave_does_not() {
        for source in ["mm/memfd_luo.c", "include/linux/kho.h", "Makefile", "kmod/src/main.rs", "lib/Kconfig.debug"] {
            assert!(!is_product(Path::new(source)), "{source}");
        }
        for product in [
            "mm/memfd_luo.o",
            "mm/.memfd_luo.o.cmd",
            "mm/.memfd_luo.c.swp",
            "mm/memfd_luo.c~",
            "mm/4913",
            ".git/index",
            "guest-agent/target/debug/x",
            "kmod/liveupdate_lab.mod.c",
            "Module.symvers",
        ] {
            assert!(is_product(Path::new(product)), "{product}");
        }
    }

    #[test]
    fn changes_are_told_together_when_they_have_come_to_rest() {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        let (tree, other) = (root.join("tree/deep"), root.join("other"));
        fs::create_dir_all(&tree).unwrap();
        fs::create_dir_all(&other).unwrap();
        let (scenario, neighbour) = (other.join("my.yaml"), other.join("neighbour.yaml"));
        fs::write(&scenario, "").unwrap();
        let cancel = Cancel::new();
        let mut watch = Watch::of(&[root.join("tree"), scenario.clone()], &cancel).unwrap();
        // Neither of these counts; without the next two, nothing would ever be told.
        fs::write(&neighbour, "x").unwrap();
        fs::write(tree.join("a.o"), "x").unwrap();
        fs::read(&scenario).unwrap();
        fs::write(tree.join("a.c"), "x").unwrap();
        // As editors do it.
        fs::write(other.join("new"), "x").unwrap();
        fs::rename(other.join("new"), &scenario).unwrap();
        assert_eq!(watch.wait(), Some(BTreeSet::from([tree.join("a.c"), scenario])));
        cancel.cancel();
        assert_eq!(watch.wait(), None);
        assert!(Watch::of(&[root.join("nothing")], &cancel).is_err());
    }
}
