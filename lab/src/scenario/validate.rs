//! From YAML to plan: follows every object and the state machine through the steps, and refuses what
//! could not happen or would prove nothing.

mod chain;
mod checks;
mod objects;
mod states;

use std::collections::BTreeMap;
use std::ops::Range;

use protocol::message::{Fault, Interface, ObjectId};

use super::Document;
use super::diagnostic::nearest;
use super::locate::Turn;
use super::plan::{Action, Object, Plan, Step};
use super::raw::{self, Names};
use crate::result::Claim;

/// What is wrong, and the way to it in the YAML.
#[derive(Debug)]
pub(super) struct Invalid {
    pub(super) path: Vec<Turn>,
    pub(super) message: String,
    pub(super) help: Option<String>,
}

/// Where an object is in its life. `verified`: compared since it was last retrieved, or never handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Open in this generation.
    Live { verified: bool },
    /// Open, and registered to be preserved.
    Preserved { verified: bool },
    /// Handed over, not retrieved.
    Handed,
    /// Handed over and never retrieved: that its memory came back has yet to be shown.
    GivenUp,
    /// Not to be had any more.
    Lost,
}

/// The machine's state, as RFC v2 names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Normal,
    Prepared,
    Frozen,
    Updated,
}

pub(super) fn plan(document: &Document, interface: Interface) -> Result<Plan, Invalid> {
    let scenario = &document.scenario;
    if scenario.interfaces.is_empty() {
        return Err(Invalid {
            path: vec![Turn::Key("interfaces")],
            message: "a scenario needs an interface to run through".to_owned(),
            help: Some("write `interfaces: [luo, module]`, or leave the key out".to_owned()),
        });
    }
    let top = |(path, message, help): Refusal| Invalid { path, message, help };
    checks::tags(&scenario.tags).map_err(top)?;
    let mut walk = Walk::new(scenario, interface);
    walk.proves().map_err(top)?;
    for (index, step) in scenario.steps.iter().enumerate() {
        walk.origin = Some(index);
        walk.step(&step.0).map_err(|(turns, message, help)| {
            let mut path = vec![Turn::Key("steps"), Turn::Item(index)];
            path.extend(turns);
            Invalid { path, message, help }
        })?;
    }
    walk.end().map_err(|(_, message, help)| Invalid { path: vec![Turn::Key("steps")], message, help })?;
    Ok(Plan {
        scenario: document.name.clone(),
        about: scenario.about.clone(),
        interface,
        cpus: scenario.machine.cpus.get(),
        memory: scenario.machine.memory,
        kernel_parameters: scenario.machine.kernel_parameters.clone(),
        must_fail: scenario.must_fail,
        objects: walk.objects,
        steps: walk.steps,
        tags: scenario.tags.0.clone(),
        claims: walk.claims,
    })
}

type Refusal = (Vec<Turn>, String, Option<String>);

fn refuse<T>(message: impl Into<String>, help: impl Into<Option<&'static str>>) -> Result<T, Refusal> {
    Err((Vec::new(), message.into(), help.into().map(str::to_owned)))
}

struct Walk<'a> {
    scenario: &'a raw::Scenario,
    interface: Interface,
    groups: BTreeMap<String, Range<u32>>,
    objects: Vec<Object>,
    /// By object number; the heartbeat first.
    fates: Vec<Fate>,
    state: State,
    holder_lives: bool,
    updates: usize,
    /// Whether something was looked at since the last update.
    looked: bool,
    /// Whether another kernel than the first was updated into: its memory cannot be compared.
    other_kernel: bool,
    /// Whether the last update is one that has to lose what it was given.
    expects_loss: bool,
    left: Vec<checks::Left>,
    claims: Vec<Claim>,
    steps: Vec<Step>,
    origin: Option<usize>,
}

impl<'a> Walk<'a> {
    fn new(scenario: &'a raw::Scenario, interface: Interface) -> Self {
        Self {
            scenario,
            interface,
            groups: BTreeMap::new(),
            objects: Vec::new(),
            fates: vec![Fate::Lost],
            state: State::Normal,
            holder_lives: true,
            updates: 0,
            looked: false,
            other_kernel: false,
            expects_loss: false,
            left: Vec::new(),
            claims: Vec::new(),
            steps: Vec::new(),
            origin: None,
        }
    }

    fn push(&mut self, action: Action) {
        self.steps.push(Step { action, origin: self.origin });
    }

    fn imply(&mut self, action: Action) {
        self.steps.push(Step { action, origin: None });
    }

    fn ids(&self, name: &str) -> Result<Range<u32>, Refusal> {
        let Some(ids) = self.groups.get(name) else {
            let meant = nearest(name, self.groups.keys().map(String::as_str));
            let help = meant.map_or_else(
                || "a `create` step must come before".to_owned(),
                |meant| format!("did you mean `{meant}`?"),
            );
            return Err((Vec::new(), format!("there is no object `{name}`"), Some(help)));
        };
        Ok(ids.clone())
    }

    fn all_ids(&self, names: &Names) -> Result<Vec<ObjectId>, Refusal> {
        if names.0.is_empty() {
            return refuse("the list of objects is empty", None);
        }
        let mut all = Vec::new();
        for name in &names.0 {
            for id in self.ids(name)?.map(ObjectId) {
                if all.contains(&id) {
                    return refuse(format!("`{name}` is named twice"), None);
                }
                all.push(id);
            }
        }
        Ok(all)
    }

    fn name(&self, id: ObjectId) -> &str {
        (id.0 as usize).checked_sub(1).and_then(|at| self.objects.get(at)).map_or("heartbeat", |object| &object.name)
    }

    fn fate(&mut self, id: ObjectId) -> &mut Fate {
        &mut self.fates[id.0 as usize]
    }

    fn anything_preserved(&self) -> bool {
        self.fates.iter().any(|fate| matches!(fate, Fate::Preserved { .. }))
    }

    fn step(&mut self, action: &raw::Action) -> Result<(), Refusal> {
        if !self.holder_lives && !matches!(action, raw::Action::Update(_)) {
            return refuse("the agent's session is dead here", "the next step can only be `update`");
        }
        if self.interface == Interface::Kho && action.needs_files() {
            return refuse(
                "plain Kexec HandOver preserves no files",
                "it is asked by checks: `leave: plain-payload-crosses`, `update`, `find: plain-payload-crosses`",
            );
        }
        match action {
            raw::Action::Create(create) => self.create(create),
            raw::Action::Preserve(names) => self.preserve(names),
            raw::Action::Prepare => self.prepare(),
            raw::Action::Freeze => self.freeze(),
            raw::Action::Cancel => self.cancel(),
            raw::Action::Update(options) => self.update(options),
            raw::Action::Retrieve(names) => self.retrieve(names),
            raw::Action::Verify(names) => self.verify(names),
            raw::Action::Absent(names) => self.absent(names),
            raw::Action::Finish => self.finish(),
            raw::Action::NoLeak(tolerance) => self.no_leak(tolerance.within),
            raw::Action::Chain(chain) => self.chain(chain),
            raw::Action::Corrupt(wrong) => {
                let object = self.live_page(&wrong.object, &[wrong.page], "corrupt")?;
                self.push(Action::Inject(Fault::Corrupt { object, page: wrong.page }));
                Ok(())
            }
            raw::Action::Swap(wrong) => {
                let object = self.live_page(&wrong.object, &wrong.pages, "swap")?;
                if wrong.pages[0] == wrong.pages[1] {
                    return Err((
                        vec![Turn::Key("swap"), Turn::Key("pages")],
                        "a page cannot be swapped with itself".to_owned(),
                        None,
                    ));
                }
                self.push(Action::Inject(Fault::Swap { object, pages: wrong.pages }));
                Ok(())
            }
            raw::Action::KillAgent => self.kill_agent(),
            raw::Action::Check(step) => self.check(step),
            raw::Action::Leave(step) => self.leave(step),
            raw::Action::Find(step) => self.find(step),
        }
    }

    fn name_at(&self, index: usize) -> &str {
        self.name(ObjectId(u32::try_from(index).unwrap_or(u32::MAX)))
    }

    /// Nothing that was retrieved may pass uncompared.
    fn all_verified(&self) -> Result<(), Refusal> {
        let unverified =
            |fate: &Fate| matches!(fate, Fate::Live { verified: false } | Fate::Preserved { verified: false });
        match self.fates.iter().position(unverified) {
            Some(id) => refuse(
                format!("`{}` is retrieved and never verified: the run would prove nothing", self.name_at(id)),
                "add a `verify` step",
            ),
            None => Ok(()),
        }
    }

    /// Nothing that was given up may pass uncounted.
    fn all_accounted_for(&self) -> Result<(), Refusal> {
        match self.fates.iter().position(|fate| *fate == Fate::GivenUp) {
            Some(id) => refuse(
                format!("`{}` was handed over and never retrieved: did its memory come back?", self.name_at(id)),
                "add a `no-leak` step",
            ),
            None => Ok(()),
        }
    }

    fn end(&self) -> Result<(), Refusal> {
        // A check proves something within one kernel; an object does not.
        if self.updates == 0 && !(self.checked() && self.objects.is_empty()) {
            return refuse("there is no `update`: the run would prove nothing", None);
        }
        self.all_verified()?;
        self.all_accounted_for()?;
        self.all_found()?;
        if let Some(id) = self.fates.iter().position(|fate| matches!(fate, Fate::Handed)) {
            return refuse(
                format!("`{}` is preserved and never looked at again: the run would prove nothing", self.name_at(id)),
                "retrieve and verify it, or `finish` and require `no-leak`",
            );
        }
        if !self.looked {
            return refuse(
                "nothing is looked at after the last update: the run would prove nothing",
                "add a `verify`, an `absent`, a `no-leak`, a `check` or a `find` step",
            );
        }
        Ok(())
    }
}
