//! What must come of each operation: the documented table, and the books.

use std::collections::{BTreeMap, BTreeSet};

use kmod_core::state::{Event, Refusal, State, Verdict, decide};
use rustix::io::Errno;

use super::{
    Seen,
    books::{Books, Id, Instance, Kind, Known, Need, Object, Registration},
    operation::{On, Op, Origin, Through},
};

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

    fn prepared(&self) -> bool {
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

    fn file_operation(&mut self, op: Op) -> Expected {
        let done = Some(Ok(Seen::Nothing));
        match op {
            Op::MakeMemory { by, file, pages } => {
                self.books.session(by)?;
                self.books.put(file, Kind::Memory, vec![Some(0); pages.into()]);
                done
            }
            Op::MakeMemfd { file, pages } => {
                self.books.put(file, Kind::Memfd, vec![None; pages.into()]);
                done
            }
            Op::MakeEventfd { file } => {
                self.books.put(file, Kind::Eventfd, Vec::new());
                done
            }
            Op::MakePipe { file } => {
                self.books.put(file, Kind::Pipe, Vec::new());
                done
            }
            Op::Alias { file, into } => {
                let open = self.books.file(file)?;
                match self.books.objects.get(&open.object)?.kind {
                    Kind::Eventfd | Kind::Pipe => self.books.file_at[usize::from(into)] = Some(open),
                    _ => self.books.reopen(into, open.object),
                }
                done
            }
            Op::CloseFile { file } => {
                self.books.file_at[usize::from(file)].take()?;
                done
            }
            Op::Write { file, page, byte } => Some(self.write(file, page.into(), byte)?.map(nothing)),
            Op::Resize { file, pages } => Some(self.resize(file, pages.into())?.map(nothing)),
            Op::Read { file } => self.read(file),
            _ => None,
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

    fn verdict(&self, event: Event) -> Result<(), Errno> {
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

    fn mount(&mut self, slot: u8, name: u8, origin: Origin) -> Result<(), Errno> {
        if origin == Origin::Retrieved {
            return Err(Errno::NOENT);
        }
        self.verdict(Event::Register)?;
        if self.books.instances.values().any(|instance| instance.name == name) {
            return Err(Errno::BUSY);
        }
        let (id, session) = (self.books.number(), self.books.number());
        self.books.sessions.insert(session, Known::Instance(id));
        let new = Instance { name, session, files: BTreeMap::new(), needs: BTreeSet::new() };
        self.books.instances.insert(id, new);
        self.books.mount_at[usize::from(slot)] = Some(id);
        Ok(())
    }

    fn files(&mut self, slot: u8) -> Option<(Id, &mut BTreeMap<u8, Id>)> {
        let id = self.books.mount(slot)?;
        Some((id, &mut self.books.instances.get_mut(&id)?.files))
    }

    /// The directory is fixed with the layout.
    fn directory(&self) -> Result<(), Errno> {
        if self.prepared() { Err(Errno::BUSY) } else { Ok(()) }
    }

    fn create(&mut self, slot: u8, name: u8, file: u8) -> Option<Result<(), Errno>> {
        let directory = self.directory();
        let (id, files) = self.files(slot)?;
        if files.contains_key(&name) {
            return Some(Err(Errno::EXIST));
        }
        if directory.is_ok() {
            let object = self.books.put(file, Kind::Data(id), Vec::new());
            self.files(slot)?.1.insert(name, object);
        }
        Some(directory)
    }

    fn open(&mut self, slot: u8, name: u8, file: u8) -> Option<Result<(), Errno>> {
        let Some(&object) = self.files(slot)?.1.get(&name) else { return Some(Err(Errno::NOENT)) };
        self.books.reopen(file, object);
        Some(Ok(()))
    }

    fn unlink(&mut self, slot: u8, name: u8) -> Option<Result<(), Errno>> {
        let directory = self.directory();
        let (_, files) = self.files(slot)?;
        if !files.contains_key(&name) {
            return Some(Err(Errno::NOENT));
        }
        if directory.is_ok() {
            files.remove(&name);
        }
        Some(directory)
    }

    fn rename(&mut self, slot: u8, from: u8, to: u8) -> Option<Result<(), Errno>> {
        let directory = self.directory();
        let (_, files) = self.files(slot)?;
        let Some(&object) = files.get(&from) else { return Some(Err(Errno::NOENT)) };
        // The VFS has nothing to ask for then.
        if from == to {
            return Some(Ok(()));
        }
        if directory.is_ok() {
            files.remove(&from);
            files.insert(to, object);
        }
        Some(directory)
    }

    /// The object in this place, and whether an update has fixed it.
    fn object(&mut self, file: u8) -> Option<(&mut Object, bool)> {
        let id = self.books.file(file)?.object;
        let fixed = self.prepared() && self.books.takes_part(id);
        Some((self.books.objects.get_mut(&id)?, fixed))
    }

    fn write(&mut self, file: u8, page: usize, byte: u8) -> Option<Result<(), Errno>> {
        let frozen = self.state == State::Frozen;
        let (object, fixed) = self.object(file)?;
        let (beyond, hole) = (page >= object.pages.len(), object.pages.get(page) == Some(&None));
        match object.kind {
            Kind::Pipe => return None,
            Kind::Eventfd => {
                object.count += 1;
                return Some(Ok(()));
            }
            Kind::Memfd if fixed && beyond => return Some(Err(Errno::PERM)),
            Kind::Memory | Kind::Data(_) if fixed && (frozen || beyond || hole) => return Some(Err(Errno::BUSY)),
            _ => {}
        }
        if beyond {
            object.pages.resize(page + 1, None);
        }
        object.pages[page] = Some(byte);
        Some(Ok(()))
    }

    fn resize(&mut self, file: u8, pages: usize) -> Option<Result<(), Errno>> {
        let (object, fixed) = self.object(file)?;
        match object.kind {
            Kind::Pipe | Kind::Eventfd => return None,
            Kind::Memfd if fixed && pages != object.pages.len() => return Some(Err(Errno::PERM)),
            Kind::Memory | Kind::Data(_) if fixed => return Some(Err(Errno::BUSY)),
            _ => {}
        }
        object.pages.resize(pages, None);
        Some(Ok(()))
    }

    fn read(&mut self, file: u8) -> Expected {
        let (object, _) = self.object(file)?;
        match object.kind {
            Kind::Pipe => None,
            Kind::Eventfd if object.count == 0 => Some(Err(Errno::AGAIN)),
            Kind::Eventfd => Some(Ok(Seen::Count(std::mem::take(&mut object.count)))),
            _ => Some(Ok(Seen::Pages(object.pages.iter().map(|page| page.unwrap_or(0)).collect()))),
        }
    }
}

/// Only what can drive the machine may.
fn driver(known: Known) -> Result<(), Errno> {
    if matches!(known, Known::Named(_)) { Err(Errno::PERM) } else { Ok(()) }
}

fn nothing(_: ()) -> Seen {
    Seen::Nothing
}

fn errno(refusal: Refusal) -> Errno {
    match refusal {
        Refusal::Busy => Errno::BUSY,
        Refusal::Exists => Errno::EXIST,
        Refusal::Invalid => Errno::INVAL,
        Refusal::NotFound => Errno::NOENT,
        Refusal::Loop => Errno::LOOP,
        Refusal::NoMemory => Errno::NOMEM,
        Refusal::Denied => Errno::ACCESS,
    }
}
