//! What the kernel's own tests said.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Failure, Proof};

/// One case of one of the kernel's own tests, or a test that has no cases.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Selftest {
    /// The folder of the kernel's selftests that it is from.
    pub suite: String,
    /// The program.
    pub test: String,
    /// The case; none if this is said of the whole test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<String>,
    /// How it ended.
    pub outcome: SelftestOutcome,
    /// What shows that the live update happened which the test is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
    /// Wall time on the host, in milliseconds: of a case, between the result before and its own; of a test, with all
    /// boots. For the reader, not a measurement.
    pub wall_ms: u64,
    /// The folder with console, logs, what the test said, and the command line to reproduce by hand.
    pub artefacts: String,
}

/// How a test of the kernel's own ended.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum SelftestOutcome {
    /// It says that all is well, and the lab saw nothing else.
    Passed,
    /// It says that something is wrong; or it died, said less than it had announced, or its kernel complained.
    Failed(Failure),
    /// It says that it could not find out.
    Skipped {
        /// Why, in its words.
        reason: String,
    },
    /// It says that something is wrong, and that this is known.
    ExpectedlyFailed {
        /// Why, in its words.
        reason: String,
    },
    /// This kernel's tree has no such test.
    Absent,
    /// The lab could not find out.
    Infrastructure {
        /// Why.
        message: String,
    },
}

impl Selftest {
    /// Its name, as it is chosen and shown: `luo_kexec_simple`, `liveupdate liveupdate_device.exclusive_open`.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.case {
            Some(case) => format!("{} {case}", self.test),
            None => self.test.clone(),
        }
    }
}
