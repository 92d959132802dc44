//! Steps that move the machine from state to state, and what that does to every object.

use protocol::message::{Event, Fault};

use super::{Fate, Refusal, State, Walk, refuse};
use crate::result::HopOutcome;
use crate::scenario::locate::Turn;
use crate::scenario::plan::{Action, Update};
use crate::scenario::raw;
use crate::scenario::size::Size;

impl Walk<'_> {
    pub(super) fn prepare(&mut self) -> Result<(), Refusal> {
        match self.state {
            State::Normal if self.driven() => {
                return refuse("a check that was left moves the state machine itself", None);
            }
            State::Normal if self.anything_handed_over() => {}
            State::Normal => {
                return refuse("there is nothing to prepare", "a `preserve` or a `leave` step must come before");
            }
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
        if !self.anything_preserved() || self.state == State::Updated {
            return refuse("there is nothing to cancel", "a `preserve` step must come before");
        }
        if self.state == State::Normal {
            self.imply(Action::Signal(Event::Prepare));
        }
        self.state = State::Normal;
        for fate in &mut self.fates {
            if let Fate::Preserved { verified } = *fate {
                *fate = Fate::Live { verified };
            }
        }
        self.push(Action::Signal(Event::Cancel));
        Ok(())
    }

    pub(super) fn update(&mut self, options: &raw::UpdateOptions) -> Result<(), Refusal> {
        self.all_verified()?;
        self.all_accounted_for()?;
        let (hands_over, driven) = (self.anything_handed_over(), self.driven());
        self.expect(options, hands_over || driven)?;
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
                Fate::Preserved { .. } => Fate::Handed,
                Fate::Handed | Fate::GivenUp => Fate::GivenUp,
                Fate::Live { .. } | Fate::Lost => Fate::Lost,
            };
        }
        self.state = if hands_over { State::Updated } else { State::Normal };
        self.holder_lives = true;
        self.updates += 1;
        self.looked = false;
        self.other_kernel |= options.kernel.is_some();
        self.push(Action::Update(Update {
            kernel: options.kernel.clone(),
            skip_kexec: options.skip_kexec,
            kernel_parameters: options.kernel_parameters.clone(),
            expect: options.expect,
            hands_over: hands_over || driven,
        }));
        // Before anything else: each millisecond until the first tick is blackout.
        if self.fates[0] == Fate::Handed {
            self.fates[0] = Fate::Live { verified: true };
            self.imply(Action::ResumeWorkload);
        }
        Ok(())
    }

    /// What is to be lost has to be there, and nothing can follow on its loss.
    fn expect(&mut self, options: &raw::UpdateOptions, hands_over: bool) -> Result<(), Refusal> {
        if self.expects_loss {
            return refuse(
                "what the update before was to lose cannot be handed over again",
                "an `expect` other than `preserved` stands at the last `update`",
            );
        }
        let Some(expect) = options.expect.filter(|&expect| expect != HopOutcome::Preserved) else { return Ok(()) };
        let at = vec![Turn::Key("update"), Turn::Key("expect")];
        if !hands_over {
            let message = format!("nothing is handed over here that could be {expect}");
            return Err((at, message, Some("a `preserve` or a `leave` step must come before".to_owned())));
        }
        if self.scenario.must_fail.is_some() {
            return Err((at, "a scenario with `must-fail` expects nothing else".to_owned(), None));
        }
        self.expects_loss = true;
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
        self.fates.iter_mut().filter(|fate| **fate == Fate::Handed).for_each(|fate| *fate = Fate::GivenUp);
        self.push(Action::Signal(Event::Finish));
        Ok(())
    }

    pub(super) fn no_leak(&mut self, within: Size) -> Result<(), Refusal> {
        if self.anything_handed_over() || self.driven() {
            return refuse(
                "what is preserved keeps its memory",
                "`no-leak` comes before `preserve`, or after `cancel`",
            );
        }
        if self.other_kernel {
            return refuse("the free memory of two kernels cannot be compared", None);
        }
        self.all_verified()?;
        if self.state == State::Updated {
            return refuse("what was handed over keeps its memory until it is finished with", "`finish` comes before");
        }
        self.fates.fill(Fate::Lost);
        self.looked = true;
        self.push(Action::NoLeak { within });
        Ok(())
    }

    pub(super) fn kill_agent(&mut self) -> Result<(), Refusal> {
        if matches!(self.state, State::Prepared | State::Frozen) {
            return refuse(
                "between `prepare` and `update` the interfaces differ in what becomes of a killed agent's objects",
                "kill it before `prepare`",
            );
        }
        self.all_verified()?;
        self.holder_lives = false;
        self.state = State::Normal;
        for fate in &mut self.fates {
            if matches!(fate, Fate::Live { .. } | Fate::Preserved { .. }) {
                *fate = Fate::Lost;
            }
        }
        self.push(Action::Inject(Fault::KillHolder));
        Ok(())
    }
}
