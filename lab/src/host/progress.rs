//! How long work tells what it is doing, without knowing who listens.

/// Hears of stages, their progress and remarks. The terminal, a log and a test each have their own.
pub trait Progress: Send + Sync {
    /// A new stage begins; `total` is the number of steps that it is expected to take.
    fn stage(&self, name: &str, total: Option<u64>);
    /// The current stage has done this many steps so far.
    fn advance(&self, done: u64);
    /// Something worth a line of its own: a fallback, a wait, a thing thrown away.
    fn note(&self, line: &str);
}

/// Hears everything and says nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn stage(&self, _name: &str, _total: Option<u64>) {}
    fn advance(&self, _done: u64) {}
    fn note(&self, _line: &str) {}
}
