//! How a command is told to stop, and what must not be left behind when it does.
//!
//! The main thread calls [`Cancel::begin`] and [`Cancel::clean_up`]; commands register what they
//! leave lying while they work (a temporary file, a process), and the pool of [`crate::several`]
//! asks to be woken, so that it can say what was done so far.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use imgrepo_proto::Refusal;

type Waker = Box<dyn Fn(&Refusal) + Send>;
type CleanUp = Box<dyn FnOnce() + Send>;

/// Shared by the main thread and the command.
#[derive(Default)]
pub(crate) struct Cancel {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    refusal: Option<Refusal>,
    ended: bool,
    wakers: Vec<Waker>,
    clean_ups: BTreeMap<u64, CleanUp>,
    next: u64,
}

impl Cancel {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the command to stop. False when nothing listens: then there is nothing to wait for.
    pub(crate) fn begin(&self, refusal: &Refusal) -> bool {
        let mut state = self.state();
        state.refusal = Some(refusal.clone());
        for wake in &state.wakers {
            wake(refusal);
        }
        !state.wakers.is_empty()
    }

    /// Calls `wake` once the command must stop, at once where it must already. It must not block.
    pub(crate) fn wake(&self, wake: impl Fn(&Refusal) + Send + 'static) {
        let mut state = self.state();
        if let Some(refusal) = &state.refusal {
            wake(refusal);
        }
        state.wakers.push(Box::new(wake));
    }

    /// Between two commands of one process: nothing listens any more. What stopped the one that is
    /// over, where something did.
    pub(crate) fn rest(&self) -> Option<Refusal> {
        let mut state = self.state();
        state.wakers.clear();
        state.refusal.clone()
    }

    /// Undoes what the command would leave behind. Nothing can be registered afterwards.
    pub(crate) fn clean_up(&self) {
        let undo = {
            let mut state = self.state();
            state.ended = true;
            std::mem::take(&mut state.clean_ups)
        };
        // The latest first: a process goes before the folder that it works in.
        for undo in undo.into_values().rev() {
            undo();
        }
    }

    /// Has `undo` called should the process end before the guard is dropped. Once the end has
    /// begun it is called here and now.
    pub(crate) fn undo(self: &Arc<Self>, undo: impl FnOnce() + Send + 'static) -> Undo {
        let mut state = self.state();
        let at = state.next;
        state.next += 1;
        if state.ended {
            drop(state);
            undo();
        } else {
            state.clean_ups.insert(at, Box::new(undo));
        }
        Undo { cancel: Arc::clone(self), at }
    }
}

/// Keeps an undoing registered; dropped without calling it.
#[must_use]
pub(crate) struct Undo {
    cancel: Arc<Cancel>,
    at: u64,
}

impl Undo {
    /// Undoes now.
    pub(crate) fn now(self) {
        let undo = self.cancel.state().clean_ups.remove(&self.at);
        if let Some(undo) = undo {
            undo();
        }
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        self.cancel.state().clean_ups.remove(&self.at);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use imgrepo_proto::ErrorCode;

    use super::*;

    #[test]
    fn what_is_left_is_undone_latest_first_and_what_was_dropped_is_not() {
        let cancel = Arc::new(Cancel::default());
        let (said, heard) = mpsc::channel();
        let say = |word: &'static str| {
            let said = said.clone();
            move || said.send(word).unwrap()
        };
        let _folder = cancel.undo(say("folder"));
        let _process = cancel.undo(say("process"));
        drop(cancel.undo(say("file")));
        cancel.undo(say("now")).now();
        cancel.clean_up();
        let _late = cancel.undo(say("late"));
        assert_eq!(heard.try_iter().collect::<Vec<_>>(), ["now", "process", "folder", "late"]);
    }

    #[test]
    fn a_listener_is_woken_even_when_it_comes_late() {
        let cancel = Cancel::default();
        let refusal = Refusal::new(ErrorCode::Cancelled, "interrupted");
        assert!(!cancel.begin(&refusal));
        let (said, heard) = mpsc::channel();
        cancel.wake(move |refusal| said.send(refusal.code).unwrap());
        assert_eq!(heard.try_recv(), Ok(ErrorCode::Cancelled));
        assert!(cancel.begin(&refusal));
    }
}
