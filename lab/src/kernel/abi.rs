//! What a kernel's tree says of the contract between two kernels: the strings by which one recognises what another left,
//! and the formats that no string tells apart.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Longest part of a source file that is read.
const MAX_BYTES: u64 = 1 << 20;

/// Where Kexec HandOver has lived: its core, since 6.19 and before, and the headers of its format.
const HANDOVER: [&str; 5] = [
    "include/linux/kho/abi/kexec_handover.h",
    "include/linux/kho_radix_tree.h",
    "kernel/liveupdate/kexec_handover.c",
    "kernel/kexec_handover.c",
    "kernel/kexec_handover_internal.h",
];
const ORCHESTRATOR: [&str; 2] = ["include/linux/kho/abi/luo.h", "kernel/liveupdate/luo_internal.h"];
const ORCHESTRATOR_CORE: [&str; 1] = ["kernel/liveupdate/luo_core.c"];
const MEMFD: [&str; 2] = ["include/linux/kho/abi/memfd.h", "mm/memfd_luo.c"];
const MEMBLOCK: [&str; 2] = ["include/linux/kho/abi/memblock.h", "mm/memblock.c"];

/// How a kernel hands its memory on, and what it takes from another. A string that is absent says that the kernel has
/// not the thing: no Kexec HandOver, no orchestrator, or no format of its own for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Abi {
    /// Of Kexec HandOver's root. If it differs, the new kernel refuses everything and boots cold.
    pub kho: Option<String>,
    /// How preserved pages are listed. If it differs and the string does not, nobody knows what happens.
    pub memory_map: Option<MemoryMap>,
    /// What has to be done before the reboot, so that what was preserved is handed over.
    pub finalise: Option<Finalise>,
    /// Of the orchestrator's root. If it differs, the new kernel panics.
    pub luo: Option<String>,
    /// Of the orchestrator's sessions, where the root does not cover them.
    pub session: Option<String>,
    /// Of what files share, where the root does not cover it.
    pub flb: Option<String>,
    /// Of preserved memory files. If it differs, `/dev/liveupdate` cannot be opened in the new kernel.
    pub memfd: Option<String>,
    /// Of regions by `reserve_mem=`.
    pub reserve_mem: Option<String>,
}

/// How preserved pages are listed for the next kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MemoryMap {
    /// A list of bitmaps of 512 bytes.
    SmallBitmaps,
    /// A list of bitmaps of a page each.
    PageBitmaps,
    /// A radix tree.
    RadixTree,
}

/// Who completes what is handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Finalise {
    /// Someone writes to `kho/out/finalize` in debugfs; nothing may be preserved afterwards.
    ByHand,
    /// The orchestrator, within reboot(2).
    AtReboot,
    /// Nobody: it is complete at each moment.
    Always,
}

impl fmt::Display for MemoryMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SmallBitmaps => "512 B bitmaps",
            Self::PageBitmaps => "4 KiB bitmaps",
            Self::RadixTree => "radix tree",
        })
    }
}

impl fmt::Display for Finalise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ByHand => "by hand, in debugfs",
            Self::AtReboot => "by the orchestrator, at reboot",
            Self::Always => "not needed",
        })
    }
}

/// Reads it from a kernel tree. What cannot be read is absent: a tree without Kexec HandOver is none the worse for it.
#[must_use]
pub fn of_tree(tree: &Path) -> Abi {
    let handover = code(tree, &HANDOVER);
    let orchestrator = code(tree, &ORCHESTRATOR);
    let core = code(tree, &ORCHESTRATOR_CORE);
    let kho = defined(&handover, &["KHO_FDT_COMPATIBLE"]);
    let finalise = kho.is_some().then(|| finalise(&handover, &core));
    Abi {
        memory_map: memory_map(&handover),
        finalise,
        luo: defined(&orchestrator, &["LUO_ABI_COMPATIBLE", "LUO_FDT_COMPATIBLE"]),
        session: defined(&orchestrator, &["LUO_FDT_SESSION_COMPATIBLE"]),
        flb: defined(&orchestrator, &["LUO_FDT_FLB_COMPATIBLE"]),
        memfd: defined(&code(tree, &MEMFD), &["MEMFD_LUO_FH_COMPATIBLE"]),
        reserve_mem: defined(&code(tree, &MEMBLOCK), &["RESERVE_MEM_KHO_NODE_COMPATIBLE"]),
        kho,
    }
}

/// Reads it from what a running kernel shows of what it would hand over: strings of the form `name-v7`, ended by a zero.
#[must_use]
pub fn of_running<'a>(shown: impl IntoIterator<Item = &'a [u8]>) -> Abi {
    let mut abi = Abi::default();
    for word in shown.into_iter().flat_map(|bytes| bytes.split(|byte| *byte == 0)) {
        // In a device tree a number stands before it, whose last byte may be anything.
        let Some((before, version)) = word.windows(2).rposition(|it| it == b"-v").map(|at| word.split_at(at)) else {
            continue;
        };
        let digits = &version[2..];
        if !(1..=4).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
            continue;
        }
        let places = [
            ("luo-session", &mut abi.session),
            ("luo-flb", &mut abi.flb),
            ("reserve-mem", &mut abi.reserve_mem),
            ("kho", &mut abi.kho),
            ("luo", &mut abi.luo),
        ];
        if let Some((name, place)) = places.into_iter().find(|(name, _)| before.ends_with(name.as_bytes())) {
            *place = Some(format!("{name}{}", String::from_utf8_lossy(version)));
        }
    }
    abi
}

fn memory_map(handover: &str) -> Option<MemoryMap> {
    if handover.contains("struct kho_radix_node {") {
        return Some(MemoryMap::RadixTree);
    }
    match definition(handover, "PRESERVE_BITS")? {
        "(512 * 8)" => Some(MemoryMap::SmallBitmaps),
        "(PAGE_SIZE * 8)" => Some(MemoryMap::PageBitmaps),
        _ => None,
    }
}

fn finalise(handover: &str, orchestrator: &str) -> Finalise {
    if orchestrator.contains("kho_finalize(") {
        Finalise::AtReboot
    } else if handover.contains("kho_finalize(") {
        Finalise::ByHand
    } else {
        Finalise::Always
    }
}

/// The string that the first of these macros to be there stands for.
fn defined(code: &str, names: &[&str]) -> Option<String> {
    let value = names.iter().find_map(|name| definition(code, name))?;
    value.strip_prefix('"')?.strip_suffix('"').map(str::to_owned)
}

/// What a macro without parameters stands for.
fn definition<'a>(code: &'a str, name: &str) -> Option<&'a str> {
    code.lines().find_map(|line| {
        let rest = line.trim_start().strip_prefix("#define")?.trim_start().strip_prefix(name)?;
        rest.starts_with(char::is_whitespace).then(|| rest.trim())
    })
}

/// The files that there are of these, one after the other, without their comments: those often name an older string.
fn code(tree: &Path, files: &[&str]) -> String {
    let mut all = String::new();
    for file in files {
        let mut bytes = Vec::new();
        let read = File::open(tree.join(file)).and_then(|file| file.take(MAX_BYTES).read_to_end(&mut bytes));
        if read.is_ok() {
            without_comments(&String::from_utf8_lossy(&bytes), &mut all);
        }
    }
    all
}

fn without_comments(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some((before, comment)) = rest.split_once("/*") {
        out.push_str(before);
        rest = comment.split_once("*/").map_or("", |(_, after)| after);
    }
    out.push_str(rest);
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A tree of these files.
    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        dir
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn the_first_kernels_list_pages_in_bitmaps_and_are_finalised_by_hand() {
        for (bits, map) in [("512", MemoryMap::SmallBitmaps), ("PAGE_SIZE", MemoryMap::PageBitmaps)] {
            let handover = format!(
                "#define KHO_FDT_COMPATIBLE \"kho-v1\"\n#define PRESERVE_BITS ({bits} * 8)\nint kho_finalize(void)\n"
            );
            let tree = tree(&[
                ("kernel/kexec_handover.c", &handover),
                ("mm/memblock.c", "#define RESERVE_MEM_KHO_NODE_COMPATIBLE \"reserve-mem-v1\"\n"),
            ]);
            let expected = Abi {
                kho: some("kho-v1"),
                memory_map: Some(map),
                finalise: Some(Finalise::ByHand),
                reserve_mem: some("reserve-mem-v1"),
                ..Abi::default()
            };
            assert_eq!(of_tree(tree.path()), expected);
        }
    }

    #[test]
    fn an_orchestrator_finalises_and_has_strings_of_its_own() {
        let tree = tree(&[
            (
                "kernel/liveupdate/kexec_handover.c",
                "#define KHO_FDT_COMPATIBLE \"kho-v1\"\n#define PRESERVE_BITS (PAGE_SIZE * 8)\nint kho_finalize(void)\n",
            ),
            ("kernel/liveupdate/luo_core.c", "\terr = kho_finalize();\n"),
            (
                "include/linux/kho/abi/luo.h",
                "/*\n *  #define LUO_FDT_COMPATIBLE \"luo-v0\" */\n#define LUO_FDT_COMPATIBLE\t\"luo-v1\"\n\
                 #define LUO_FDT_SESSION_COMPATIBLE\t\"luo-session-v2\"\n",
            ),
            ("include/linux/kho/abi/memfd.h", "#define MEMFD_LUO_FH_COMPATIBLE\t\"memfd-v1\"\n"),
        ]);
        let expected = Abi {
            kho: some("kho-v1"),
            memory_map: Some(MemoryMap::PageBitmaps),
            finalise: Some(Finalise::AtReboot),
            luo: some("luo-v1"),
            session: some("luo-session-v2"),
            memfd: some("memfd-v1"),
            ..Abi::default()
        };
        assert_eq!(of_tree(tree.path()), expected);
    }

    #[test]
    fn a_comment_is_no_definition_and_one_root_may_cover_all() {
        let tree = tree(&[
            (
                "include/linux/kho/abi/kexec_handover.h",
                "/* compatible = \"kho-v3\"\n#define KHO_FDT_COMPATIBLE \"kho-v3\"\n */\n#define KHO_FDT_COMPATIBLE \"kho-v4\"\n\
                 struct kho_radix_node {\n",
            ),
            ("kernel/liveupdate/luo_core.c", "/* as kho_finalize() once did */\n"),
            (
                "include/linux/kho/abi/luo.h",
                "#define LUO_ABI_COMPATIBLE\t\"luo-v5\"\n#define LUO_ABI_COMPAT_LEN ALIGN(sizeof(LUO_ABI_COMPATIBLE), 8)\n",
            ),
        ]);
        let expected = Abi {
            kho: some("kho-v4"),
            memory_map: Some(MemoryMap::RadixTree),
            finalise: Some(Finalise::Always),
            luo: some("luo-v5"),
            ..Abi::default()
        };
        assert_eq!(of_tree(tree.path()), expected);
    }

    #[test]
    fn a_running_kernel_shows_strings_among_other_bytes() {
        let device_tree = b"\xd0\x0d\xfe\xed\0\0compatible\0\x1bkho-v4\0\0LUO\0aluo-session-v2\0";
        let structure = b"luo-v5\0\0\x01\0\0";
        let found = of_running([&device_tree[..], structure]);
        let session = some("luo-session-v2");
        assert_eq!(found, Abi { kho: some("kho-v4"), luo: some("luo-v5"), session, ..Abi::default() });
        let odd = of_running([&b"kho-v\0kho-v4x\0other-v3\0\xff-v1\0-v\0"[..], &[0xff; 300]]);
        assert_eq!(odd, Abi::default());
    }

    #[test]
    fn what_is_unknown_is_absent() {
        assert_eq!(of_tree(Path::new("/nonexistent")), Abi::default());
        let odd = "#define KHO_FDT_COMPATIBLE KHO_OTHER\n#define PRESERVE_BITS (64 * 8)\n/* never ends";
        let tree = tree(&[("kernel/kexec_handover.c", odd), ("mm/memfd_luo.c", "\u{0}\"")]);
        assert_eq!(of_tree(tree.path()), Abi::default());
    }
}
