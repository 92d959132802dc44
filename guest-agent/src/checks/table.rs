//! Every call in every state, against the table that the module's core documents.

use kmod_core::state::{Event, Refusal, State as CoreState, Verdict, decide};
use liveupdate_client::{Control, Drive as _, Error, Need, PageSize, Preserve as _, PreserveFlags, State, Token};
use protocol::check::Notes;
use rustix::{fd::OwnedFd, io::Errno};

use super::{
    carried::known,
    context::{Context, Finding, refused, works},
    seat::{called, in_state, retrieved, session},
};

/// A seat with something registered, and what the previous kernel left it.
struct Bench {
    seat: Control,
    named: Control,
    file: OwnedFd,
    tokens: [Token; 2],
    _files: [OwnedFd; 2],
    inherited: Option<Token>,
}

impl Bench {
    fn new(context: &Context, name: &str, inherited: Option<Token>) -> Result<Self, Finding> {
        let seat = context.seat(name)?;
        let named = session(&seat, "table")?;
        let make = || seat.create_memory(4096, PageSize::Any);
        let files = [make()?, make()?];
        let register = |file| seat.preserve(file, PreserveFlags::NONE);
        let tokens = [register(&files[0])?, register(&files[1])?];
        Ok(Self { file: make()?, seat, named, tokens, _files: files, inherited })
    }

    /// The calls that belong to an event of the table, each undone where it worked.
    fn calls(&self, event: Event) -> Vec<(&'static str, Result<(), Error>)> {
        let (seat, [one, other]) = (&self.seat, self.tokens);
        let undone = |token: Token| seat.unpreserve(token);
        match event {
            Event::Register => vec![
                ("FD_PRESERVE", seat.preserve(&self.file, PreserveFlags::NONE).and_then(undone)),
                ("SESSION_CREATE", session(seat, "new").map(drop)),
                ("DEPEND", seat.depend(one, Need::File(other))),
                (
                    "DEPEND on a subsystem",
                    seat.depend(other, Need::Subsystem(called("nowhere"))).and_then(|()| {
                        // PREPARE would miss it.
                        seat.unpreserve(other)
                    }),
                ),
            ],
            Event::Unregister => vec![("FD_UNPRESERVE", seat.unpreserve(one))],
            Event::Restore => {
                let token = self.inherited.unwrap_or(one);
                vec![
                    ("FD_INFO", seat.info(token).map(drop)),
                    ("FD_RESTORE", seat.restore(token).map(drop)),
                    ("SESSION_RETRIEVE", retrieved(seat, "left").map(drop)),
                ]
            }
            Event::Prepare => vec![("PREPARE", seat.prepare())],
            Event::Freeze => vec![("FREEZE", seat.freeze())],
            Event::Cancel => vec![("CANCEL", seat.cancel())],
            Event::Finish => vec![("FINISH", seat.finish())],
            Event::Close | Event::Restart | Event::Unload | Event::Handover => Vec::new(),
        }
    }

    /// Calls that are possible in every state, of both seats.
    fn always(&self) -> Result<(), Finding> {
        for seat in [&self.seat, &self.named] {
            seat.state()?;
            drop(seat.reason());
            seat.create_memory(4096, PageSize::Any)?;
        }
        self.seat.status()?;
        Ok(())
    }

    /// Makes the calls of an event and compares. True if the machine has moved.
    fn compare(&self, state: State, event: Event) -> Result<bool, Finding> {
        let verdict = decide(core(state), event);
        for (name, came) in self.calls(event) {
            let what = format!("{name} in {state}");
            let came = came.map_err(|error| error.errno());
            match verdict {
                Verdict::Refuse(refusal) => refused(&what, errno(refusal), came)?,
                Verdict::Stay | Verdict::Forget | Verdict::Move(_) => works(&what, came)?,
            }
            let next = match verdict {
                Verdict::Move(next) => next,
                _ => core(state),
            };
            let now = self.seat.state()?;
            if core(now) != next {
                return Err(Finding::new(format!("{what} to lead to {next:?}"), now.word()));
            }
        }
        Ok(matches!(verdict, Verdict::Move(_)))
    }
}

const EVENTS: [Event; 7] =
    [Event::Register, Event::Unregister, Event::Restore, Event::Prepare, Event::Freeze, Event::Cancel, Event::Finish];

fn core(state: State) -> CoreState {
    match state {
        State::Normal => CoreState::Normal,
        State::Prepared => CoreState::Prepared,
        State::Frozen => CoreState::Frozen,
        State::Updated => CoreState::Updated,
    }
}

/// As RFC v2 words them.
pub(super) fn errno(refusal: Refusal) -> Errno {
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

/// NORMAL, PREPARED and FROZEN, each entered anew for each event.
pub(super) fn three_states(context: &mut Context) -> Result<(), Finding> {
    for state in [State::Normal, State::Prepared, State::Frozen] {
        for event in EVENTS {
            let bench = Bench::new(context, "table", None)?;
            in_state(&bench.seat, State::Normal)?;
            if state != State::Normal {
                bench.seat.prepare()?;
            }
            if state == State::Frozen {
                bench.seat.freeze()?;
            }
            bench.always()?;
            bench.compare(state, event)?;
            if bench.seat.state()? != State::Normal {
                bench.seat.cancel()?;
            }
        }
    }
    Ok(())
}

/// Something for UPDATED to be about.
pub(super) fn leave(context: &mut Context) -> Result<Notes, Finding> {
    let seat = context.seat("left")?;
    let named = session(&seat, "left")?;
    let file = seat.create_memory(4096, PageSize::Any)?;
    let token = seat.preserve(&file, PreserveFlags::NONE)?;
    seat.prepare()?;
    seat.freeze()?;
    context.stay_with((seat, named, file));
    Ok(Notes::of(&token.get())?)
}

/// UPDATED, and NORMAL after it. FINISH comes last, as it is the way out.
pub(super) fn updated(context: &mut Context, notes: &Notes) -> Result<(), Finding> {
    let inherited = Some(known(notes.read()?)?);
    let bench = Bench::new(context, "left", inherited)?;
    in_state(&bench.seat, State::Updated)?;
    bench.always()?;
    for event in EVENTS {
        let moved = bench.compare(State::Updated, event)?;
        if moved != (event == Event::Finish) {
            return Err(Finding::new("FINISH alone to lead out of UPDATED", format!("{event:?}")));
        }
    }
    bench.compare(State::Normal, Event::Restore)?;
    bench.compare(State::Normal, Event::Finish).map(drop)
}
