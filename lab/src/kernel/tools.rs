//! The programs that decide what a build comes out as, and make without the caller's surroundings.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cache::Cache;
use crate::host::{Compiler, Toolchain, Versions, find_program};

/// Variables of the caller that would change a build without changing its key.
const MEDDLERS: [&str; 22] = [
    "ARCH",
    "CC",
    "CROSS_COMPILE",
    "HOSTCC",
    "HOSTCFLAGS",
    "KAFLAGS",
    "KBUILD_EXTMOD",
    "KBUILD_OUTPUT",
    "KCFLAGS",
    "KCONFIG_ALLCONFIG",
    "KCONFIG_CONFIG",
    "KRUSTFLAGS",
    "LLVM",
    "LOCALVERSION",
    "MAKEFILES",
    "MAKEFLAGS",
    "MFLAGS",
    "RUSTC",
    "RUSTC_WRAPPER",
    "RUSTFLAGS",
    "CLIPPY_CONF_DIR",
    "O",
];

/// The compilers, by what they say of themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tools {
    pub(super) compiler: String,
    pub(super) linker: String,
    pub(super) rustc: Option<String>,
    pub(super) bindgen: Option<String>,
    /// For make, where it would take another one by itself.
    cc: Option<PathBuf>,
    bindgen_path: Option<PathBuf>,
    toolchain: Option<PathBuf>,
}

impl Tools {
    /// Those of this machine, with this one for C.
    pub(super) fn find(cache: &Cache, compiler: Compiler) -> Self {
        let versions = Versions::recall(cache);
        let toolchain = Toolchain::locate();
        let (program, said) = compiler.find(&versions).unwrap_or_else(|| (compiler.name().into(), String::new()));
        Self {
            compiler: said,
            cc: (compiler != Compiler::Gcc).then_some(program),
            linker: versions.of("ld").unwrap_or_default(),
            rustc: toolchain.as_ref().and_then(|it| versions.of_file(&it.rustc())),
            bindgen: versions.of("bindgen"),
            bindgen_path: find_program("bindgen"),
            toolchain: toolchain.map(|it| it.sysroot),
        }
    }

    /// Their part of a key.
    pub(super) fn key_parts(&self) -> [(&'static str, &str); 4] {
        [
            ("compiler", &self.compiler),
            ("linker", &self.linker),
            ("rustc", self.rustc.as_deref().unwrap_or_default()),
            ("bindgen", self.bindgen.as_deref().unwrap_or_default()),
        ]
    }

    /// `make` for a tree and a build directory, for as many jobs as there are processors.
    pub(super) fn make(&self, tree: &Path, build: &Path) -> Command {
        let mut command = Command::new("make");
        let jobs = std::thread::available_parallelism().map_or(1, usize::from);
        command.arg("-C").arg(tree).arg(format!("O={}", build.display())).arg(format!("-j{jobs}"));
        // Of LLVM only this: GNU's linker and the rest of binutils serve both, and the build's own tools stay gcc's.
        if let Some(cc) = &self.cc {
            command.arg(format!("CC={}", cc.display()));
        }
        // cargo installs there, and not everyone has it in PATH.
        if let Some(bindgen) = &self.bindgen_path {
            command.arg(format!("BINDGEN={}", bindgen.display()));
        }
        // rustup chooses by directory, and make works in another one than we.
        if let Some(toolchain) = &self.toolchain {
            command.env("RUSTUP_TOOLCHAIN", toolchain);
        }
        for name in MEDDLERS {
            command.env_remove(name);
        }
        command.env("LC_ALL", "C");
        command
    }
}
