//! The guest agent, as a static binary.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Artefact, Error};
use crate::cache::digest::{self, Hasher};
use crate::cache::{self, Built, Cache, Key, Layout};
use crate::host::process::Watched;
use crate::host::{Cancel, GUEST_TARGET, Progress, Versions};

/// What the agent is made of, from the workspace's root.
const SOURCES: [&str; 10] = [
    "Cargo.toml",
    "Cargo.lock",
    "client/Cargo.toml",
    "client/src",
    "guest-agent/Cargo.toml",
    "guest-agent/src",
    "kmod/core/Cargo.toml",
    "kmod/core/src",
    "protocol/Cargo.toml",
    "protocol/src",
];

/// Builds the agent, unless it was built from the same sources by the same compiler before.
///
/// # Errors
/// It does not compile, or the cache cannot be written.
pub fn build(
    workspace: &Path,
    cache: &Cache,
    versions: &Versions,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Artefact, Error> {
    let sources = hash(workspace)?;
    let rustc = versions.of("rustc").unwrap_or_default();
    let key = Key::of([("sources", sources.as_str()), ("rustc", rustc.as_str()), ("target", GUEST_TARGET)]);
    let ready = cache.entry("agent", &key).obtain(Layout::Moved, "the guest agent", (progress, cancel), |dir| {
        progress.stage("build the guest agent", None);
        // Cargo takes two checkouts in one folder for the same, and the newer one's crates for the older one's.
        let checkout = fs::canonicalize(workspace).unwrap_or_else(|_| workspace.to_owned());
        let checkout = digest::bytes(checkout.as_os_str().as_encoded_bytes());
        let target = cache.root().join("agent-target").join(&checkout[..16]);
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.current_dir(workspace).args(["build", "--quiet", "--locked", "--package", "guest-agent"]);
        cargo.args(["--profile", "guest", "--target", GUEST_TARGET, "--target-dir"]).arg(&target);
        // Flags meant for the host's programs would change the guest's.
        cargo.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS").env_remove("CARGO_BUILD_TARGET");
        Watched::new(cargo, cancel).run(|_| {})?.success()?;
        let built = target.join(GUEST_TARGET).join("guest").join("guest-agent");
        let copied = dir.join("init");
        fs::copy(&built, &copied).map_err(|source| Error::Cache(cache::Error::io("copy", &built, source)))?;
        Ok::<_, Error>(Built::of(&["init"]).with("rustc", rustc.clone()))
    })?;
    Ok(Artefact { path: ready.dir.join("init"), sha256: ready.sha256("init").to_owned() })
}

fn hash(workspace: &Path) -> Result<String, Error> {
    let mut hasher = Hasher::new();
    for source in SOURCES {
        let mut files = Vec::new();
        collect(&workspace.join(source), &mut files)?;
        files.sort();
        for path in files {
            let content = fs::read(&path).map_err(|source| Error::Io { what: "read", path: path.clone(), source })?;
            hasher.field(path.strip_prefix(workspace).unwrap_or(&path).as_os_str().as_encoded_bytes());
            hasher.field(content);
        }
    }
    Ok(hasher.finish())
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), Error> {
    let failed = |source| Error::Io { what: "read", path: path.to_owned(), source };
    if !path.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in fs::read_dir(path).map_err(failed)? {
        collect(&entry.map_err(failed)?.path(), files)?;
    }
    Ok(())
}
