//! What takes part: it knows in which order things may happen to it and to all the others.

use std::cell::RefCell;
use std::rc::Rc;

use kmod_core::orchestrator::Participant;
use kmod_core::state::Refusal;

/// What all of them have been through, in order.
#[derive(Default)]
pub(super) struct Track {
    /// How many there are, wherever they are.
    pub(super) alive: u64,
    prepared: Vec<u64>,
    frozen: Vec<u64>,
    /// Who fails next, at what.
    pub(super) fails: Option<(u64, Stage)>,
}

impl Track {
    /// How many are prepared and frozen.
    pub(super) fn progress(&self) -> (usize, usize) {
        (self.prepared.len(), self.frozen.len())
    }
}

/// Where one may fail.
#[derive(arbitrary::Arbitrary, Clone, Copy, Debug, PartialEq)]
pub(super) enum Stage {
    Prepare,
    Freeze,
}

#[derive(Debug, PartialEq)]
pub(super) enum Failure {
    Refused(Refusal),
    Broken,
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

pub(super) struct Fake {
    number: u64,
    track: Rc<RefCell<Track>>,
}

impl Fake {
    pub(super) fn new(number: u64, track: &Rc<RefCell<Track>>) -> Self {
        track.borrow_mut().alive += 1;
        Self { number, track: Rc::clone(track) }
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    fn fails(&self, stage: Stage) -> Result<(), Failure> {
        let mut track = self.track.borrow_mut();
        if track.fails == Some((self.number, stage)) {
            track.fails = None;
            return Err(Failure::Broken);
        }
        Ok(())
    }
}

impl Participant for Fake {
    type Error = Failure;

    fn prepare(&mut self) -> Result<(), Failure> {
        assert!(!self.track.borrow().prepared.contains(&self.number), "prepared once");
        self.fails(Stage::Prepare)?;
        self.track.borrow_mut().prepared.push(self.number);
        Ok(())
    }

    fn freeze(&mut self) -> Result<(), Failure> {
        let at = self.track.borrow().frozen.len();
        assert_eq!(self.track.borrow().prepared.get(at), Some(&self.number), "frozen in the order of PREPARE");
        self.fails(Stage::Freeze)?;
        self.track.borrow_mut().frozen.push(self.number);
        Ok(())
    }

    fn unfreeze(&mut self) {
        assert_eq!(self.track.borrow_mut().frozen.pop(), Some(self.number), "undone in reverse");
    }

    fn cancel(&mut self) {
        let mut track = self.track.borrow_mut();
        assert!(track.frozen.is_empty(), "unfrozen first");
        assert_eq!(track.prepared.pop(), Some(self.number), "undone in reverse");
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.track.borrow_mut().alive -= 1;
    }
}
