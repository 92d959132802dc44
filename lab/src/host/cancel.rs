//! One way to stop everything: whoever waits is woken, so that nobody has to look every so often.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

type Waker = Box<dyn Fn() + Send>;

#[derive(Default)]
struct State {
    cancelled: bool,
    next: u64,
    wakers: Vec<(u64, Waker)>,
}

/// A flag with listeners. Clones share it. Raise it from a signal-handling thread (not from inside a handler).
#[derive(Clone, Default)]
pub struct Cancel(Arc<Mutex<State>>);

impl Cancel {
    /// A flag that is down.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Raises the flag and wakes everyone who waits.
    pub fn cancel(&self) {
        let mut state = self.state();
        state.cancelled = true;
        for (_, waker) in &state.wakers {
            waker();
        }
    }

    /// Whether the flag is up.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.state().cancelled
    }

    /// Calls `waker` when the flag goes up, at once if it is up already, until the subscription is dropped.
    #[must_use]
    pub fn on_cancel(&self, waker: impl Fn() + Send + 'static) -> Subscription {
        let mut state = self.state();
        if state.cancelled {
            waker();
        }
        let id = state.next;
        state.next += 1;
        state.wakers.push((id, Box::new(waker)));
        Subscription { cancel: self.clone(), id }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Cancel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Cancel").field(&self.is_cancelled()).finish()
    }
}

/// Keeps a waker registered.
#[derive(Debug)]
pub struct Subscription {
    cancel: Cancel,
    id: u64,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.cancel.state().wakers.retain(|(id, _)| *id != self.id);
    }
}
