//! What a kernel is built for.

use std::fmt;
use std::str::FromStr;

use crate::host::Compiler;
pub use crate::result::Profile;

/// The fragment that every guest kernel is built with.
pub const GUEST: &str = include_str!("../../kernel-config/guest.config");
/// What a kernel is built with besides whose outage is to be short.
pub const TUNED: &str = include_str!("../../kernel-config/tuned.config");
/// What a kernel that watches itself is built with besides.
pub const DEBUG: &str = include_str!("../../kernel-config/debug.config");
/// What a kernel is built with besides that checks each access to memory.
pub const KASAN: &str = include_str!("../../kernel-config/kasan.config");

/// A profile changes what is built through its options and its compiler alone: what the cache keeps by what it was built
/// from, it keeps by its profile too.
impl Profile {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Fast, Self::Tuned, Self::Debug, Self::Kasan];

    /// The configuration that it asks for.
    #[must_use]
    pub fn fragment(self) -> String {
        match self {
            Self::Fast => GUEST.to_owned(),
            Self::Tuned => format!("{GUEST}\n{TUNED}"),
            Self::Debug => format!("{GUEST}\n{DEBUG}"),
            Self::Kasan => format!("{GUEST}\n{KASAN}"),
        }
    }

    /// What compiles the C of its kernels and of their modules.
    #[must_use]
    pub fn compiler(self) -> Compiler {
        match self {
            Self::Fast | Self::Tuned | Self::Debug => Compiler::Gcc,
            Self::Kasan => Compiler::Clang,
        }
    }

    /// What its kernels are told besides, at boot: some checks are built in and yet off, or need room.
    #[must_use]
    pub fn command_line(self) -> &'static str {
        match self {
            Self::Fast => "",
            // A character on an emulated serial port costs as much as thousands of instructions.
            Self::Tuned => "loglevel=5",
            // By default each of two scratch areas is twice what a boot takes, and for KASAN an eighth of all memory is
            // the shadow alone: they would not fit. So much holds the next kernel's shadow and image. With five levels of
            // page tables an interrupt during identify_cpu(), when no feature is known, takes all memory for nobody's.
            Self::Kasan => "kho_scratch=70% no5lvl",
            Self::Debug => "debug_pagealloc=on page_poison=on page_table_check=on kmemleak.verbose=1",
        }
    }

    /// How many times as long its kernels may take.
    #[must_use]
    pub fn patience(self) -> u32 {
        match self {
            Self::Fast | Self::Tuned => 1,
            Self::Debug | Self::Kasan => 5,
        }
    }

    /// Steps that kbuild announces for it, of 7.3.
    pub(super) fn usual_steps(self) -> u64 {
        match self {
            Self::Fast | Self::Tuned => 1490,
            Self::Debug => 1560,
            Self::Kasan => 1515,
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fast => "fast",
            Self::Tuned => "tuned",
            Self::Debug => "debug",
            Self::Kasan => "kasan",
        })
    }
}

impl FromStr for Profile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|profile| profile.to_string() == text)
            .ok_or_else(|| format!("`{text}` is no profile: fast, tuned, debug or kasan"))
    }
}
