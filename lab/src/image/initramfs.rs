//! The initramfs: a cpio archive made here, without a shell and without root.

use std::fs::{self, File};
use std::io::{self, BufWriter, Cursor, Write};
use std::path::Path;

use cpio::newc::{Builder, ModeFileType, trailer};

use super::{Artefact, Error};
use crate::cache::{self, Built, Cache, Key, Layout};
use crate::host::{Cancel, Progress};

/// Where the agent finds the modules, each under the name that it was built with.
pub const MODULES: &str = "lib";

/// Folders that the agent mounts on.
const FOLDERS: [&str; 5] = ["dev", "proc", "sys", "tmp", MODULES];

/// Packs agent and modules.
///
/// # Errors
/// A file cannot be read, or the cache cannot be written.
pub fn pack(
    agent: &Artefact,
    modules: &[Artefact],
    cache: &Cache,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Artefact, Error> {
    let named: Vec<(String, &Artefact)> = modules.iter().map(|module| (place(module), module)).collect();
    let parts = named.iter().map(|(place, module)| (place.as_str(), module.sha256.as_str()));
    let key = Key::of([("format", "2"), ("agent", agent.sha256.as_str())].into_iter().chain(parts));
    let ready = cache.entry("initramfs", &key).obtain(Layout::Moved, "an initramfs", (progress, cancel), |dir| {
        let read =
            |path: &Path| fs::read(path).map_err(|source| Error::Io { what: "read", path: path.to_owned(), source });
        let init = read(&agent.path)?;
        let contents = named.iter().map(|(place, module)| Ok((place.as_str(), read(&module.path)?)));
        let contents: Vec<_> = contents.collect::<Result<_, Error>>()?;
        let path = dir.join("initramfs");
        let written = File::create(&path).and_then(|file| write(BufWriter::new(file), &init, &contents));
        written.map_err(|source| Error::Cache(cache::Error::io("write", &path, source)))?;
        Ok::<_, Error>(Built::of(&["initramfs"]))
    })?;
    Ok(Artefact { path: ready.dir.join("initramfs"), sha256: ready.sha256("initramfs").to_owned() })
}

fn place(module: &Artefact) -> String {
    format!("{MODULES}/{}", module.path.file_name().unwrap_or_default().to_string_lossy())
}

/// Writes the archive. Equal input gives equal bytes.
fn write<W: Write>(mut out: W, init: &[u8], modules: &[(&str, Vec<u8>)]) -> io::Result<()> {
    let mut inode = 0;
    let mut entry = |out: W, name: &str, kind, permissions, content: &[u8]| {
        inode += 1;
        let builder = Builder::new(name).ino(inode).mode(permissions).set_mode_file_type(kind);
        let length = u32::try_from(content.len()).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        let mut writer = builder.write(out, length);
        io::copy(&mut Cursor::new(content), &mut writer)?;
        writer.finish()
    };
    for folder in FOLDERS {
        out = entry(out, folder, ModeFileType::Directory, 0o755, &[])?;
    }
    out = entry(out, "init", ModeFileType::Regular, 0o755, init)?;
    for (place, module) in modules {
        out = entry(out, place, ModeFileType::Regular, 0o644, module)?;
    }
    trailer(out)?.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_holds_what_was_put_in() {
        let mut bytes = Vec::new();
        let modules = [("lib/one.ko", b"one".to_vec()), ("lib/two.ko", b"two".to_vec())];
        write(&mut bytes, b"agent", &modules).unwrap();
        let mut rest = Cursor::new(bytes);
        let mut found = Vec::new();
        loop {
            let mut reader = cpio::newc::Reader::new(rest).unwrap();
            if reader.entry().is_trailer() {
                break;
            }
            let mut content = Vec::new();
            io::copy(&mut reader, &mut content).unwrap();
            found.push((reader.entry().name().to_owned(), reader.entry().mode(), content));
            rest = reader.finish().unwrap();
        }
        assert!(found.contains(&("init".to_owned(), 0o100_755, b"agent".to_vec())));
        for (place, module) in modules {
            assert!(found.contains(&(place.to_owned(), 0o100_644, module)));
        }
        assert_eq!(found.iter().filter(|(_, mode, _)| mode & 0o040_000 != 0).count(), FOLDERS.len());
    }

    #[test]
    fn equal_input_gives_equal_bytes() {
        let pack = || {
            let mut bytes = Vec::new();
            write(&mut bytes, b"agent", &[]).unwrap();
            bytes
        };
        assert_eq!(pack(), pack());
    }
}
