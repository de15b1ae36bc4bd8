//! Blobs on their way into the repository, and the removal of those that nothing refers to.
//!
//! An upload pins its hash before it places the blob and holds the pin until the catalog has
//! answered; a blob is removed only under the same lock, unpinned and unreferenced. So a purge never
//! takes a blob from under an upload of the same content, whichever comes first. Called by
//! `receiving` (pins) and by the committer (removal).

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use imgrepo_proto::BlobHash;

use super::blobs::BlobStore;
use super::catalog::Catalog;

/// The pinned hashes, each with how many uploads hold it.
#[derive(Debug, Default)]
pub(crate) struct Pins {
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    counts: HashMap<BlobHash, usize>,
    /// Let go of without a record, and about to be looked at.
    doomed: HashSet<BlobHash>,
    is_closed: bool,
}

/// A blob that must stay while this lives.
#[derive(Debug)]
pub(crate) struct Pin {
    pins: Arc<Pins>,
    hash: BlobHash,
    is_doomed: bool,
}

impl Pin {
    /// Lets go of a blob that got no record and is to be collected.
    pub(crate) fn doom(mut self) {
        self.is_doomed = true;
    }
}

impl Pins {
    fn lock(&self) -> MutexGuard<'_, Held> {
        // Every change under the lock is a single call, so a panic elsewhere leaves it whole.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps this blob, whether it is there already or about to be placed. None once the repository
    /// is closed: nobody would commit it, or remove it.
    pub(crate) fn pin(self: &Arc<Self>, hash: BlobHash) -> Option<Pin> {
        let mut held = self.lock();
        if held.is_closed {
            return None;
        }
        *held.counts.entry(hash).or_insert(0) += 1;
        Some(Pin { pins: self.clone(), hash, is_doomed: false })
    }

    /// Gives no more pins; whether none is out.
    pub(crate) fn close(&self) -> bool {
        let mut held = self.lock();
        held.is_closed = true;
        held.counts.is_empty()
    }

    /// Whether an upload holds this blob, or has let go of it a moment ago and it is not collected yet.
    pub(crate) fn holds(&self, hash: BlobHash) -> bool {
        let held = self.lock();
        held.counts.contains_key(&hash) || held.doomed.contains(&hash)
    }

    /// Removes this blob unless something refers to it. A fault leaves it to the sweep of the next
    /// start.
    pub(crate) fn remove_garbage(
        &self,
        hash: BlobHash,
        catalog: &dyn Catalog,
        blobs: &dyn BlobStore,
    ) -> Removal {
        // Held over the question and the removal: a pin that comes meanwhile places anew after it.
        let mut held = self.lock();
        held.doomed.remove(&hash);
        if held.counts.contains_key(&hash) {
            return Removal::Kept;
        }
        match catalog.is_referenced(hash) {
            Ok(true) => return Removal::Kept,
            Ok(false) => {}
            Err(error) => {
                tracing::warn!("cannot tell whether blob {hash} is garbage: {error}");
                return Removal::Failed;
            }
        }
        match blobs.remove(hash) {
            Ok(()) => Removal::Removed,
            Err(error) => {
                tracing::warn!("cannot remove blob {hash}: {error}");
                Removal::Failed
            }
        }
    }
}

/// What became of a blob that may be garbage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Removal {
    /// Something refers to it.
    Kept,
    /// It is gone.
    Removed,
    /// The disk did not let us; it is still garbage.
    Failed,
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut held = self.pins.lock();
        if self.is_doomed {
            held.doomed.insert(self.hash);
        }
        if let Some(count) = held.counts.get_mut(&self.hash) {
            *count -= 1;
            if *count == 0 {
                held.counts.remove(&self.hash);
            }
        }
    }
}
