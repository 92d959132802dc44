//! Steps that move the machine from state to state, and what that does to every object.

use protocol::message::Event;

use super::{Fate, Refusal, State, Walk, refuse};
use crate::scenario::plan::{Action, Update};
use crate::scenario::raw;

impl Walk<'_> {
    pub(super) fn prepare(&mut self) -> Result<(), Refusal> {
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

    pub(super) fn freeze(&mut self) -> Result<(), Refusal> {
        if self.state != State::Prepared {
            return refuse("only what is prepared can be frozen", "`prepare` comes before `freeze`");
        }
        self.state = State::Frozen;
        self.push(Action::Signal(Event::Freeze));
        Ok(())
    }

    pub(super) fn cancel(&mut self) -> Result<(), Refusal> {
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

    pub(super) fn update(&mut self, options: &raw::UpdateOptions) -> Result<(), Refusal> {
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

    pub(super) fn finish(&mut self) -> Result<(), Refusal> {
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

    pub(super) fn close_all(&mut self) {
        self.fates.iter_mut().for_each(|fate| {
            *fate = match *fate {
                Fate::Live { .. } | Fate::Preserved => Fate::Lost { expected: false },
                other => other,
            }
        });
        self.fates[0] = Fate::Lost { expected: true };
    }
}
