//! What waits for the committer: changes of the catalog, and blobs that may be garbage. Everyone in
//! the repository pushes, the committer alone takes.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use imgrepo_proto::session::people::DeviceId;
use imgrepo_proto::{BlobHash, ErrorCode, Refusal};
use jiff::Timestamp;

use super::Done;
use super::catalog::{Catalog, Change, Committed, PersonId};
use super::faults;

/// Changes that may wait; more is `busy`. What 250 sessions at their limit of requests can have
/// in flight, some MiB.
const CHANGES: usize = 16_384;

/// Changes in one transaction: enough to share its sync, short enough not to hold up a single one
/// (measured by others: 8,000 rows a second at 64 a commit).
pub(crate) const GROUP: usize = 128;

/// Finds the change to make; runs on the committer's thread, where nothing else changes the
/// catalog.
pub(crate) type Make = Box<dyn FnOnce(&dyn Catalog) -> Result<Change, Refusal> + Send>;

/// Hears of the outcome; runs right after the commit, before anyone else hears of it.
pub(crate) type Then = Box<dyn FnOnce(Result<Committed, Refusal>) + Send>;

/// Runs on the committer's thread, when all that was committed before has had its consequences: what is
/// garbage then has been removed, but for what is in [`Work::Collect`]. It must be short.
pub(crate) type Look = Box<dyn FnOnce() + Send>;

/// Something for the committer.
pub(crate) enum Work {
    /// One change.
    Propose { by: PersonId, from: String, make: Make, then: Then },
    /// A device was seen.
    Seen(DeviceId),
    /// Many images out of the trash, group by group.
    Purge(Purge),
    /// A blob that may be garbage.
    Collect(BlobHash),
    /// Something to look at between two changes.
    Look(Look),
}

/// A purge of all that fits.
pub(crate) struct Purge {
    /// Who does it.
    pub(crate) by: PersonId,
    /// From where.
    pub(crate) from: String,
    /// Only this person's.
    pub(crate) person: Option<PersonId>,
    /// Only what has been in the trash since before this.
    pub(crate) before: Option<Timestamp>,
    /// So many are gone already.
    pub(crate) purged: u64,
    /// Hears how many there were.
    pub(crate) answer: Answer<u64>,
}

/// A `Done` that is called exactly once, whatever happens to its holder.
pub(crate) struct Answer<T>(Option<Done<T>>);

impl<T> Answer<T> {
    pub(crate) fn new(done: Done<T>) -> Self {
        Answer(Some(done))
    }

    /// The same answer, which lets go of this once it is given.
    pub(crate) fn holding<H: Send + 'static>(mut self, held: Option<H>) -> Self
    where
        T: 'static,
    {
        if let Some(held) = held
            && let Some(done) = self.0.take()
        {
            self.0 = Some(Box::new(move |outcome| {
                drop(held);
                done(outcome);
            }));
        }
        self
    }

    pub(crate) fn give(mut self, outcome: Result<T, Refusal>) {
        if let Some(done) = self.0.take() {
            done(outcome);
        }
    }
}

impl<T> Drop for Answer<T> {
    fn drop(&mut self) {
        if let Some(done) = self.0.take() {
            done(Err(Refusal::new(ErrorCode::Cancelled, "the request was given up")));
        }
    }
}

impl Work {
    /// Answers without doing it.
    pub(crate) fn refuse(self, refusal: Refusal) {
        match self {
            Work::Propose { then, .. } => then(Err(refusal)),
            Work::Purge(purge) => purge.answer.give(Err(refusal)),
            // Whoever waits for a look learns by its end that there was none.
            Work::Collect(_) | Work::Seen(_) | Work::Look(_) => {}
        }
    }
}

/// What waits.
#[derive(Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    changes: VecDeque<Work>,
    garbage: Vec<BlobHash>,
    is_closed: bool,
}

/// What the committer is to do next.
pub(crate) enum Next {
    /// Commit these.
    Group(Vec<Work>),
    /// Look at these blobs.
    Garbage(Vec<BlobHash>),
    /// Nothing waits.
    Idle,
    /// Nothing waits, and nothing will come.
    Closed,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change under the lock is a single call, so a panic elsewhere leaves it whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds work, or answers it at once where it cannot be taken.
    pub(crate) fn push(&self, work: Work) {
        let refused = {
            let mut state = self.lock();
            match work {
                // Garbage is never refused: its number is bounded by that of the uploads.
                Work::Collect(hash) => {
                    state.garbage.push(hash);
                    None
                }
                work if state.is_closed => Some((work, faults::shutting_down())),
                work if state.changes.len() >= CHANGES => {
                    Some((work, Refusal::new(ErrorCode::Busy, "too many changes wait already")))
                }
                work => {
                    state.changes.push_back(work);
                    None
                }
            }
        };
        self.changed.notify_one();
        // Outside the lock: an answer runs foreign code.
        if let Some((work, refusal)) = refused {
            work.refuse(refusal);
        }
    }

    /// Puts back what is not done yet, even when the queue is closed.
    pub(crate) fn push_back(&self, work: Work) {
        self.lock().changes.push_back(work);
    }

    /// What is next; waits for something unless `is_restless`.
    pub(crate) fn next(&self, is_restless: bool) -> Next {
        let mut state = self.lock();
        loop {
            if !state.changes.is_empty() {
                let count = state.changes.len().min(GROUP);
                return Next::Group(state.changes.drain(..count).collect());
            }
            if !state.garbage.is_empty() {
                return Next::Garbage(std::mem::take(&mut state.garbage));
            }
            if state.is_closed {
                return Next::Closed;
            }
            if is_restless {
                return Next::Idle;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// How many changes wait.
    pub(crate) fn waiting(&self) -> u64 {
        self.lock().changes.len() as u64
    }

    /// Takes no more changes; what waits is still done.
    pub(crate) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_one();
    }

    /// Whether no more changes are taken.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().is_closed
    }

    /// The committer is gone: answers all that waits, and all to come.
    pub(crate) fn abandon(&self) {
        self.close();
        loop {
            let waiting = std::mem::take(&mut self.lock().changes);
            if waiting.is_empty() {
                break;
            }
            for work in waiting {
                work.refuse(faults::shutting_down());
            }
        }
    }
}
