//! What Kexec HandOver shows of itself in debugfs.

use std::{
    fs::{self, File},
    io::Read as _,
    path::Path,
};

use protocol::message::{MAX_SHOWN, MAX_SHOWN_BYTES, Shown};
use rustix::{
    io::Errno,
    mount::{MountFlags, mount},
};

use crate::failure::{Outcome, Tell};

const DEBUGFS: &str = "/sys/kernel/debug";
/// Folders within folders: there are two.
const DEPTH: u32 = 4;

/// The files below `kho`, the beginning of each. Kernels that have to be told by hand that all is preserved show nothing
/// before, so they are told: afterwards nothing can be preserved in this boot.
pub(crate) fn show() -> Outcome<Vec<Shown>> {
    match mount("debugfs", DEBUGFS, "debugfs", MountFlags::empty(), None) {
        Ok(()) | Err(Errno::BUSY) => {}
        Err(errno) => return Err(std::io::Error::from(errno)).tell("mount debugfs"),
    }
    let root = Path::new(DEBUGFS).join("kho");
    let finalize = root.join("out/finalize");
    if finalize.exists() && !root.join("out/fdt").exists() {
        fs::write(&finalize, "1").tell("write to kho/out/finalize")?;
    }
    let mut found = Vec::new();
    walk(&root, &root, DEPTH, &mut found);
    Ok(found)
}

/// What cannot be read is left out: a kernel shows what it wants to.
fn walk(root: &Path, folder: &Path, depth: u32, found: &mut Vec<Shown>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            if depth > 0 {
                walk(root, &path, depth - 1, found);
            }
        } else if found.len() < MAX_SHOWN {
            let mut bytes = Vec::new();
            let read = File::open(&path).and_then(|file| file.take(MAX_SHOWN_BYTES).read_to_end(&mut bytes));
            if read.is_ok() {
                let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
                found.push(Shown { name, bytes });
            }
        }
    }
}
