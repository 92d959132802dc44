//! The kernel's own client of Kexec HandOver, `lib/test_kho.c`: built from its unmodified source outside the tree, so that
//! no kernel needs an option for it. The tree has it within the kernel alone, since it calls functions on device trees that
//! are not exported: the module carries its own copy of them, compiled from the same tree.

use std::fs;

use super::{Error, Kernel, Module, module};
use crate::cache::Cache;
use crate::host::{Cancel, Progress};

const SOURCE: &str = "lib/test_kho.c";
const KBUILD: &str = "\
obj-m := plain_kho.o
plain_kho-y := test_kho.o fdt.o fdt_ro.o fdt_sw.o
ccflags-y := -I$(srctree)/scripts/dtc -I$(srctree)/scripts/dtc/libfdt
";
/// Files of the tree's libfdt, each compiled as the kernel does it.
const LIBFDT: [&str; 3] = ["fdt.c", "fdt_ro.c", "fdt_sw.c"];

/// The module, or `None` if this kernel has no such test.
///
/// # Errors
/// It cannot be built, or the work was cancelled.
pub fn build(
    cache: &Cache,
    kernel: &Kernel,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Option<Module>, Error> {
    let source = kernel.source_dir.join(SOURCE);
    if kernel.abi.kho.is_none() || !source.is_file() {
        return Ok(None);
    }
    let folder = tempfile::Builder::new().prefix("plain_kho").tempdir();
    let folder = folder.map_err(|error| Error::io("make a folder for", &source, error))?;
    let copy = folder.path().join("plain_kho");
    let place = || {
        fs::create_dir(&copy)?;
        fs::copy(&source, copy.join("test_kho.c"))?;
        for file in LIBFDT {
            let included = format!("#include <linux/libfdt_env.h>\n#include <libfdt/{file}>\n");
            fs::write(copy.join(file), included)?;
        }
        fs::write(copy.join("Kbuild"), KBUILD)
    };
    place().map_err(|error| Error::io("copy", &source, error))?;
    let modules = module::build(cache, kernel, &copy, progress, cancel)?;
    Ok(modules.into_iter().next())
}
