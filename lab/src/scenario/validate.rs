//! From YAML to plan: follows every object and the state machine through the steps, and refuses what
//! could not happen or would prove nothing.

use std::collections::BTreeMap;
use std::ops::Range;

use protocol::message::{Event, Fault, Interface, ObjectId, ObjectSpec};
use protocol::pattern;

use super::Document;
use super::diagnostic::nearest;
use super::locate::Turn;
use super::plan::{Action, HEARTBEAT, Object, Plan, Step, Update};
use super::raw::{self, Names};

/// What is wrong, and the way to it in the YAML.
#[derive(Debug)]
pub(super) struct Invalid {
    pub(super) path: Vec<Turn>,
    pub(super) message: String,
    pub(super) help: Option<String>,
}

/// Most objects in one scenario.
const MAX_OBJECTS: u32 = 10_000;

/// Where an object is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Open in this generation, and known to hold what it must, or not yet compared since the update.
    Live { verified: bool },
    /// Open, and registered to be preserved.
    Preserved,
    /// Handed over, not retrieved.
    Handed,
    /// Not to be had any more.
    Lost { expected: bool },
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
    let mut walk = Walk::new(scenario);
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
        must_fail: scenario.must_fail,
        objects: walk.objects,
        steps: walk.steps,
    })
}

type Refusal = (Vec<Turn>, String, Option<String>);

fn refuse<T>(message: impl Into<String>, help: impl Into<Option<&'static str>>) -> Result<T, Refusal> {
    Err((Vec::new(), message.into(), help.into().map(str::to_owned)))
}

struct Walk<'a> {
    scenario: &'a raw::Scenario,
    groups: BTreeMap<&'a str, Range<u32>>,
    objects: Vec<Object>,
    /// By object number; the heartbeat first.
    fates: Vec<Fate>,
    state: State,
    holder_lives: bool,
    updates: usize,
    steps: Vec<Step>,
    origin: Option<usize>,
}

impl<'a> Walk<'a> {
    fn new(scenario: &'a raw::Scenario) -> Self {
        Self {
            scenario,
            groups: BTreeMap::new(),
            objects: Vec::new(),
            fates: vec![Fate::Lost { expected: true }],
            state: State::Normal,
            holder_lives: true,
            updates: 0,
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
            let meant = nearest(name, self.groups.keys().copied());
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

    fn any(&self, wanted: Fate) -> bool {
        self.fates.contains(&wanted)
    }

    fn step(&mut self, action: &'a raw::Action) -> Result<(), Refusal> {
        if !self.holder_lives && !matches!(action, raw::Action::Update(_)) {
            return refuse("the agent's session is dead here", "the next step can only be `update`");
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
            raw::Action::NoLeak(tolerance) => {
                if self.any(Fate::Preserved) {
                    return refuse(
                        "what is preserved keeps its memory",
                        "`no-leak` comes before `preserve`, or after `cancel`",
                    );
                }
                self.close_all();
                self.push(Action::NoLeak { within: tolerance.within });
                Ok(())
            }
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
            raw::Action::KillAgent => {
                self.holder_lives = false;
                self.state = State::Normal;
                self.close_all();
                self.push(Action::Inject(Fault::KillHolder));
                Ok(())
            }
        }
    }

    fn create(&mut self, create: &'a raw::Create) -> Result<(), Refusal> {
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
        if self.groups.insert(&create.name, first..first + count).is_some() {
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

    fn preserve(&mut self, names: &Names) -> Result<(), Refusal> {
        let mut ids = self.all_ids(names)?;
        if matches!(self.state, State::Prepared | State::Frozen) {
            return refuse("nothing can be registered between `prepare` and `update`", "preserve before prepare");
        }
        for &id in &ids {
            match *self.fate(id) {
                Fate::Live { .. } => *self.fate(id) = Fate::Preserved,
                Fate::Preserved => return refuse(format!("`{}` is preserved already", self.name(id)), None),
                Fate::Handed => {
                    return refuse(format!("`{}` is not open in this generation", self.name(id)), "retrieve it first");
                }
                Fate::Lost { .. } => {
                    return refuse(format!("`{}` did not live through the last update", self.name(id)), None);
                }
            }
        }
        if self.scenario.workload {
            if self.updates == 0 && self.fates[0] == (Fate::Lost { expected: true }) {
                self.imply(Action::StartWorkload);
                self.fates[0] = Fate::Live { verified: true };
            }
            if matches!(self.fates[0], Fate::Live { .. }) {
                self.fates[0] = Fate::Preserved;
                ids.push(HEARTBEAT);
            }
        }
        self.push(Action::Preserve(ids));
        Ok(())
    }

    fn prepare(&mut self) -> Result<(), Refusal> {
        match self.state {
            State::Normal if self.any(Fate::Preserved) => {}
            State::Normal => return refuse("there is nothing to prepare", "a `preserve` step must come before"),
            State::Updated => return refuse("the last update is not finished", "`finish` before the next `prepare`"),
            State::Prepared | State::Frozen => return refuse("it is prepared already", None),
        }
        self.state = State::Prepared;
        self.push(Action::Signal(Event::Prepare));
        Ok(())
    }

    fn freeze(&mut self) -> Result<(), Refusal> {
        if self.state != State::Prepared {
            return refuse("only what is prepared can be frozen", "`prepare` comes before `freeze`");
        }
        self.state = State::Frozen;
        self.push(Action::Signal(Event::Freeze));
        Ok(())
    }

    fn cancel(&mut self) -> Result<(), Refusal> {
        if !self.any(Fate::Preserved) || self.state == State::Updated {
            return refuse("there is nothing to cancel", "a `preserve` step must come before");
        }
        if self.state == State::Normal {
            self.imply(Action::Signal(Event::Prepare));
        }
        self.state = State::Normal;
        self.fates
            .iter_mut()
            .filter(|fate| **fate == Fate::Preserved)
            .for_each(|fate| *fate = Fate::Live { verified: true });
        self.push(Action::Signal(Event::Cancel));
        Ok(())
    }

    fn update(&mut self, options: &raw::UpdateOptions) -> Result<(), Refusal> {
        self.all_verified()?;
        let hands_over = self.any(Fate::Preserved);
        match self.state {
            State::Updated if hands_over => {
                return refuse("the last update is not finished", "`finish` before what is preserved can go on");
            }
            State::Normal if hands_over => {
                self.imply(Action::Signal(Event::Prepare));
                self.imply(Action::Signal(Event::Freeze));
            }
            State::Prepared => self.imply(Action::Signal(Event::Freeze)),
            State::Normal | State::Frozen | State::Updated => {}
        }
        for fate in &mut self.fates {
            *fate = match *fate {
                Fate::Preserved => Fate::Handed,
                Fate::Live { .. } | Fate::Handed => Fate::Lost { expected: false },
                lost @ Fate::Lost { .. } => lost,
            };
        }
        self.state = if hands_over { State::Updated } else { State::Normal };
        self.holder_lives = true;
        self.updates += 1;
        self.push(Action::Update(Update {
            kernel: options.kernel.clone(),
            skip_kexec: options.skip_kexec,
            hands_over,
        }));
        // Before anything else: each millisecond until the first tick is blackout.
        if self.fates[0] == Fate::Handed {
            self.fates[0] = Fate::Live { verified: true };
            self.imply(Action::ResumeWorkload);
        }
        Ok(())
    }

    fn retrieve(&mut self, names: &Names) -> Result<(), Refusal> {
        let ids = self.all_ids(names)?;
        for &id in &ids {
            let name = self.name(id).to_owned();
            match *self.fate(id) {
                Fate::Handed => *self.fate(id) = Fate::Live { verified: false },
                Fate::Preserved => {
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
                Fate::Lost { .. } => {
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

    fn verify(&mut self, names: &Names) -> Result<(), Refusal> {
        let ids = self.all_ids(names)?;
        for &id in &ids {
            let name = self.name(id).to_owned();
            match self.fate(id) {
                Fate::Live { verified } => *verified = true,
                Fate::Preserved => {}
                Fate::Handed => return refuse(format!("`{name}` is not open in this generation"), "retrieve it first"),
                Fate::Lost { .. } => {
                    return refuse(
                        format!("`{name}` was never preserved"),
                        "preserve it before the update, or require that it is `absent`",
                    );
                }
            }
        }
        self.push(Action::Verify(ids));
        Ok(())
    }

    fn absent(&mut self, names: &Names) -> Result<(), Refusal> {
        let ids = self.all_ids(names)?;
        for &id in &ids {
            let name = self.name(id).to_owned();
            match &mut self.fates[id.0 as usize] {
                Fate::Lost { expected } if self.updates > 0 => *expected = true,
                _ => return refuse(format!("`{name}` is not lost here"), "`absent` is for what no update handed over"),
            }
        }
        self.push(Action::ExpectAbsent(ids));
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Refusal> {
        if self.state != State::Updated {
            return refuse(
                "there is no update to finish",
                "`finish` comes after an `update` that handed something over",
            );
        }
        self.state = State::Normal;
        self.fates
            .iter_mut()
            .filter(|fate| **fate == Fate::Handed)
            .for_each(|fate| *fate = Fate::Lost { expected: false });
        self.push(Action::Signal(Event::Finish));
        Ok(())
    }

    fn close_all(&mut self) {
        self.fates.iter_mut().for_each(|fate| {
            *fate = match *fate {
                Fate::Live { .. } | Fate::Preserved => Fate::Lost { expected: false },
                other => other,
            }
        });
        self.fates[0] = Fate::Lost { expected: true };
    }

    fn live_page(&self, name: &str, pages: &[u64], verb: &'static str) -> Result<ObjectId, Refusal> {
        let ids = self.ids(name)?;
        let id = ObjectId(ids.start);
        if ids.len() != 1 {
            return refuse(format!("`{name}` is {} objects, a fault needs one", ids.len()), None);
        }
        if !matches!(self.fates[id.0 as usize], Fate::Live { .. } | Fate::Preserved) {
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

    /// Nothing that was retrieved may pass uncompared.
    fn all_verified(&self) -> Result<(), Refusal> {
        match self.fates.iter().position(|fate| *fate == Fate::Live { verified: false }) {
            Some(id) => refuse(
                format!(
                    "`{}` is retrieved and never verified: the run would prove nothing",
                    self.name(ObjectId(id as u32))
                ),
                "add a `verify` step",
            ),
            None => Ok(()),
        }
    }

    fn end(&self) -> Result<(), Refusal> {
        if self.updates == 0 {
            return refuse("there is no `update`: the run would prove nothing", None);
        }
        self.all_verified()?;
        match self.fates.iter().position(|fate| matches!(fate, Fate::Handed)) {
            Some(id) => refuse(
                format!(
                    "`{}` is preserved and never looked at again: the run would prove nothing",
                    self.name(ObjectId(id as u32))
                ),
                "retrieve and verify it, or `finish` and require that it is `absent`",
            ),
            None => Ok(()),
        }
    }
}
