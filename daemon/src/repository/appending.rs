//! The appender: one thread that makes small contents durable, a group at a time, and then hands
//! their changes to the committer. While the committer commits one group, this syncs the next.
//!
//! Called by `receiving`. Started and joined by [`super::Repository`]; it ends before the committer,
//! which still gets all that was taken.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use imgrepo_proto::BlobHash;

use super::blobs::BlobStore;
use super::faults;
use super::queue::{GROUP, Queue, Work};

/// A small content, and what is to be done when it is durable.
pub(crate) struct Append {
    pub(crate) hash: BlobHash,
    pub(crate) content: Bytes,
    pub(crate) then: Work,
}

/// What waits for the appender; the room for it is given by [`super::IN_MEMORY_BYTES`].
#[derive(Default)]
pub(crate) struct Appends {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Vec<Append>,
    is_closed: bool,
}

/// What the appender works with.
pub(crate) struct Appender {
    pub(crate) blobs: Arc<dyn BlobStore>,
    pub(crate) appends: Arc<Appends>,
    pub(crate) queue: Arc<Queue>,
}

impl Appends {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change under the lock is a single call, so a panic elsewhere leaves it whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a content, or answers at once where it cannot be taken.
    pub(crate) fn push(&self, append: Append) {
        let refused = {
            let mut state = self.lock();
            match state.is_closed {
                true => Some(append.then),
                false => {
                    state.waiting.push(append);
                    None
                }
            }
        };
        match refused {
            // Outside the lock: an answer runs foreign code.
            Some(work) => work.refuse(faults::shutting_down()),
            None => self.changed.notify_one(),
        }
    }

    /// Takes nothing more; what waits is still done.
    pub(crate) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_one();
    }

    /// The next group; None when there will be none.
    fn next(&self) -> Option<Vec<Append>> {
        let mut state = self.lock();
        loop {
            if !state.waiting.is_empty() {
                let count = state.waiting.len().min(GROUP);
                return Some(state.waiting.drain(..count).collect());
            }
            if state.is_closed {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Appender {
    /// Appends a group, if one waits; whether one did.
    pub(crate) fn step(&self) -> bool {
        let group = {
            let mut state = self.appends.lock();
            let count = state.waiting.len().min(GROUP);
            state.waiting.drain(..count).collect::<Vec<_>>()
        };
        let has_some = !group.is_empty();
        if has_some {
            self.append(group);
        }
        has_some
    }

    /// Works until the appends are closed and done.
    pub(crate) fn run(self) {
        let _abandon = AbandonOnDrop(self.appends.clone());
        while let Some(group) = self.appends.next() {
            self.append(group);
        }
    }

    fn append(&self, group: Vec<Append>) {
        let mut contents = Vec::with_capacity(group.len());
        let mut works = Vec::with_capacity(group.len());
        for Append { hash, content, then } in group {
            contents.push((hash, content));
            works.push(then);
        }
        match self.blobs.append(&contents) {
            Ok(()) => works.into_iter().for_each(|work| self.queue.push(work)),
            Err(error) => {
                let refusal = faults::disk("append contents to the journal", &error);
                works.into_iter().for_each(|work| work.refuse(refusal.clone()));
            }
        }
    }
}

/// Answers whoever waits, should the appender end before its time.
struct AbandonOnDrop(Arc<Appends>);

impl Drop for AbandonOnDrop {
    fn drop(&mut self) {
        self.0.close();
        let waiting = std::mem::take(&mut self.0.lock().waiting);
        for append in waiting {
            append.then.refuse(faults::shutting_down());
        }
    }
}
