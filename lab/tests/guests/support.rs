//! A stage to run on, and what tests do with it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lab::cache::Cache;
use lab::host::{Cancel, Silent};
use lab::image::{Artefact, pack};
use lab::kernel::Profile;
use lab::machine::accelerator::Wish;
use lab::result::{Failure, FailureKind, Outcome, Run};
use lab::run::stage::{self, Setup};
use lab::run::{Limits, Observer, Stage};
use lab::scenario::Document;
use protocol::message::Interface;

/// One guest at a time: two would share the cores and look slow to each other.
static TURN: Mutex<()> = Mutex::new(());

static STAGE: LazyLock<Stage> = LazyLock::new(|| {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let setup = Setup {
        workspace,
        kernel: "7.3".parse().unwrap(),
        profile: Profile::Fast,
        named: BTreeMap::new(),
        accelerator: Wish::Auto,
        limits: Limits { silence: Duration::from_secs(20), total: Duration::from_secs(120), ..Limits::default() },
        runs: PathBuf::new(),
    };
    stage::set(&setup, &Cache::open().unwrap(), &Silent, &Cancel::new()).unwrap()
});

/// A stage whose runs go to a folder that vanishes, and the right to use it.
pub(crate) struct Turn {
    pub(crate) stage: Stage,
    pub(crate) folder: tempfile::TempDir,
    _turn: MutexGuard<'static, ()>,
}

pub(crate) fn turn() -> Turn {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage { runs: folder.path().to_owned(), ..STAGE.clone() };
    Turn { stage, folder, _turn: turn }
}

pub(crate) struct Deaf;

impl Observer for Deaf {
    fn step(&mut self, _: &str, _: u32) {}
    fn progress(&mut self, _: u64, _: u64) {}
}

/// The plainest live update.
pub(crate) const ONE_OBJECT: &str = "about: a test\nsteps:\n  - create: {name: ledger, size: 1 MiB}\n  - preserve: ledger\n  \
    - update\n  - retrieve: ledger\n  - verify: ledger\n";

impl Turn {
    /// Gives the guest another `/init`.
    pub(crate) fn with_init(mut self, init: &[u8]) -> Self {
        let path = self.folder.path().join("init");
        std::fs::write(&path, init).unwrap();
        let init = Artefact { path, sha256: lab::cache::digest::bytes(init) };
        let cache = Cache::at(&self.folder.path().join("cache")).unwrap();
        self.stage.kernel.initramfs = pack(&init, &[], &cache, &Silent, &Cancel::new()).unwrap().path;
        self
    }

    pub(crate) fn run(&self, yaml: &str, interface: Interface) -> Run {
        let document = Document::parse("test", "test.yaml", yaml).unwrap();
        let plan = document.plan(interface).unwrap();
        lab::run::run(&self.stage, &document, &plan, &mut Deaf, &Cancel::new()).unwrap()
    }

    /// Runs the plainest live update, which has to fail like this.
    pub(crate) fn must_fail(&self, interface: Interface, kind: FailureKind) -> Failure {
        let run = self.run(ONE_OBJECT, interface);
        match run.outcome {
            Outcome::Failed(failure) if failure.kind == kind => failure,
            other => panic!("not {kind:?}: {other:#?}"),
        }
    }
}
