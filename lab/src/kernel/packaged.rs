//! A kernel as a distribution built it: the image and the modules of its package, and nothing of ours.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use xshell::cmd;

use super::build::CONFIG;
use super::built::Kernel;
use super::module::Module;
use super::origin::{self, Package};
use super::resolve::{self, ResolvedSource};
use super::{Abi, Error, Job, Profile, abi, tree};
use crate::cache::{Built, Key, Layout, Ready, disk};
use crate::host::find_program;
use crate::host::process::{self, Watched};

/// Drivers of the channel to the agent, which our own kernels have built in.
const DRIVERS: [&str; 2] = ["virtio_pci", "virtio_console"];
/// Drivers that those may need in turn: a handful.
const MAX_DRIVERS: usize = 32;
/// What a package takes on the disk, unpacked.
const PACKAGE_BYTES: u64 = 1_000_000_000;
/// Longest unpacked image, in bytes.
const MAX_IMAGE: u64 = 512 << 20;
const IMAGE: &str = "bzImage";

/// The kernel of a package, fetched if need be.
pub(super) fn obtain(name: &str, refresh: bool, job: &Job<'_>) -> Result<Kernel, Error> {
    let requested = format!("debian:{name}");
    let known = resolve::recent(&requested, refresh, job.cache);
    let (source, package) = match known {
        Some(source) => (source, None),
        None => {
            let package = origin::image_package(name, job)?;
            let source = ResolvedSource {
                requested: requested.clone(),
                version: package.version.clone(),
                origin: format!("Debian package {} {}", package.name, package.version),
                sha256: package.sha256.clone(),
            };
            (source, Some(package))
        }
    };
    let key = key(&source);
    let entry = job.cache.entry("image", &key);
    let ready =
        entry.obtain(Layout::Moved, &format!("fetches {}", source.origin), (job.progress, job.cancel), |dir| {
            let package = match package {
                Some(package) => package,
                None => origin::image_package(name, job)?,
            };
            unpack(&package, dir, job)
        })?;
    resolve::remember(&source, job.cache)?;
    Ok(kernel(&ready, source, &key))
}

/// What its entry in the cache is called by.
pub(super) fn key(source: &ResolvedSource) -> Key {
    Key::of([("package", source.origin.as_str()), ("sha256", &source.sha256)])
}

fn kernel(ready: &Ready, source: ResolvedSource, key: &Key) -> Kernel {
    let drivers = ready.manifest.files.iter().filter(|(name, _)| name.ends_with(".ko"));
    Kernel {
        release: ready.provenance("release").to_owned(),
        version_string: ready.provenance("version_string").to_owned(),
        image: ready.dir.join(IMAGE),
        image_sha256: ready.sha256(IMAGE).to_owned(),
        source_dir: ready.dir.clone(),
        build_dir: ready.dir.clone(),
        drivers: drivers
            .map(|(name, made)| Module { path: ready.dir.join(name), sha256: made.sha256.clone() })
            .collect(),
        workbench: None,
        source,
        patches: Vec::new(),
        profile: Profile::Fast,
        rust: false,
        config_sha256: ready.sha256(CONFIG).to_owned(),
        compiler: ready.provenance("compiler").to_owned(),
        rustc: None,
        abi: serde_json::from_str(ready.provenance("abi")).unwrap_or_default(),
        key: key.as_str().to_owned(),
    }
}

/// Takes out of the package what a guest needs.
fn unpack(package: &Package, dir: &Path, job: &Job<'_>) -> Result<Built, Error> {
    disk::require(dir, PACKAGE_BYTES).map_err(crate::cache::Error::NoSpace)?;
    let scratch = dir.join("package");
    fs::create_dir_all(&scratch).map_err(|source| Error::io("create", &scratch, source))?;
    job.progress.stage(&format!("download {} {}", package.name, package.version), Some(100));
    origin::fetch_package(package, &scratch, job)?;
    job.progress.stage(&format!("unpack {}", package.name), None);
    let script = "set -e; for deb in \"$1\"/*.deb; do dpkg-deb --extract \"$deb\" \"$1\"; done";
    let shell = tree::shell()?;
    job.run(cmd!(shell, "sh -c {script} sh {scratch}"), dir, |_| {})?;

    let wrong = |what: &str| Error::NotAPackage { package: package.name.clone(), reason: what.to_owned() };
    let image = find(&scratch, "vmlinuz").ok_or_else(|| wrong("it has no vmlinuz"))?;
    let config = find(&scratch, "config").ok_or_else(|| wrong("it has no config"))?;
    let unpacked = unpacked(&image, &scratch, job)?.ok_or_else(|| wrong("its image cannot be unpacked"))?;
    let version_string = banner(&unpacked).ok_or_else(|| wrong("its image has no banner"))?;
    let release = version_string.split_whitespace().nth(2).unwrap_or_default().to_owned();
    let text = fs::read_to_string(&config).map_err(|source| Error::io("read", &config, source))?;
    let value = |name: &str| {
        text.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix('=')?.trim_matches('"').to_owned()))
    };
    // Without its source, the strings in the image are what is known of one that hands over.
    let abi = match value("CONFIG_KEXEC_HANDOVER") {
        Some(_) => abi::of_running([unpacked.as_slice()]),
        None => Abi::default(),
    };
    let mut files = vec![IMAGE.to_owned(), CONFIG.to_owned()];
    for (from, to) in [(&image, IMAGE), (&config, CONFIG)] {
        fs::copy(from, dir.join(to)).map_err(|source| Error::io("copy", from, source))?;
    }
    for (index, (name, bytes)) in drivers(&scratch, job)?.into_iter().enumerate() {
        let file = format!("driver-{index:02}-{name}.ko");
        fs::write(dir.join(&file), bytes).map_err(|source| Error::io("write", dir, source))?;
        files.push(file);
    }
    fs::remove_dir_all(&scratch).map_err(|source| Error::io("remove", &scratch, source))?;
    let built = Built { files, ..Built::default() };
    Ok(built
        .with("release", release)
        .with("version_string", version_string)
        .with("compiler", value("CONFIG_CC_VERSION_TEXT").unwrap_or_default())
        .with("abi", serde_json::to_string(&abi).unwrap_or_default()))
}

/// A part of a kernel, where packages have it: in `boot` with the release behind its name, or beside the modules.
fn find(package: &Path, part: &str) -> Option<PathBuf> {
    let entries = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let beginning = format!("{part}-");
    let in_boot = entries(&package.join("boot"))
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&beginning)));
    in_boot
        .or_else(|| entries(&package.join("usr/lib/modules")).map(|folder| folder.join(part)).find(|it| it.is_file()))
}

/// The drivers of the channel and all that they need, those first; what is built in is none.
fn drivers(package: &Path, job: &Job<'_>) -> Result<Vec<(String, Vec<u8>)>, Error> {
    let mut files = BTreeMap::new();
    let mut pending = vec![package.join("usr/lib/modules"), package.join("lib/modules")];
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            if path.is_dir() {
                pending.push(path);
            } else if let Some((stem, _)) = name.split_once(".ko") {
                files.insert(stem.replace('-', "_"), path);
            }
        }
    }
    let mut found: Vec<(String, Vec<u8>)> = Vec::new();
    // What is looked at twice has had its needs looked at in between.
    let mut todo: Vec<(String, bool)> = DRIVERS.iter().rev().map(|name| ((*name).to_owned(), false)).collect();
    let mut read: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    while let Some((name, ready)) = todo.pop() {
        if ready {
            found.extend(read.remove(&name).map(|bytes| (name, bytes)));
            continue;
        }
        let seen = read.contains_key(&name) || found.iter().any(|(known, _)| *known == name);
        let Some(path) = files.get(&name).filter(|_| !seen && read.len() + found.len() < MAX_DRIVERS) else { continue };
        let bytes = plain(path, job)?;
        todo.push((name.clone(), true));
        todo.extend(needs(&bytes).into_iter().map(|need| (need, false)));
        read.insert(name, bytes);
    }
    Ok(found)
}

/// What a module says that it needs, in its own section of words.
fn needs(module: &[u8]) -> Vec<String> {
    let said = module.split(|byte| *byte == 0).find_map(|word| word.strip_prefix(b"depends="));
    let text = String::from_utf8_lossy(said.unwrap_or_default()).into_owned();
    text.split(',').filter(|name| !name.is_empty()).map(|name| name.replace('-', "_")).collect()
}

/// A module's bytes, unpacked.
fn plain(path: &Path, job: &Job<'_>) -> Result<Vec<u8>, Error> {
    let program = match path.extension().and_then(|ending| ending.to_str()) {
        Some("xz") => "xz",
        Some("zst") => "zstd",
        Some("gz") => "gzip",
        _ => return fs::read(path).map_err(|source| Error::io("read", path, source)),
    };
    decompress(program, path, job)?
        .map_or_else(|| Err(Error::io("unpack", path, std::io::Error::from(std::io::ErrorKind::InvalidData))), Ok)
}

/// The kernel within a bzImage, as its header describes it: where it begins, and packed by what its first bytes say.
fn unpacked(image: &Path, scratch: &Path, job: &Job<'_>) -> Result<Option<Vec<u8>>, Error> {
    let bytes = fs::read(image).map_err(|source| Error::io("read", image, source))?;
    let number = |at: usize| bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes).map(|it| it as usize);
    let (Some(sectors), Some(offset), Some(length)) = (bytes.get(0x1f1), number(0x248), number(0x24c)) else {
        return Ok(None);
    };
    let begin = (usize::from(*sectors) + 1) * 512 + offset;
    let Some(payload) = begin.checked_add(length).and_then(|end| bytes.get(begin..end)) else { return Ok(None) };
    let program = match payload {
        [0xfd, b'7', b'z', ..] => "xz",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "zstd",
        [0x1f, 0x8b, ..] => "gzip",
        [0x02, 0x21, 0x4c, 0x18, ..] => "lz4",
        _ => return Ok(None),
    };
    let packed = scratch.join("payload");
    fs::write(&packed, payload).map_err(|source| Error::io("write", &packed, source))?;
    decompress(program, &packed, job)
}

/// What a program makes of a file; an error if it is not there. The size that stands behind a kernel's payload is garbage to it, so its exit code says
/// nothing.
fn decompress(program: &str, path: &Path, job: &Job<'_>) -> Result<Option<Vec<u8>>, Error> {
    if find_program(program).is_none() {
        let source = std::io::Error::from(std::io::ErrorKind::NotFound);
        return Err(Error::Process(process::Error::Spawn { program: program.to_owned(), source }));
    }
    let out = path.with_extension("unpacked");
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$1\" -dc < \"$2\" > \"$3\"", "sh", program]).arg(path).arg(&out);
    Watched::new(command, job.cancel).run(|_| {})?;
    let mut bytes = Vec::new();
    let read = fs::File::open(&out).and_then(|file| file.take(MAX_IMAGE).read_to_end(&mut bytes));
    read.map_err(|source| Error::io("read", &out, source))?;
    Ok((!bytes.is_empty()).then_some(bytes))
}

/// What `/proc/version` will say.
fn banner(kernel: &[u8]) -> Option<String> {
    const BEGIN: &[u8] = b"Linux version ";
    let at = kernel.windows(BEGIN.len()).enumerate().filter(|(_, window)| *window == BEGIN);
    let mut lines = at.filter_map(|(at, _)| {
        let line = kernel.get(at..)?.iter().take(512).copied().take_while(|byte| (0x20..0x7f).contains(byte));
        String::from_utf8(line.collect()).ok()
    });
    // Others are a pattern with blanks to be filled in, and a draft without the number of the build.
    lines.find(|line| {
        let number = line.split_once('#').and_then(|(_, rest)| rest.bytes().next());
        !line.contains('%') && number.is_some_and(|byte| byte.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_says_what_it_needs() {
        assert_eq!(needs(b"\0license=GPL\0depends=virtio,virtio-ring\0name=x\0"), ["virtio", "virtio_ring"]);
        assert!(needs(b"\0depends=\0").is_empty() && needs(b"").is_empty());
    }

    #[test]
    fn the_banner_is_the_one_without_blanks() {
        let kernel = b"\0Linux version %s (%s)\0Linux version 6.12.1-amd64 (a@b) (gcc) # SMP\0..Linux version 6.12.1-amd64 (a@b) (gcc) #1 SMP Debian\n\0";
        assert_eq!(banner(kernel).unwrap(), "Linux version 6.12.1-amd64 (a@b) (gcc) #1 SMP Debian");
        assert_eq!(banner(b"Linux version "), None);
    }
}
