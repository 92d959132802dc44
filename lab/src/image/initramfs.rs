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

/// Where it finds programs of others.
pub const PROGRAMS: &str = "bin";

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
    let modules: Vec<Content> = modules.iter().cloned().map(Content::module).collect();
    pack_all(agent, &modules, cache, progress, cancel)
}

/// A file besides the agent.
#[derive(Clone, Debug)]
pub struct Content {
    /// The folder that it lies in, under the name that it has on the host.
    pub folder: &'static str,
    /// Its permissions.
    pub mode: u32,
    /// What it is.
    pub file: Artefact,
}

impl Content {
    /// A program, where the agent finds programs.
    #[must_use]
    pub fn program(file: Artefact) -> Self {
        Self { folder: PROGRAMS, mode: 0o755, file }
    }

    /// A kernel's module, where the agent finds modules.
    #[must_use]
    pub fn module(file: Artefact) -> Self {
        Self { folder: MODULES, mode: 0o644, file }
    }

    fn place(&self) -> String {
        format!("{}/{}", self.folder, self.file.path.file_name().unwrap_or_default().to_string_lossy())
    }
}

/// Packs the agent and whatever else a guest needs.
///
/// # Errors
/// A file cannot be read, or the cache cannot be written.
pub fn pack_all(
    agent: &Artefact,
    contents: &[Content],
    cache: &Cache,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Artefact, Error> {
    let named: Vec<(String, &Content)> = contents.iter().map(|content| (content.place(), content)).collect();
    let parts = named.iter().map(|(place, content)| (place.as_str(), content.file.sha256.as_str()));
    let key = Key::of([("format", "2"), ("agent", agent.sha256.as_str())].into_iter().chain(parts));
    let ready = cache.entry("initramfs", &key).obtain(Layout::Moved, "an initramfs", (progress, cancel), |dir| {
        let read =
            |path: &Path| fs::read(path).map_err(|source| Error::Io { what: "read", path: path.to_owned(), source });
        let init = read(&agent.path)?;
        let files = named.iter().map(|(place, content)| {
            Ok(Packed { place, folder: content.folder, mode: content.mode, bytes: read(&content.file.path)? })
        });
        let files: Vec<_> = files.collect::<Result<_, Error>>()?;
        let path = dir.join("initramfs");
        let written = File::create(&path).and_then(|file| write(BufWriter::new(file), &init, &files));
        written.map_err(|source| Error::Cache(cache::Error::io("write", &path, source)))?;
        Ok::<_, Error>(Built::of(&["initramfs"]))
    })?;
    Ok(Artefact { path: ready.dir.join("initramfs"), sha256: ready.sha256("initramfs").to_owned() })
}

/// A file as it is written.
struct Packed<'a> {
    place: &'a str,
    folder: &'a str,
    mode: u32,
    bytes: Vec<u8>,
}

/// Writes the archive. Equal input gives equal bytes.
fn write<W: Write>(mut out: W, init: &[u8], files: &[Packed<'_>]) -> io::Result<()> {
    let mut inode = 0;
    let mut entry = |out: W, name: &str, kind, permissions, content: &[u8]| {
        inode += 1;
        let builder = Builder::new(name).ino(inode).mode(permissions).set_mode_file_type(kind);
        let length = u32::try_from(content.len()).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        let mut writer = builder.write(out, length);
        io::copy(&mut Cursor::new(content), &mut writer)?;
        writer.finish()
    };
    let mut folders: Vec<&str> = FOLDERS.to_vec();
    for file in files {
        if !folders.contains(&file.folder) {
            folders.push(file.folder);
        }
    }
    for folder in folders {
        out = entry(out, folder, ModeFileType::Directory, 0o755, &[])?;
    }
    out = entry(out, "init", ModeFileType::Regular, 0o755, init)?;
    for file in files {
        out = entry(out, file.place, ModeFileType::Regular, file.mode, &file.bytes)?;
    }
    trailer(out)?.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_holds_what_was_put_in() {
        let mut bytes = Vec::new();
        let packed = |place, folder, mode, bytes: &[u8]| Packed { place, folder, mode, bytes: bytes.to_vec() };
        let files = [packed("lib/one.ko", "lib", 0o644, b"one"), packed("bin/two", "bin", 0o755, b"two")];
        write(&mut bytes, b"agent", &files).unwrap();
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
        for file in files {
            assert!(found.contains(&(file.place.to_owned(), 0o100_000 | file.mode, file.bytes)));
        }
        assert_eq!(found.iter().filter(|(_, mode, _)| mode & 0o040_000 != 0).count(), FOLDERS.len() + 1);
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
