//! How many steps a build will announce: of a whole one, as many as the last of its kind; of a part, as many as there are
//! objects out of date, and what followed them last time.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::cache::{Key, write_atomically};

/// How much of a kernel is to be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Extent {
    /// All of it, or what an interrupted attempt left to do.
    Whole {
        /// The file of what the last one of its kind came to.
        memory: PathBuf,
        /// What is expected where there is no such file.
        usual: u64,
    },
    /// What depends on these files of the tree.
    Part {
        /// The files, from the top of the tree.
        changed: Vec<PathBuf>,
        /// The file of what followed the objects last time.
        memory: PathBuf,
    },
    /// Whatever make finds out of date.
    Unknown,
}

/// Steps of an unfinished whole build, within its directory.
const BEGUN: &str = "liveupdate-lab.steps";
/// Links, checks and the image, which follow any change.
const USUAL_REST: u64 = 40;
/// Folders without objects of the kernel.
const SKIPPED: [&str; 4] = ["scripts", "tools", "source", "include"];

/// A count under way.
#[derive(Debug)]
pub(super) struct Count<'a> {
    extent: &'a Extent,
    dir: &'a Path,
    /// Announced by earlier attempts.
    pub(super) before: u64,
    /// Objects out of date.
    stale: u64,
    /// All that will have been announced, if it can be told.
    pub(super) total: Option<u64>,
}

impl<'a> Count<'a> {
    /// What is to be expected of a build of `tree` in `dir`.
    pub(super) fn begin(extent: &'a Extent, tree: &Path, dir: &'a Path) -> Self {
        let (before, stale, total) = match extent {
            Extent::Whole { memory, usual } => {
                (recall(&dir.join(BEGUN)).unwrap_or(0), 0, Some(recall(memory).unwrap_or(*usual)))
            }
            Extent::Part { changed, memory } => {
                let stale = stale(dir, tree, changed);
                (0, stale, Some(stale + recall(memory).unwrap_or(USUAL_REST)))
            }
            Extent::Unknown => (0, 0, None),
        };
        Self { extent, dir, before, stale, total }
    }

    /// Remembers how far it came: `steps` were announced, and it is `finished` or not.
    pub(super) fn end(&self, steps: u64, finished: bool) {
        let begun = self.dir.join(BEGUN);
        match self.extent {
            Extent::Whole { .. } if !finished => remember(&begun, self.before + steps),
            Extent::Whole { memory, .. } => {
                remember(memory, self.before + steps);
                let _ = fs::remove_file(&begun);
            }
            Extent::Part { memory, .. } if finished => remember(memory, steps.saturating_sub(self.stale)),
            Extent::Part { .. } | Extent::Unknown => {}
        }
    }
}

fn recall(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// A memory that cannot be written makes the next bar a little wrong, and no build fail.
fn remember(path: &Path, count: u64) {
    let _ = write_atomically(path, count.to_string().as_bytes());
}

/// Where the count of whole builds of a series with these options is kept.
pub(super) fn memory(root: &Path, series: &str, options: &str) -> PathBuf {
    root.join("steps").join(Key::of([("series", series), ("options", options)]).short())
}

/// Objects that were compiled from one of these files before it changed: kbuild notes beside each what it was made from.
fn stale(dir: &Path, tree: &Path, changed: &[PathBuf]) -> u64 {
    let changed: Vec<(String, SystemTime)> = changed
        .iter()
        .map(|file| {
            let at = fs::metadata(tree.join(file)).and_then(|meta| meta.modified());
            (format!("/{}", file.display()), at.unwrap_or_else(|_| SystemTime::now()))
        })
        .collect();
    let mut count = 0;
    let mut pending = vec![dir.to_path_buf()];
    while let Some(current) = pending.pop() {
        // What cannot be read is not counted: make will tell.
        let Ok(entries) = fs::read_dir(&current) else { continue };
        for entry in entries.flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if !(current == dir && SKIPPED.contains(&name.as_ref())) {
                    pending.push(path);
                }
            } else if name.ends_with(".o.cmd") && is_stale(&path, &changed) {
                count += 1;
            }
        }
    }
    count
}

fn is_stale(note: &Path, changed: &[(String, SystemTime)]) -> bool {
    let Ok(made) = fs::metadata(note).and_then(|meta| meta.modified()) else { return false };
    let mut later = changed.iter().filter(|(_, at)| *at > made).peekable();
    if later.peek().is_none() {
        return false;
    }
    let text = fs::read_to_string(note).unwrap_or_default();
    later.any(|(name, _)| text.contains(name.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_build_goes_on_where_it_stopped_and_is_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let extent = Extent::Whole { memory: memory(dir.path(), "7.3", "CONFIG_X=y\n"), usual: 100 };
        let count = Count::begin(&extent, dir.path(), dir.path());
        assert_eq!((count.before, count.total), (0, Some(100)));
        count.end(30, false);
        let count = Count::begin(&extent, dir.path(), dir.path());
        assert_eq!((count.before, count.total), (30, Some(100)));
        count.end(80, true);
        let count = Count::begin(&extent, dir.path(), dir.path());
        assert_eq!((count.before, count.total), (0, Some(110)));
    }

    #[test]
    fn of_a_part_the_objects_out_of_date_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        let (tree, build) = (dir.path().join("tree"), dir.path().join("build"));
        for folder in [tree.join("include"), build.join("mm"), build.join("scripts")] {
            fs::create_dir_all(folder).unwrap();
        }
        for (name, from) in [("mm/.a.o.cmd", "x.h"), ("mm/.b.o.cmd", "y.h"), ("scripts/.c.o.cmd", "x.h")] {
            fs::write(build.join(name), format!("deps := {}/include/{from} \\\n", tree.display())).unwrap();
        }
        let memory = dir.path().join("rest");
        let extent = Extent::Part { changed: vec!["include/x.h".into()], memory };
        let begin = || Count::begin(&extent, &tree, &build).total;
        // Not there, as when a patch removes it: whatever read it is out of date.
        assert_eq!(begin(), Some(1 + USUAL_REST));
        let write = |path: &Path, text: &str, second: u64| {
            fs::write(path, text).unwrap();
            let at = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(second);
            fs::File::options().write(true).open(path).unwrap().set_modified(at).unwrap();
        };
        let (note, header) = (build.join("mm/.a.o.cmd"), tree.join("include/x.h"));
        write(&note, "deps := /include/x.h\n", 1);
        write(&header, "", 2);
        assert_eq!(begin(), Some(1 + USUAL_REST));
        Count::begin(&extent, &tree, &build).end(13, true);
        assert_eq!(begin(), Some(1 + 12), "what followed last time follows again");
        write(&note, "deps := /include/x.h\n", 3);
        assert_eq!(begin(), Some(12), "compiled since");
    }
}
