//! Whose turn it is to upload a content: one at a time, in the order in which they came. Taken by the
//! uploads, through the session. It knows nothing of what is sent.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use imgrepo_proto::BlobHash;
use tokio::sync::{Mutex as Waiting, OwnedMutexGuard};

/// The contents that are being uploaded.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<HashMap<BlobHash, Weak<Waiting<()>>>>);

impl Turns {
    /// Waits for this content's turn; it ends when the guard is dropped. Cancel-safe.
    pub(super) async fn take(&self, hash: BlobHash) -> OwnedMutexGuard<()> {
        let line = self.line(hash);
        line.lock_owned().await
    }

    fn line(&self, hash: BlobHash) -> Arc<Waiting<()>> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // No more entries than uploads under way: a dozen, not thousands.
        lines.retain(|_, line| line.strong_count() > 0);
        if let Some(line) = lines.get(&hash).and_then(Weak::upgrade) {
            return line;
        }
        let line = Arc::default();
        lines.insert(hash, Arc::downgrade(&line));
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_content_waits_and_another_does_not() {
        let turns = Turns::default();
        let first = turns.take(BlobHash([1; 32])).await;
        drop(turns.take(BlobHash([2; 32])).await);
        let mut second = Box::pin(turns.take(BlobHash([1; 32])));
        assert!(futures_util::poll!(&mut second).is_pending());
        drop(first);
        drop(second.await);
        // What is over is forgotten when the next one comes.
        drop(turns.take(BlobHash([3; 32])).await);
        assert_eq!(turns.0.lock().unwrap().len(), 1);
    }
}
