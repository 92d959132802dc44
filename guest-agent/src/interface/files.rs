//! Which objects are files in a kexecfs instance.
//!
//! An instance hands over every file that has a name in it. An object that is not preserved loses its name
//! before PREPARE, and lives on in its descriptor as any unlinked file does.

use std::collections::BTreeSet;

use liveupdate_client::kexecfs::Instance;
use protocol::message::{Claim, ObjectId, Token};
use rustix::{fd::OwnedFd, io::Errno};

use super::kexecfs::PLACE;
use crate::failure::{Outcome, Tell, refuse, refused};

/// The files of one instance.
pub(super) struct Files {
    instance: Instance,
    /// Objects that the holder has open, and whose files have names.
    named: BTreeSet<ObjectId>,
    /// Those of them that are to be handed over.
    preserved: BTreeSet<ObjectId>,
}

impl Files {
    pub(super) fn new(instance: Instance) -> Self {
        Self { instance, named: BTreeSet::new(), preserved: BTreeSet::new() }
    }

    /// Makes one, all its pages allocated.
    pub(super) fn create(&mut self, id: ObjectId, bytes: u64) -> Outcome<OwnedFd> {
        let made = self.instance.create_allocated(file_name(token(id)), bytes);
        let file = made.tell(format!("create object {} of {bytes} bytes in {PLACE}", id.0))?;
        self.named.insert(id);
        Ok(file)
    }

    /// It is to be handed over.
    pub(super) fn preserve(&mut self, id: ObjectId) -> Outcome<Token> {
        if !self.named.contains(&id) {
            let detail = "an earlier PREPARE has left it out, and its file has no name any more";
            return Err(refuse(format!("preserve object {} in {PLACE}", id.0), detail));
        }
        self.preserved.insert(id);
        Ok(token(id))
    }

    /// Takes their names from the files that are not to be handed over.
    pub(super) fn leave_out(&mut self) -> Outcome<()> {
        let left_out: Vec<_> = self.named.difference(&self.preserved).copied().collect();
        left_out.into_iter().try_for_each(|id| self.unname(id))
    }

    /// None is to be handed over any more.
    pub(super) fn give_up(&mut self) {
        self.preserved.clear();
    }

    /// Opens what the previous kernel handed over, if it did.
    pub(super) fn retrieve(&mut self, claim: Claim) -> Outcome<Option<OwnedFd>> {
        // What has another number cannot be its file.
        if claim.token != token(claim.id) {
            return Ok(None);
        }
        match self.instance.open(file_name(claim.token)) {
            Ok(file) => {
                self.named.insert(claim.id);
                Ok(Some(file))
            }
            Err(error) if error.errno() == Errno::NOENT => Ok(None),
            Err(error) => Err(refused(format!("open object {} in {PLACE}", claim.id.0), &error)),
        }
    }

    /// Removes what nobody has retrieved: an instance comes back with all its files.
    pub(super) fn give_back(&self) -> Outcome<()> {
        let retrieved: BTreeSet<_> = self.named.iter().map(|&id| file_name(token(id))).collect();
        for file in self.instance.files().tell(format!("list {PLACE}"))? {
            let name = file.to_string_lossy();
            if !retrieved.contains(&*name) {
                self.remove(&name)?;
            }
        }
        Ok(())
    }

    /// The holder has closed it: its memory is free if nothing else keeps it.
    pub(super) fn closed(&mut self, id: ObjectId) -> Outcome<()> {
        if self.preserved.contains(&id) || !self.named.contains(&id) {
            return Ok(());
        }
        self.unname(id)
    }

    fn unname(&mut self, id: ObjectId) -> Outcome<()> {
        self.remove(&file_name(token(id)))?;
        self.named.remove(&id);
        Ok(())
    }

    fn remove(&self, name: &str) -> Outcome<()> {
        self.instance.remove(name).tell(format!("unlink {name} in {PLACE}"))
    }
}

/// An object is found again by its number.
fn token(id: ObjectId) -> Token {
    Token(id.0.into())
}

fn file_name(token: Token) -> String {
    format!("object-{}", token.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: ObjectId = ObjectId(1);
    const TWO: ObjectId = ObjectId(2);
    const BYTES: u64 = 4096;

    /// A directory passes for an instance where only files are moved about.
    struct Bench(tempfile::TempDir);

    impl Bench {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            std::fs::write(directory.path().join("control"), "").unwrap();
            Self(directory)
        }

        fn files(&self) -> Files {
            Files::new(Instance::at(self.0.path()).unwrap())
        }

        fn names(&self) -> Vec<String> {
            let names = Instance::at(self.0.path()).unwrap().files().unwrap();
            let mut names: Vec<_> = names.into_iter().map(|name| name.into_string().unwrap()).collect();
            names.sort();
            names
        }
    }

    #[test]
    fn only_what_is_preserved_is_handed_over() {
        let bench = Bench::new();
        let mut files = bench.files();
        let (_one, two) = (files.create(ONE, BYTES).unwrap(), files.create(TWO, BYTES).unwrap());
        let token = files.preserve(ONE).unwrap();
        files.leave_out().unwrap();
        assert_eq!(bench.names(), ["object-1"]);
        assert_eq!(rustix::fs::fstat(&two).unwrap().st_size, 4096, "it lives on without a name");
        assert!(files.preserve(TWO).is_err());

        let mut next = bench.files();
        assert!(next.retrieve(Claim { id: ONE, token }).unwrap().is_some());
        assert!(next.retrieve(Claim { id: TWO, token: Token(2) }).unwrap().is_none());
        assert!(next.retrieve(Claim { id: TWO, token }).unwrap().is_none(), "another object's token");
    }

    #[test]
    fn what_was_cancelled_is_left_out_next_time() {
        let bench = Bench::new();
        let mut files = bench.files();
        let _one = files.create(ONE, BYTES).unwrap();
        files.preserve(ONE).unwrap();
        files.leave_out().unwrap();
        files.give_up();
        assert_eq!(bench.names(), ["object-1"]);
        files.leave_out().unwrap();
        assert_eq!(bench.names(), [""; 0]);
    }

    #[test]
    fn what_nobody_retrieves_is_given_back() {
        let bench = Bench::new();
        let mut files = bench.files();
        let _both = (files.create(ONE, BYTES).unwrap(), files.create(TWO, 0).unwrap());
        let mut next = bench.files();
        let _two = next.retrieve(Claim { id: TWO, token: Token(2) }).unwrap().unwrap();
        next.give_back().unwrap();
        assert_eq!(bench.names(), ["object-2"]);
        // Not to be handed over once more unless somebody says so.
        next.leave_out().unwrap();
        assert_eq!(bench.names(), [""; 0]);
    }

    #[test]
    fn what_is_closed_keeps_its_memory_only_if_preserved() {
        let bench = Bench::new();
        let mut files = bench.files();
        let both = (files.create(ONE, BYTES).unwrap(), files.create(TWO, BYTES).unwrap());
        files.preserve(ONE).unwrap();
        drop(both);
        for id in [ONE, TWO, ObjectId(3)] {
            files.closed(id).unwrap();
        }
        assert_eq!(bench.names(), ["object-1"]);
        // Its number is free for another one.
        assert!(files.create(TWO, BYTES).is_ok());
        assert!(files.create(ONE, BYTES).is_err());
    }
}
