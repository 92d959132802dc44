//! Sessions, registrations and dependencies.

use std::rc::Rc;

use kmod_core::orchestrator::{Face, Label};
use kmod_core::state::{Event, Refusal, Verdict, decide};

use super::super::participant::{Fake, Stage};
use super::{Bench, Holder, Node, SUBSYSTEMS, name};

impl Bench {
    fn fake(&mut self) -> (u64, Fake) {
        self.last += 1;
        (self.last, Fake::new(self.last, &self.track))
    }

    pub(in super::super) fn open(&mut self) {
        let opened = self.machine.open();
        self.held.extend(Self::came(opened, Ok(())));
    }

    pub(in super::super) fn create(&mut self, holder: &Holder) {
        let key = holder.key();
        let taken = self.machine.is_in_use(key) || self.inherited.contains_key(&key);
        let expected = self.verdict(Event::Register).and(if taken { Err(Refusal::Exists) } else { Ok(()) });
        let created = self.machine.create(key);
        self.held.extend(Self::came(created, expected));
    }

    pub(in super::super) fn retrieve(&mut self, holder: &Holder) {
        let key = holder.key();
        let expected = self.verdict(Event::Restore).and(match self.inherited.get(&key) {
            None => Err(Refusal::NotFound),
            Some(_) if self.machine.is_in_use(key) => Err(Refusal::Busy),
            Some(_) => Ok(()),
        });
        let retrieved = self.machine.retrieve(key);
        self.held.extend(Self::came(retrieved, expected));
    }

    pub(in super::super) fn close(&mut self, session: u8) {
        let Some(session) = self.session(session) else { return };
        let forgets = decide(self.machine.state(), Event::Close) == Verdict::Forget;
        let members = self.live.values().filter(|owner| **owner == Some(session)).count();
        let mut gone = 0;
        self.machine.close(session, |_| gone += 1);
        assert_eq!(gone, if forgets { members } else { 0 }, "what an update is under way with is carried over");
        if forgets {
            self.session_gone(session);
        } else {
            self.held.retain(|held| *held != session);
            self.closed.insert(session);
        }
    }

    pub(in super::super) fn register(&mut self, session: u8, twice: bool) {
        let Some(session) = self.session(session) else { return };
        let (number, fake) = self.fake();
        let file = |other: &u64| self.live.contains_key(&Node::Number(*other)) && !self.is_an_instance(*other);
        let identity = (1..number).find(file).filter(|_| twice).unwrap_or(number);
        let expected = if identity == number { Ok(()) } else { Err(Refusal::Exists) };
        let expected = self.verdict(Event::Register).and(expected);
        let registered = self.machine.register(session, Label::File(number), identity, fake);
        if Self::came(registered, expected).is_some() {
            self.live.insert(Node::Number(number), Some(session));
        }
    }

    pub(in super::super) fn register_instance(&mut self, session: u8) {
        let Some(session) = self.session(session).filter(|session| self.can_be_instance(*session)) else { return };
        let (number, fake) = self.fake();
        let expected = match self.instances.get(&session) {
            _ if self.closed.contains(&session) => Err(Refusal::NotFound),
            Some(_) => self.verdict(Event::Register).and(Err(Refusal::Exists)),
            None => self.verdict(Event::Register),
        };
        let registered = self.machine.register_instance(session, name('i', number), 1 << 32 | session, fake);
        if Self::came(registered, expected).is_some() {
            self.live.insert(Node::Number(number), Some(session));
            self.instances.insert(session, number);
        }
    }

    /// Whether a session may speak of this file.
    fn own(&self, session: u64, number: u64) -> Result<Node, Refusal> {
        let node = Node::Number(number);
        let own = self.live.get(&node) == Some(&Some(session)) && !self.is_an_instance(number);
        if own { Ok(node) } else { Err(Refusal::NotFound) }
    }

    pub(in super::super) fn unregister(&mut self, session: u8, file: u8) {
        let (Some(session), number) = (self.session(session), self.number(file)) else { return };
        let expected = self.verdict(Event::Unregister).and(self.own(session, number).map(drop));
        let unregistered = self.machine.unregister(session, number).map(|fake| fake.map(|fake| fake.number()));
        if let Some(gone) = Self::came(unregistered, expected) {
            assert_eq!(gone, Some(number));
            self.gone(Node::Number(number));
        }
    }

    pub(in super::super) fn register_subsystem(&mut self, who: u8, needs: &[u8]) {
        let (node, needs) = (Node::Subsystem(who % SUBSYSTEMS), needs.iter().take(4).map(|need| need % SUBSYSTEMS));
        let (_, fake) = self.fake();
        let mut expected = self.verdict(Event::Register);
        if expected.is_ok() && self.live.contains_key(&node) {
            expected = Err(Refusal::Exists);
        } else if expected.is_ok() && needs.clone().any(|need| self.circle(node, Node::Subsystem(need))) {
            // What it needs is looked at one by one: that makes no circle which is not in the first of them.
            expected = Err(Refusal::Loop);
        }
        let names = needs.clone().map(|need| name('x', u64::from(need)));
        let registered = self.machine.register_subsystem(name('x', u64::from(who % SUBSYSTEMS)), names, fake);
        if Self::came(registered, expected).is_some() {
            self.live.insert(node, None);
            self.needs.extend(needs.map(|need| (node, Node::Subsystem(need))));
        }
    }

    pub(in super::super) fn unregister_subsystem(&mut self, who: u8) {
        let node = Node::Subsystem(who % SUBSYSTEMS);
        let there = if self.live.contains_key(&node) { Ok(()) } else { Err(Refusal::NotFound) };
        let expected = self.verdict(Event::Unregister).and(there);
        let unregistered = self.machine.unregister_subsystem(name('x', u64::from(who % SUBSYSTEMS)));
        if let Some(gone) = Self::came(unregistered.map(|fake| fake.is_some()), expected) {
            assert!(gone);
            self.gone(node);
        }
    }

    /// A file, or the session's instance, needs a file or a subsystem.
    pub(in super::super) fn depend(&mut self, session: u8, file: Option<u8>, on: Result<u8, u8>) {
        let Some(session) = self.session(session) else { return };
        let file = file.map(|file| self.number(file));
        let on = on.map(|on| self.number(on));
        let from = match file {
            Some(number) => self.own(session, number),
            None => self.instances.get(&session).map(|number| Node::Number(*number)).ok_or(Refusal::Invalid),
        };
        let ends = from.and_then(|from| match on {
            Ok(number) => Ok((from, self.own(session, number)?)),
            Err(subsystem) => Ok((from, Node::Subsystem(subsystem % SUBSYSTEMS))),
        });
        let expected = self.verdict(Event::Register).and(ends);
        let expected = expected.and_then(|(from, on)| if self.circle(from, on) { Err(Refusal::Loop) } else { Ok(()) });
        let result = match on {
            Ok(number) => self.machine.depend(session, file, number),
            Err(subsystem) => {
                let name = name('x', u64::from(subsystem % SUBSYSTEMS));
                self.machine.depend_on_subsystem(session, file, name)
            }
        };
        if Self::came(result, expected).is_some() {
            self.needs.extend(ends);
        }
    }

    pub(in super::super) fn fail(&mut self, participant: u8, stage: Stage) {
        let number = self.number(participant);
        Rc::clone(&self.track).borrow_mut().fails = Some((number, stage));
    }

    /// The previous kernel's instances that were asked for and not restored find their session closed.
    pub(super) fn disinherit(&mut self) {
        let inherited = std::mem::take(&mut self.inherited);
        for (session, found) in self.machine.sessions() {
            let Some(key) = found.key else { continue };
            let named = inherited.contains_key(&key) && key.face == Face::Instance;
            if named && !self.instances.contains_key(&session) {
                self.closed.insert(session);
            }
        }
    }
}
