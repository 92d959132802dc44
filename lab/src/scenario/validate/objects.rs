//! Steps that make, hand over and look at objects.

use protocol::message::{ObjectId, ObjectSpec};
use protocol::pattern;

use super::{Fate, Refusal, State, Walk, refuse};
use crate::scenario::locate::Turn;
use crate::scenario::plan::{Action, HEARTBEAT, Object};
use crate::scenario::raw::{self, Names};

/// Most objects in one scenario.
const MAX_OBJECTS: u32 = 10_000;

impl Walk<'_> {
    pub(super) fn create(&mut self, create: &raw::Create) -> Result<(), Refusal> {
        let at = |key| vec![Turn::Key("create"), Turn::Key(key)];
        if create.name.is_empty() || create.name.contains(|c: char| c.is_control() || c.is_whitespace()) {
            return Err((at("name"), "a name is one word".to_owned(), None));
        }
        let first = self.fates.len() as u32;
        let count = create.count.get();
        if count > MAX_OBJECTS || first + count > MAX_OBJECTS + 1 {
            return Err((at("count"), format!("a scenario has at most {MAX_OBJECTS} objects"), None));
        }
        let room = self.scenario.machine.memory.0 / 2;
        let before = self.objects.iter().map(|object| object.spec.bytes).sum::<u64>();
        let total = create.size.0.checked_mul(u64::from(count)).and_then(|bytes| bytes.checked_add(before));
        if total.is_none_or(|total| total > room) {
            let memory = self.scenario.machine.memory;
            return Err((
                at("size"),
                format!("the objects fill more than half of the guest's memory ({memory})"),
                Some("give the guest more: `machine: {memory: 4 GiB}`".to_owned()),
            ));
        }
        if self.groups.insert(create.name.clone(), first..first + count).is_some() {
            return Err((at("name"), format!("there is an object `{}` already", create.name), None));
        }
        for id in first..first + count {
            let name = if count == 1 { create.name.clone() } else { format!("{}[{}]", create.name, id - first) };
            let seed = u64::from(self.scenario.seed) << 32 | u64::from(id);
            self.objects.push(Object { name, spec: ObjectSpec { id: ObjectId(id), bytes: create.size.0, seed } });
            self.fates.push(Fate::Live { verified: true });
        }
        self.push(Action::Create((first..first + count).map(ObjectId).collect()));
        Ok(())
    }

    pub(super) fn preserve(&mut self, names: &Names) -> Result<(), Refusal> {
        let mut ids = self.all_ids(names)?;
        if matches!(self.state, State::Prepared | State::Frozen) {
            return refuse("nothing can be registered between `prepare` and `update`", "preserve before prepare");
        }
        if self.driven() {
            return refuse("a check that was left moves the state machine itself", "preserve after the next update");
        }
        for &id in &ids {
            match *self.fate(id) {
                Fate::Live { verified } => *self.fate(id) = Fate::Preserved { verified },
                Fate::Preserved { .. } => return refuse(format!("`{}` is preserved already", self.name(id)), None),
                Fate::Handed => {
                    return refuse(format!("`{}` is not open in this generation", self.name(id)), "retrieve it first");
                }
                Fate::GivenUp | Fate::Lost => {
                    return refuse(format!("`{}` did not live through the last update", self.name(id)), None);
                }
            }
        }
        if self.scenario.workload {
            if self.fates[0] == Fate::Lost {
                self.imply(Action::StartWorkload);
                self.fates[0] = Fate::Live { verified: true };
            }
            if let Fate::Live { verified } = self.fates[0] {
                self.fates[0] = Fate::Preserved { verified };
                ids.push(HEARTBEAT);
            }
        }
        self.push(Action::Preserve(ids));
        Ok(())
    }

    pub(super) fn retrieve(&mut self, names: &Names) -> Result<(), Refusal> {
        let ids = self.all_ids(names)?;
        for &id in &ids {
            let name = self.name(id).to_owned();
            match *self.fate(id) {
                Fate::Handed => *self.fate(id) = Fate::Live { verified: false },
                Fate::Preserved { .. } => {
                    return refuse(
                        format!("`{name}` cannot be retrieved before an update"),
                        "an `update` step must come between `preserve` and `retrieve`",
                    );
                }
                Fate::Live { .. } => {
                    return refuse(
                        format!("`{name}` is open already"),
                        "only what an update handed over can be retrieved",
                    );
                }
                Fate::GivenUp | Fate::Lost => {
                    return refuse(
                        format!("`{name}` was not preserved over the last update"),
                        "preserve it, or require that it is `absent`",
                    );
                }
            }
        }
        self.push(Action::Retrieve(ids));
        Ok(())
    }

    pub(super) fn verify(&mut self, names: &Names) -> Result<(), Refusal> {
        let ids = self.all_ids(names)?;
        for &id in &ids {
            let name = self.name(id).to_owned();
            match self.fate(id) {
                Fate::Live { verified } => *verified = true,
                Fate::Preserved { verified } => *verified = true,
                Fate::Handed => return refuse(format!("`{name}` is not open in this generation"), "retrieve it first"),
                Fate::GivenUp | Fate::Lost => {
                    return refuse(
                        format!("`{name}` was never preserved"),
                        "preserve it before the update, or require that it is `absent`",
                    );
                }
            }
        }
        self.looked = true;
        self.push(Action::Verify(ids));
        Ok(())
    }

    pub(super) fn absent(&mut self, names: &Names) -> Result<(), Refusal> {
        let ids = self.all_ids(names)?;
        for &id in &ids {
            let name = self.name(id).to_owned();
            match self.fates[id.0 as usize] {
                Fate::Lost if self.updates > 0 => {}
                Fate::GivenUp => {
                    return refuse(
                        format!("`{name}` is finished with, and no interface answers for it any more"),
                        "that its memory came back is shown by `no-leak`",
                    );
                }
                _ => return refuse(format!("`{name}` is not lost here"), "`absent` is for what no update handed over"),
            }
        }
        self.looked = true;
        self.push(Action::ExpectAbsent(ids));
        Ok(())
    }

    pub(super) fn live_page(&self, name: &str, pages: &[u64], verb: &'static str) -> Result<ObjectId, Refusal> {
        let ids = self.ids(name)?;
        let id = ObjectId(ids.start);
        if ids.len() != 1 {
            return refuse(format!("`{name}` is {} objects, a fault needs one", ids.len()), None);
        }
        if !matches!(self.fates[id.0 as usize], Fate::Live { .. } | Fate::Preserved { .. }) {
            return refuse(format!("`{name}` is not open here"), None);
        }
        let whole = self.objects[id.0 as usize - 1].spec.bytes / pattern::PAGE as u64;
        if let Some(page) = pages.iter().find(|&&page| page >= whole) {
            return Err((
                vec![Turn::Key(verb)],
                format!("`{name}` has {whole} whole pages, there is no page {page}"),
                None,
            ));
        }
        Ok(id)
    }
}
