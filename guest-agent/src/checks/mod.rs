//! The named checks of [`protocol::check`], a file a subject.
//!
//! Each runs in a process of its own, in a mount namespace of its own, and is killed with all that it
//! started when it has answered or its time is up. So it may give up its privileges, unshare and crash.
//! Standard output carries its answer: what it has to say beyond that goes to standard error.

mod aside;
mod close;
mod context;
mod crossing;
mod privilege;
mod sight;
mod state;

use std::{
    collections::VecDeque,
    io::{stdin, stdout},
};

use protocol::{
    check::{Check, Notes, Order, Part, Verdict},
    frame::{Decoder, Frame},
    message::{Reply, Request, Span},
};

use crate::{frames, now};
use context::{Context, Finding};

/// What a check does, once it has been asked.
enum Body {
    /// All of it in one kernel.
    Within(fn(&mut Context) -> Result<(), Finding>),
    /// Its half before a live update and its half after it.
    Spans { leave: fn(&mut Context) -> Result<Notes, Finding>, find: fn(&mut Context, &Notes) -> Result<(), Finding> },
}

/// Each name and what it does; of the same shape as [`Check::shape`] says.
fn body(check: Check) -> Body {
    use Body::{Spans, Within};
    match check {
        Check::SaysWhatIsNotSo => Within(sight::says_what_is_not_so),
        Check::NeverEnds => Within(sight::never_ends),
        Check::DiesMidway => Within(sight::dies_midway),
        Check::DoesNotApply => Within(sight::does_not_apply),
        Check::FindsWhatWasNotLeft => Spans { leave: sight::leave, find: sight::find_other },
        Check::StateIsNormalAtStart => Within(state::is_normal_at_start),
        Check::DeviceNeedsAPrivilege => Within(state::device_needs_a_privilege),
        Check::CloseBeforePrepareForgets => Within(close::close_before_prepare_forgets),
        Check::CrashBeforePrepareForgets => Within(close::crash_before_prepare_forgets),
        Check::MemoryCrosses => Spans { leave: crossing::leave_memory, find: crossing::find_memory },
    }
}

/// Carries out the one order on standard input and answers on standard output.
pub(crate) fn run() -> ! {
    let (mut decoder, mut found) = (Decoder::default(), VecDeque::<Frame<Request>>::new());
    while found.is_empty() {
        if !matches!(frames::read_some(stdin(), &mut decoder, &mut found), Ok(1..)) {
            std::process::exit(1);
        }
    }
    let Some(Request::Check(order)) = found.pop_front().map(|frame| frame.message) else { std::process::exit(1) };
    let from = now();
    let mut context = Context::new(order.interface);
    let verdict = carry_out(&mut context, &order).unwrap_or_else(Verdict::from);
    let stays = matches!(verdict, Verdict::Left { stays: true, .. });
    let reply = Reply::Checked { verdict, span: Span { from, to: now() } };
    let _ = frames::write_all(stdout(), &frames::encode_reply(0, 1, &reply));
    // Whoever stays does so until the kexec, with all that it has open.
    while stays && matches!(frames::read_some(stdin(), &mut decoder, &mut found), Ok(1..)) {}
    drop(context);
    std::process::exit(0)
}

fn carry_out(context: &mut Context, order: &Order) -> Result<Verdict, Finding> {
    privilege::own_mounts()?;
    match (body(order.check), &order.part) {
        (Body::Within(check), Part::Within) => check(context).map(|()| Verdict::Held),
        (Body::Spans { leave, .. }, Part::Leave) => {
            leave(context).map(|notes| Verdict::Left { notes, stays: context.stays() })
        }
        (Body::Spans { find, .. }, Part::Find { notes }) => find(context, notes).map(|()| Verdict::Held),
        (_, part) => Err(Finding::new(
            format!("an order that {} can carry out", order.check),
            format!("{part:?}, and its shape is {:?}", order.check.shape()),
        )),
    }
}

#[cfg(test)]
mod tests {
    use protocol::check::Shape;

    use super::*;

    #[test]
    fn bodies_have_the_shapes_that_the_list_says() {
        for &check in Check::ALL {
            let within = matches!(body(check), Body::Within(_));
            assert_eq!(within, check.shape() == Shape::Within, "{check}");
        }
    }
}
