//! The kernel's own tests of live update, from its tree and unchanged, in the lab's machine.
//!
//! `build` makes them, `guest` runs one on a machine of its own, `ktap` reads what it says, `judge` decides. Where upstream's
//! scripts boot a small init of theirs, the lab's agent does the same: it runs the first stage, loads the next kernel,
//! restarts, and runs the second. So a live update within a test is proven as those of scenarios are.

mod build;
mod guest;
mod judge;
mod ktap;

pub use build::{headers, run as command};

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::cache::{self, Cache};
use crate::host::process;
use crate::host::{Cancel, Progress, Versions};
use crate::image::{self, Content};
use crate::kernel::{self, KernelSpec, Provider};
use crate::result::{Selftest, SelftestOutcome};
use crate::run::stage::{self, Setup};
use crate::run::{Cancelled, Observer, Stage};

/// A test of the kernel's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Test {
    /// Some fifteen cases of what sessions take and refuse; no kexec.
    Liveupdate,
    /// One session with one file, across a kexec.
    KexecSimple,
    /// Four sessions, two of them empty, across a kexec.
    MultiSession,
    /// Five hundred files in a session, across a kexec.
    StressFiles,
    /// Two thousand sessions, across a kexec.
    StressSessions,
    /// Folios of random size and content handed over by KHO alone, across a kexec.
    Kho,
}

impl Test {
    /// All of them, in the order in which they are run.
    pub const ALL: &[Self] =
        &[Self::Liveupdate, Self::KexecSimple, Self::MultiSession, Self::StressFiles, Self::StressSessions, Self::Kho];

    /// Its name: the program's, or the source's.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Liveupdate => "liveupdate",
            Self::KexecSimple => "luo_kexec_simple",
            Self::MultiSession => "luo_multi_session",
            Self::StressFiles => "luo_stress_files",
            Self::StressSessions => "luo_stress_sessions",
            Self::Kho => "test_kho",
        }
    }

    /// The folder below `tools/testing/selftests`.
    #[must_use]
    pub const fn suite(self) -> &'static str {
        match self {
            Self::Kho => "kho",
            _ => "liveupdate",
        }
    }

    /// What it is about.
    #[must_use]
    pub const fn about(self) -> &'static str {
        match self {
            Self::Liveupdate => "What sessions of /dev/liveupdate take and refuse; no kexec.",
            Self::KexecSimple => "One session with one file, across a kexec.",
            Self::MultiSession => "Four sessions, two of them empty, across a kexec.",
            Self::StressFiles => "Five hundred files in one session, across a kexec.",
            Self::StressSessions => "Two thousand sessions, across a kexec.",
            Self::Kho => "Folios of random size and content, handed over by KHO alone.",
        }
    }

    /// The test of this name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|test| test.name() == name)
    }

    /// Its source, from the tree's root.
    fn source(self) -> String {
        match self {
            Self::Kho => "lib/test_kho.c".to_owned(),
            _ => format!("tools/testing/selftests/{}/{}.c", self.suite(), self.name()),
        }
    }

    fn is_in(self, tree: &Path) -> bool {
        tree.join(self.source()).is_file()
    }
}

/// Why tests could not be made ready.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A kernel, or a module for it.
    #[error(transparent)]
    Kernel(#[from] kernel::Error),
    /// The cache.
    #[error(transparent)]
    Cache(#[from] cache::Error),
    /// The tests do not compile.
    #[error("the kernel's own tests cannot be built: {0}")]
    Compile(#[from] process::Error),
    /// The agent or the initramfs.
    #[error(transparent)]
    Image(#[from] image::Error),
    /// What runs guests.
    #[error(transparent)]
    Stage(#[from] stage::Error),
}

/// A kernel with its own tests, ready to be run.
#[derive(Clone, Debug)]
pub struct Bench {
    /// What boots, and on what.
    pub stage: Stage,
    /// Those that were built.
    ready: Vec<Test>,
    /// Those that could not be, and why.
    broken: Vec<(Test, String)>,
}

/// Builds what is not built yet: the kernel of `setup`, and the tests as the tree of `tests` has them. That is another one
/// only if it is asked what the tests make of a kernel that was changed.
///
/// # Errors
/// Something cannot be had or built.
pub fn set(
    setup: &Setup<'_>,
    tests: &KernelSpec,
    cache: &Cache,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Bench, Error> {
    let agent = image::build_agent(setup.workspace, cache, &Versions::recall(cache), progress, cancel)?;
    let provider = Provider::new(cache).with_profile(setup.profile);
    let kernel = provider.obtain(&setup.kernel, progress, cancel)?;
    let tests = if *tests == setup.kernel {
        build::build(&kernel, &kernel, cache, progress, cancel)?
    } else {
        build::build(&provider.obtain(tests, progress, cancel)?, &kernel, cache, progress, cancel)?
    };
    let contents = tests.built.iter().map(|(test, file)| match test {
        Test::Kho => Content::module(file.clone()),
        _ => Content::program(file.clone()),
    });
    let initramfs = image::pack_all(&agent, &contents.collect::<Vec<_>>(), cache, progress, cancel)?;
    // Whatever tests there are besides, the agent's report is what proves an accelerator.
    let key = format!("{:.16}-{:.16}", kernel.image_sha256, agent.sha256);
    let kernel = stage::with(kernel, &setup.kernel, setup, [None, None], initramfs);
    let stage = stage::light(setup, kernel, BTreeMap::new(), &key, cache, cancel)?;
    let ready = tests.built.into_iter().map(|(test, _)| test).collect();
    Ok(Bench { stage, ready, broken: tests.broken })
}

/// Runs one test on a machine of its own, and tells of each of its cases.
///
/// # Errors
/// Only if the user wants to stop.
pub fn run(
    bench: &Bench,
    test: Test,
    observer: &mut dyn Observer,
    cancel: &Cancel,
) -> Result<Vec<Selftest>, Cancelled> {
    let whole = |outcome| Selftest {
        suite: test.suite().to_owned(),
        test: test.name().to_owned(),
        case: None,
        outcome,
        proof: None,
        wall_ms: 0,
        artefacts: String::new(),
    };
    if let Some((_, message)) = bench.broken.iter().find(|(broken, _)| *broken == test) {
        return Ok(vec![whole(SelftestOutcome::Infrastructure { message: message.clone() })]);
    }
    if !bench.ready.contains(&test) {
        return Ok(vec![whole(SelftestOutcome::Absent)]);
    }
    let began = Instant::now();
    let session = guest::run(&bench.stage, test, observer, cancel)?;
    let wall_ms = milliseconds(began.elapsed());
    let cases = judge::judge(test, &session, &Selftest { wall_ms, ..whole(SelftestOutcome::Passed) });
    Ok(cases)
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
