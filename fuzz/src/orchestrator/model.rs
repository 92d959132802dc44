//! What each call must come to.

mod calls;
mod check;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::rc::Rc;

use kmod_core::name::Name;
use kmod_core::orchestrator::{Face, Key, Orchestrator, SessionId};
use kmod_core::state::{Event, Refusal, Verdict, decide};

use super::participant::{Fake, Track};
use super::store::{Std, starved};

/// Subsystems are called by so many names.
const SUBSYSTEMS: u8 = 6;

/// Who has a session by name.
#[derive(arbitrary::Arbitrary, Debug)]
pub(super) struct Holder {
    instance: bool,
    owner: bool,
    name: u8,
}

impl Holder {
    fn key(&self) -> Key {
        let face = if self.instance { Face::Instance } else { Face::Session };
        Key { face, owner: u32::from(self.owner), name: name('s', u64::from(self.name % 4)) }
    }
}

fn name(kind: char, number: u64) -> Name {
    Name::new(format!("{kind}{number}").as_bytes()).expect("a name")
}

/// A place in the graph. Numbers are used once; a subsystem's name is for whoever comes next, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Node {
    Number(u64),
    Subsystem(u8),
}

/// The machine, and what it should know.
pub(super) struct Bench {
    pub(super) machine: Orchestrator<Std, Fake>,
    pub(super) track: Rc<RefCell<Track>>,
    /// Sessions that somebody holds.
    held: Vec<SessionId>,
    /// Sessions that end at the next occasion: nobody holds them, or their memory is gone.
    closed: BTreeSet<SessionId>,
    /// Whose each participant is: nobody's is a subsystem.
    live: BTreeMap<Node, Option<SessionId>>,
    instances: BTreeMap<SessionId, u64>,
    needs: BTreeSet<(Node, Node)>,
    inherited: BTreeMap<Key, u64>,
    last: u64,
}

impl Bench {
    pub(super) fn new(inherited: &[Holder]) -> Self {
        let mut bench = Self {
            machine: Orchestrator::new(),
            track: Rc::default(),
            held: Vec::new(),
            closed: BTreeSet::new(),
            live: BTreeMap::new(),
            instances: BTreeMap::new(),
            needs: BTreeSet::new(),
            inherited: BTreeMap::new(),
            last: 0,
        };
        for (id, holder) in (1..).zip(inherited.iter().take(4)) {
            let known = bench.inherited.contains_key(&holder.key());
            let result = bench.machine.inherit(holder.key(), id);
            assert_eq!(result, if known { Err(Refusal::Exists) } else { Ok(()) });
            bench.inherited.entry(holder.key()).or_insert(id);
        }
        if !inherited.is_empty() {
            assert_eq!(bench.machine.hand_over(), Ok(()));
        }
        bench
    }

    /// What the table says of an event.
    fn verdict(&self, event: Event) -> Result<(), Refusal> {
        match decide(self.machine.state(), event) {
            Verdict::Refuse(refusal) => Err(refusal),
            Verdict::Move(_) | Verdict::Stay | Verdict::Forget => Ok(()),
        }
    }

    /// What came of it, if that is what had to. Where memory ran out, that is the only other thing that may.
    fn came<T: Debug>(result: Result<T, Refusal>, expected: Result<(), Refusal>) -> Option<T> {
        let starved = starved();
        match result {
            Err(Refusal::NoMemory) if starved => {}
            _ => assert_eq!(result.as_ref().map(drop).map_err(|refusal| *refusal), expected),
        }
        result.ok()
    }

    fn session(&self, choice: u8) -> Option<SessionId> {
        self.held.get(usize::from(choice).checked_rem(self.held.len())?).copied()
    }

    /// Any number that was ever given out, and one that was not.
    fn number(&self, choice: u8) -> u64 {
        u64::from(choice) % (self.last + 1) + 1
    }

    fn is_an_instance(&self, number: u64) -> bool {
        self.instances.values().any(|instance| *instance == number)
    }

    fn can_be_instance(&self, session: SessionId) -> bool {
        self.machine.session(session).is_some_and(|it| it.key.is_some_and(|key| key.face == Face::Instance))
    }

    /// Whether this would close a circle.
    fn circle(&self, from: Node, on: Node) -> bool {
        let (mut seen, mut queue) = (BTreeSet::from([on]), vec![on]);
        while let Some(at) = queue.pop() {
            if at == from {
                return true;
            }
            queue.extend(self.needs.iter().filter(|(a, b)| *a == at && seen.insert(*b)).map(|(_, b)| *b));
        }
        false
    }

    /// Somebody is gone, and what it needed with it. Who needs it goes on doing so.
    fn gone(&mut self, node: Node) {
        self.live.remove(&node);
        self.needs.retain(|(from, _)| *from != node);
    }

    fn session_gone(&mut self, session: SessionId) {
        let members: Vec<Node> =
            self.live.iter().filter(|(_, owner)| **owner == Some(session)).map(|(node, _)| *node).collect();
        members.into_iter().for_each(|node| self.gone(node));
        self.instances.remove(&session);
        self.closed.remove(&session);
        self.held.retain(|held| *held != session);
    }

    /// After an update that did not take place.
    fn forget_closed(&mut self, starved: bool) {
        for session in self.closed.clone() {
            let there = self.machine.session(session).is_some();
            assert!(starved || !there, "a session that nobody holds has ended");
            if !there {
                self.session_gone(session);
            }
        }
    }
}
