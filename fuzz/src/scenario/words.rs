//! Scenarios made of the words that there are, most of them in an order that cannot be.

use std::fmt;

use arbitrary::Arbitrary;
use protocol::check::Check;
use protocol::message::Interface;

#[derive(Arbitrary, Debug)]
pub(super) struct Scenario {
    interfaces: Option<Vec<u8>>,
    no_workload: bool,
    seed: Option<u32>,
    proves: Vec<u8>,
    tags: Vec<u8>,
    memory: Option<(u16, u8)>,
    must_fail: Option<u8>,
    steps: Vec<Step>,
}

#[derive(Arbitrary, Debug)]
enum Step {
    Create { object: u8, size: u16, unit: u8, count: Option<u16> },
    Objects { verb: u8, objects: Vec<u8> },
    Word(u8),
    Update { kernel: Option<u8>, skip: bool },
    NoLeak(u16),
    Corrupt { object: u8, page: u16 },
    Swap { object: u8, pages: [u16; 2] },
    Check { verb: u8, check: u8, proves: Vec<u8>, refutes: Vec<u8>, within: Option<u16>, seed: Option<u32> },
    Rounds { verb: u8, check: u8, rounds: u32 },
}

const OBJECTS: &[&str] = &["a", "b", "ledger", "'a b'", "\"\\e[31m\"", "''"];
const REQUIREMENTS: &[&str] = &["C1", "C2", "C5", "T1", "T3", "T17", "T99", "c1"];
const TAGS: &[&str] = &["conformance", "stress", "x-1", "-x", "X"];
const UNITS: &[&str] = &["", " B", " KiB", " MiB", " GiB", " MB"];
const WORDS: &[&str] =
    &["prepare", "freeze", "cancel", "finish", "kill-agent", "no-leak", "update", "create", "upgrade"];
const VERBS: &[&str] = &["preserve", "retrieve", "verify", "absent", "vanish"];
const CHECKS: &[&str] = &["check", "leave", "find"];
const KERNELS: &[&str] = &["7.2", "7.10", "path:/tmp", "'git:x#y'", "7", "true"];
const FAILURES: &[&str] = &["page-corrupted", "pages-swapped", "update-not-proven", "leak", "nothing"];

fn of<'a>(words: &[&'a str], choice: u8) -> &'a str {
    words[usize::from(choice) % words.len()]
}

/// A list in YAML's short form.
fn list(words: impl Iterator<Item = String>) -> String {
    format!("[{}]", words.collect::<Vec<_>>().join(", "))
}

fn some(words: &[&str], choices: &[u8]) -> String {
    list(choices.iter().take(4).map(|choice| of(words, *choice).to_owned()))
}

fn check(choice: u8) -> &'static str {
    // One in so many is none.
    Check::ALL.get(usize::from(choice) % (Check::ALL.len() + 1)).map_or("no-such", |check| check.name())
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "about: made of words")?;
        if let Some(interfaces) = &self.interfaces {
            let names: Vec<&str> = Interface::ALL.iter().map(|face| face.name()).collect();
            writeln!(f, "interfaces: {}", some(&names, interfaces))?;
        }
        if self.no_workload {
            writeln!(f, "workload: false")?;
        }
        if let Some(seed) = self.seed {
            writeln!(f, "seed: {seed}")?;
        }
        if !self.proves.is_empty() {
            writeln!(f, "proves: {}", some(REQUIREMENTS, &self.proves))?;
        }
        if !self.tags.is_empty() {
            writeln!(f, "tags: {}", some(TAGS, &self.tags))?;
        }
        if let Some((memory, unit)) = self.memory {
            writeln!(f, "machine: {{memory: {memory}{}}}", of(UNITS, unit))?;
        }
        if let Some(failure) = self.must_fail {
            writeln!(f, "must-fail: {}", of(FAILURES, failure))?;
        }
        writeln!(f, "steps:")?;
        self.steps.iter().try_for_each(|step| writeln!(f, "  - {step}"))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create { object, size, unit, count } => {
                write!(f, "create: {{name: {}, size: {size}{}", of(OBJECTS, *object), of(UNITS, *unit))?;
                count.map_or(Ok(()), |count| write!(f, ", count: {count}"))?;
                write!(f, "}}")
            }
            Self::Objects { verb, objects } => {
                write!(f, "{}: {}", of(VERBS, *verb), some(OBJECTS, objects))
            }
            Self::Word(word) => write!(f, "{}", of(WORDS, *word)),
            Self::Update { kernel, skip } => {
                let kernel = kernel.map_or(String::new(), |kernel| format!(", kernel: {}", of(KERNELS, kernel)));
                write!(f, "update: {{skip-kexec: {skip}{kernel}}}")
            }
            Self::NoLeak(within) => write!(f, "no-leak: {{within: {within} MiB}}"),
            Self::Corrupt { object, page } => write!(f, "corrupt: {{object: {}, page: {page}}}", of(OBJECTS, *object)),
            Self::Swap { object, pages: [a, b] } => {
                write!(f, "swap: {{object: {}, pages: [{a}, {b}]}}", of(OBJECTS, *object))
            }
            Self::Check { verb, check: which, proves, refutes, within, seed } => {
                write!(f, "{}: {{name: {}", of(CHECKS, *verb), check(*which))?;
                for (key, names) in [("proves", proves), ("refutes", refutes)] {
                    if !names.is_empty() {
                        write!(f, ", {key}: {}", some(REQUIREMENTS, names))?;
                    }
                }
                within.map_or(Ok(()), |within| write!(f, ", within: {within} ms"))?;
                seed.map_or(Ok(()), |seed| write!(f, ", seed: {seed}"))?;
                write!(f, "}}")
            }
            Self::Rounds { verb, check: which, rounds } => {
                write!(f, "{}: {{name: {}, rounds: {rounds}}}", of(CHECKS, *verb), check(*which))
            }
        }
    }
}
