//! What must come of each operation: the documented table, and the books.

use std::collections::BTreeSet;

use kmod_core::state::{Event, State, Verdict, decide};
use rustix::io::Errno;

use super::{
    Seen,
    books::{Books, Id, Kind, Known, Need, Registration},
    operation::{On, Op, Through},
};
use crate::checks::table::errno;

/// The documented machine.
#[derive(Clone, Debug)]
pub(super) struct Oracle {
    pub(super) state: State,
    pub(super) books: Books,
}

/// `None`: a place that it names is empty, and it is left out.
pub(super) type Expected = Option<Result<Seen, Errno>>;

impl Oracle {
    pub(super) fn new() -> Self {
        Self { state: State::Normal, books: Books::default() }
    }

    /// How many take part.
    pub(super) fn participants(&self) -> u64 {
        (self.books.registrations.len() + self.books.instances.len()) as u64
    }

    pub(super) fn prepared(&self) -> bool {
        matches!(self.state, State::Prepared | State::Frozen)
    }

    /// Carries it out.
    pub(super) fn apply(&mut self, op: Op) -> Expected {
        let result = self.carry_out(op);
        if decide(self.state, Event::Close) == Verdict::Forget {
            self.books.settle();
        }
        result
    }

    fn carry_out(&mut self, op: Op) -> Expected {
        let done = Some(Ok(Seen::Nothing));
        match op {
            Op::OpenDevice { session } => {
                self.session(Known::Nameless, session);
                done
            }
            Op::OpenControl { instance, session } => {
                let id = self.books.mount(instance)?;
                self.books.session_at[usize::from(session)] = Some(self.books.instances.get(&id)?.session);
                done
            }
            Op::CreateSession { by, name, session } => Some(self.create_session(by, name, session)?.map(nothing)),
            Op::RetrieveSession { by, .. } => {
                let (_, known) = self.books.session(by)?;
                Some(driver(known).and_then(|()| self.verdict(Event::Restore)).map(nothing))
            }
            Op::Close { session } | Op::Kill { session } => {
                self.books.session(session)?;
                self.books.session_at[usize::from(session)] = None;
                done
            }
            Op::Signal { by, event } => {
                let (_, known) = self.caller(by)?;
                Some(driver(known).and_then(|()| self.signal(event)).map(nothing))
            }
            Op::Status { by } => {
                let (_, known) = self.books.session(by)?;
                Some(driver(known).map(nothing))
            }
            Op::Preserve { by, file, memfd, token } => Some(self.preserve(by, file, memfd, token)?.map(nothing)),
            Op::Unpreserve { by, token } => {
                let (session, _) = self.books.session(by)?;
                self.books.token(token)?;
                Some(self.unpreserve(session, token).map(nothing))
            }
            Op::Restore { by, token } => {
                self.books.session(by)?;
                self.books.token(token)?;
                Some(self.verdict(Event::Restore).map(nothing))
            }
            Op::Depend { by, token, on } => Some(self.depend(by, token, on)?.map(nothing)),
            Op::Mount { instance, name, origin } => Some(self.mount(instance, name, origin).map(nothing)),
            Op::Umount { instance } => {
                self.books.mount_at[usize::from(instance)].take()?;
                done
            }
            Op::Create { instance, name, file } => Some(self.create(instance, name, file)?.map(nothing)),
            Op::Open { instance, name, file } => Some(self.open(instance, name, file)?.map(nothing)),
            Op::Unlink { instance, name } => Some(self.unlink(instance, name)?.map(nothing)),
            Op::Rename { instance, from, to } => Some(self.rename(instance, from, to)?.map(nothing)),
            _ => self.file_operation(op),
        }
    }

    fn session(&mut self, known: Known, slot: u8) {
        let id = self.books.number();
        self.books.sessions.insert(id, known);
        self.books.session_at[usize::from(slot)] = Some(id);
    }

    fn caller(&self, by: Through) -> Option<(Id, Known)> {
        match by {
            Through::Session(slot) => self.books.session(slot),
            Through::Word(slot) => {
                let instance = self.books.mount(slot)?;
                Some((self.books.instances.get(&instance)?.session, Known::Instance(instance)))
            }
        }
    }

    pub(super) fn verdict(&self, event: Event) -> Result<(), Errno> {
        match decide(self.state, event) {
            Verdict::Refuse(refusal) => Err(errno(refusal)),
            _ => Ok(()),
        }
    }

    fn signal(&mut self, event: Event) -> Result<(), Errno> {
        let Verdict::Move(next) = decide(self.state, event) else { return self.verdict(event) };
        if event == Event::Prepare && self.books.something_is_missing() {
            return Err(Errno::NOENT);
        }
        if event == Event::Prepare {
            // The holes of a memfd are filled for good.
            let registered: BTreeSet<Id> = self.books.registrations.values().map(|found| found.object).collect();
            for (id, object) in &mut self.books.objects {
                if object.kind == Kind::Memfd && registered.contains(id) {
                    object.pages.iter_mut().for_each(|page| *page = Some(page.unwrap_or(0)));
                }
            }
        }
        self.state = next;
        Ok(())
    }

    fn create_session(&mut self, by: u8, name: u8, slot: u8) -> Option<Result<(), Errno>> {
        let (_, known) = self.books.session(by)?;
        let taken = self.books.sessions.values().any(|known| *known == Known::Named(name));
        let allowed = driver(known).and_then(|()| self.verdict(Event::Register));
        let result = allowed.and(if taken { Err(Errno::EXIST) } else { Ok(()) });
        if result.is_ok() {
            self.session(Known::Named(name), slot);
        }
        Some(result)
    }

    fn preserve(&mut self, by: Through, file: u8, memfd: bool, token: u8) -> Option<Result<(), Errno>> {
        let (session, _) = self.caller(by)?;
        let open = self.books.file(file)?;
        let kind = self.books.objects.get(&open.object)?.kind;
        // There is no way to say it with a word.
        let memfd = memfd && matches!(by, Through::Session(_));
        let identity = match kind {
            Kind::Eventfd => open.open,
            _ => open.object,
        };
        let fit = || match kind {
            Kind::Memory | Kind::Eventfd => Ok(()),
            Kind::Memfd if memfd => Ok(()),
            Kind::Memfd => Err(Errno::OPNOTSUPP),
            Kind::Pipe => Err(Errno::NOENT),
            Kind::Data(_) => Err(Errno::EXIST),
        };
        let taken = self.books.registrations.values().any(|found| found.identity == identity);
        let result = self.verdict(Event::Register).and_then(|()| fit());
        let result = result.and(if taken { Err(Errno::EXIST) } else { Ok(()) });
        if result.is_ok() {
            let id = self.books.number();
            let new = Registration { session, object: open.object, identity, needs: BTreeSet::new() };
            self.books.registrations.insert(id, new);
            self.books.token_at[usize::from(token)] = Some(id);
        }
        Some(result)
    }

    fn unpreserve(&mut self, session: Id, token: u8) -> Result<(), Errno> {
        self.verdict(Event::Unregister)?;
        let id = self.books.own(session, token).ok_or(Errno::NOENT)?;
        self.books.registrations.remove(&id);
        Ok(())
    }

    fn depend(&mut self, by: u8, token: Option<u8>, on: On) -> Option<Result<(), Errno>> {
        let (session, known) = self.books.session(by)?;
        for token in [token, if let On::Token(on) = on { Some(on) } else { None }].into_iter().flatten() {
            self.books.token(token)?;
        }
        Some(self.add_need(session, known, token, on))
    }

    fn add_need(&mut self, session: Id, known: Known, token: Option<u8>, on: On) -> Result<(), Errno> {
        self.verdict(Event::Register)?;
        let dependent = match (token, known) {
            (Some(token), _) => Some(self.books.own(session, token).ok_or(Errno::NOENT)?),
            (None, Known::Instance(_)) => None,
            (None, _) => return Err(Errno::INVAL),
        };
        let need = match on {
            On::Token(on) => {
                let on = self.books.own(session, on).ok_or(Errno::NOENT)?;
                if dependent.is_some_and(|dependent| self.books.reaches(on, dependent)) {
                    return Err(Errno::LOOP);
                }
                Need::Registration(on)
            }
            On::Subsystem(name) => Need::Subsystem(name),
        };
        let needs = match (dependent, known) {
            (Some(id), _) => self.books.registrations.get_mut(&id).map(|found| &mut found.needs),
            (None, Known::Instance(id)) => self.books.instances.get_mut(&id).map(|found| &mut found.needs),
            (None, _) => None,
        };
        needs.ok_or(Errno::NOENT)?.insert(need);
        Ok(())
    }
}

/// Only what can drive the machine may.
fn driver(known: Known) -> Result<(), Errno> {
    if matches!(known, Known::Named(_)) { Err(Errno::PERM) } else { Ok(()) }
}

pub(super) fn nothing(_: ()) -> Seen {
    Seen::Nothing
}
