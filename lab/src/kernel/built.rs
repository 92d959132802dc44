//! A built kernel, and what is known of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::fragment::Fragment;
use super::resolve::ResolvedSource;
use super::workbench::Workbench;
use super::{Abi, Error, Module, Patch, Profile, abi, tree};

/// A kernel, ready to boot and to build modules against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    /// What `uname -r` says in the guest.
    pub release: String,
    /// What `/proc/version` says in the guest, but for spaces: it names this very build.
    pub version_string: String,
    /// The image to boot.
    pub image: PathBuf,
    /// Its hash.
    pub image_sha256: String,
    /// The source tree. That of a patched kernel is shared with others of its kind, and may be one of them now.
    pub source_dir: PathBuf,
    /// The build directory, for modules. Of a patched kernel likewise.
    pub build_dir: PathBuf,
    /// Modules that it needs to reach the agent's host, in the order in which they are loaded; ours have them built in.
    pub drivers: Vec<Module>,
    /// What has both be this kernel again.
    pub(super) workbench: Option<Workbench>,
    /// What was asked for, and what it came to.
    pub source: ResolvedSource,
    /// What was laid on top of it.
    pub patches: Vec<Patch>,
    /// What it was built for.
    pub profile: Profile,
    /// Whether Rust modules can be loaded.
    pub rust: bool,
    /// The hash of the configuration.
    pub config_sha256: String,
    /// What the C compiler says of itself.
    pub compiler: String,
    /// What the Rust compiler says of itself, if the kernel has Rust in it.
    pub rustc: Option<String>,
    /// How it hands memory on and what it takes, as its source says.
    pub abi: Abi,
    /// What the build is a function of.
    pub key: String,
}

/// What only the build directory knows.
pub(super) fn facts(dir: &Path, tree: &Path, fragment: &Fragment) -> Result<BTreeMap<String, String>, Error> {
    let read = |name: &str| {
        let path = dir.join(name);
        fs::read_to_string(&path).map_err(|source| Error::io("read", &path, source))
    };
    let release = read("include/config/kernel.release")?.trim().to_owned();
    let compile = read("include/generated/compile.h")?;
    // The version stands in a file of its own since 6.1.
    let version = read("include/generated/utsversion.h").unwrap_or_default();
    let defined = |name: &str| {
        let value = compile.lines().chain(version.lines()).find_map(|line| {
            let (key, value) = line.strip_prefix("#define ")?.split_once(char::is_whitespace)?;
            (key == name).then(|| value.trim().trim_matches('"').to_owned())
        });
        value.unwrap_or_default()
    };
    let version_string = format!(
        "Linux version {release} ({}@{}) ({}) {}",
        defined("LINUX_COMPILE_BY"),
        defined("LINUX_COMPILE_HOST"),
        defined("LINUX_COMPILER"),
        defined("UTS_VERSION")
    );
    let rust = if fragment.enables("RUST", tree::series(tree)?) { "yes" } else { "no" };
    // Of a tree that may be another one later.
    let abi = serde_json::to_string(&abi::of_tree(tree)).unwrap_or_default();
    let facts = [("release", release), ("version_string", version_string), ("rust", rust.to_owned()), ("abi", abi)];
    Ok(facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// Throws away what neither a boot nor a module's build needs.
pub(super) fn strip(dir: &Path) -> Result<(), Error> {
    // The build's own tools stay whole.
    let keep = |path: &Path| ["scripts", "tools"].iter().any(|name| path == dir.join(name));
    let mut pending = vec![dir.to_path_buf()];
    while let Some(current) = pending.pop() {
        let entries = fs::read_dir(&current).map_err(|source| Error::io("list", &current, source))?;
        for entry in entries {
            let entry = entry.map_err(|source| Error::io("list", &current, source))?;
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if !keep(&path) {
                    pending.push(path);
                }
            } else if [".o", ".a", ".cmd"].iter().any(|ending| name.ends_with(ending)) || name == "vmlinux.unstripped" {
                fs::remove_file(&path).map_err(|source| Error::io("remove", &path, source))?;
            }
        }
    }
    Ok(())
}
