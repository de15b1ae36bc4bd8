//! Uploads that a server may have stored although nobody heard its answer: sent whole, and cut. What it
//! calls a duplicate afterwards is what it was sent. The attempts ask.
//!
//! In memory alone: in a row it would cost every upload one more write. After a restart of this process
//! such an upload is told as a duplicate, which is a receipt as well.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use imgrepo_proto::BlobHash;
use imgrepo_proto::control::queue::UploadId;

/// Uploads that are remembered: more than are ever under way at once. What is given up while it waits is
/// not forgotten, so there has to be a bound.
const REMEMBERED: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct Unheard(Mutex<HashMap<UploadId, (BlobHash, Arc<AtomicBool>)>>);

impl Unheard {
    /// Where it is kept of this upload, of this content.
    pub(super) fn of(&self, id: UploadId, hash: BlobHash) -> Arc<AtomicBool> {
        let mut all = self.all();
        if all.len() >= REMEMBERED && !all.contains_key(&id) {
            // Those that wait are told as duplicates then.
            all.clear();
        }
        let (known, maybe_stored) = all.entry(id).or_insert_with(|| (hash, Arc::default()));
        if *known != hash {
            (*known, *maybe_stored) = (hash, Arc::default());
        }
        maybe_stored.clone()
    }

    /// It has ended.
    pub(super) fn forget(&self, id: UploadId) {
        self.all().remove(&id);
    }

    fn all(&self) -> MutexGuard<'_, HashMap<UploadId, (BlobHash, Arc<AtomicBool>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use super::*;

    #[test]
    fn it_is_known_of_the_same_content_until_the_end() {
        let unheard = Unheard::default();
        let (id, hash) = (UploadId(7), BlobHash([1; 32]));
        unheard.of(id, hash).store(true, Relaxed);
        assert!(unheard.of(id, hash).load(Relaxed));
        assert!(!unheard.of(UploadId(8), hash).load(Relaxed));
        assert!(!unheard.of(id, BlobHash([2; 32])).load(Relaxed), "another content");
        unheard.of(id, hash).store(true, Relaxed);
        unheard.forget(id);
        assert!(!unheard.of(id, hash).load(Relaxed));
        for id in 0..5000 {
            unheard.of(UploadId(id), hash);
        }
        assert!(unheard.all().len() <= REMEMBERED);
    }
}
