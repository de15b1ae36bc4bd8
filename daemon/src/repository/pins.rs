//! Blobs on their way into the repository, and the removal of those that nothing refers to.
//!
//! An upload pins its hash before it places the blob and holds the pin until the catalog has
//! answered; a blob is removed only under the same lock, unpinned and unreferenced. So a purge never
//! takes a blob from under an upload of the same content, whichever comes first. Called by
//! `receiving` (pins), by the committer (removal) and by a backup, which holds all that is there while
//! it copies what its catalog refers to.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use imgrepo_proto::BlobHash;

use super::blobs::BlobStore;
use super::catalog::Catalog;
use super::queue::{Queue, Work};

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
    holds: usize,
    /// Garbage that is not removed while there is a hold.
    waiting: HashSet<BlobHash>,
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

/// No blob goes while this lives; what became garbage meanwhile is looked at again afterwards.
pub(crate) struct Hold {
    pins: Arc<Pins>,
    queue: Arc<Queue>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        let garbage = {
            let mut held = self.pins.lock();
            held.holds -= 1;
            match held.holds {
                // After the repository's end nobody looks: that is noted as an unclean one.
                0 if !held.is_closed => std::mem::take(&mut held.waiting),
                _ => HashSet::new(),
            }
        };
        garbage.into_iter().for_each(|hash| self.queue.push(Work::Collect(hash)));
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

    /// Keeps every blob that is here, and those to come. None once the repository is closed.
    pub(crate) fn hold(self: &Arc<Self>, queue: &Arc<Queue>) -> Option<Hold> {
        let mut held = self.lock();
        if held.is_closed {
            return None;
        }
        held.holds += 1;
        Some(Hold { pins: self.clone(), queue: queue.clone() })
    }

    /// Gives no more pins; whether none is out, and no garbage was kept for a hold.
    pub(crate) fn close(&self) -> bool {
        let mut held = self.lock();
        held.is_closed = true;
        held.counts.is_empty() && held.waiting.is_empty()
    }

    /// Whether an upload holds this blob, or has let go of it a moment ago and it is not collected yet,
    /// or it is garbage that a hold keeps.
    pub(crate) fn holds(&self, hash: BlobHash) -> bool {
        let held = self.lock();
        held.counts.contains_key(&hash)
            || held.doomed.contains(&hash)
            || held.waiting.contains(&hash)
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
        if held.holds > 0 {
            held.waiting.insert(hash);
            return Removal::Kept;
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
    /// Something refers to it, or all is held.
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

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use imgrepo_proto::RepositoryId;

    use super::*;
    use crate::repository::blobs::memory::MemoryBlobs;
    use crate::repository::catalog::memory::MemoryCatalog;
    use crate::repository::queue::Next;

    #[test]
    fn garbage_waits_for_the_last_hold_and_is_looked_at_again() {
        let (pins, queue) = (Arc::<Pins>::default(), Arc::<Queue>::default());
        let (catalog, blobs) =
            (MemoryCatalog::new(RepositoryId("r".to_owned())), MemoryBlobs::new());
        let hash = BlobHash([7; 32]);
        blobs.append(&[(hash, Bytes::from_static(b"7"))]).unwrap();
        let [first, second] = [(), ()].map(|()| pins.hold(&queue).unwrap());
        assert_eq!(pins.remove_garbage(hash, &catalog, &blobs), Removal::Kept);
        drop(first);
        assert_eq!(pins.remove_garbage(hash, &catalog, &blobs), Removal::Kept);
        assert!(matches!(queue.next(true), Next::Idle), "there is one still");
        drop(second);
        assert!(matches!(queue.next(true), Next::Garbage(found) if found == [hash]));
        assert_eq!(pins.remove_garbage(hash, &catalog, &blobs), Removal::Removed);
        // Held at the end: the next start has to look.
        let _held = pins.hold(&queue).unwrap();
        pins.remove_garbage(hash, &catalog, &blobs);
        assert!(!pins.close());
        assert!(pins.hold(&queue).is_none());
    }
}
