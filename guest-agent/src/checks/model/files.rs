//! What must come of operations on files and instances.

use std::collections::{BTreeMap, BTreeSet};

use kmod_core::state::{Event, State};
use rustix::io::Errno;

use super::{
    Seen,
    books::{Id, Instance, Kind, Known, Object},
    operation::{Op, Origin},
    oracle::{Expected, Oracle, nothing},
};

impl Oracle {
    pub(super) fn file_operation(&mut self, op: Op) -> Expected {
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

    pub(super) fn mount(&mut self, slot: u8, name: u8, origin: Origin) -> Result<(), Errno> {
        if self.books.instances.values().any(|instance| instance.name == name) {
            return Err(Errno::BUSY);
        }
        if origin == Origin::Retrieved {
            return Err(Errno::NOENT);
        }
        self.verdict(Event::Register)?;
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

    pub(super) fn create(&mut self, slot: u8, name: u8, file: u8) -> Option<Result<(), Errno>> {
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

    pub(super) fn open(&mut self, slot: u8, name: u8, file: u8) -> Option<Result<(), Errno>> {
        let Some(&object) = self.files(slot)?.1.get(&name) else { return Some(Err(Errno::NOENT)) };
        self.books.reopen(file, object);
        Some(Ok(()))
    }

    pub(super) fn unlink(&mut self, slot: u8, name: u8) -> Option<Result<(), Errno>> {
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

    pub(super) fn rename(&mut self, slot: u8, from: u8, to: u8) -> Option<Result<(), Errno>> {
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
