//! The transfers that are under way at this moment, for whoever asks how far each has come.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use imgrepo_proto::control::queue::{Direction, TransferStatus, UploadId};
use imgrepo_proto::control::reply::Progress;
use tokio::sync::watch;

/// All of them. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Active(Arc<Table>);

#[derive(Debug, Default)]
struct Table {
    entries: Mutex<BTreeMap<u64, Entry>>,
    next: AtomicU64,
}

#[derive(Debug)]
struct Entry {
    name: String,
    direction: Direction,
    progress: watch::Receiver<Progress>,
    queued: Option<UploadId>,
}

/// One of them, until dropped.
#[derive(Debug)]
pub(super) struct Listed {
    table: Arc<Table>,
    number: u64,
}

impl Active {
    /// Lists one.
    pub(super) fn begin(
        &self,
        name: String,
        direction: Direction,
        progress: watch::Receiver<Progress>,
        queued: Option<UploadId>,
    ) -> Listed {
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        self.0.entries().insert(number, Entry { name, direction, progress, queued });
        Listed { table: self.0.clone(), number }
    }

    /// The first so many, the oldest first.
    pub(super) fn list(&self, limit: usize) -> Vec<TransferStatus> {
        let status = |entry: &Entry| {
            let Progress { phase, done, total } = *entry.progress.borrow();
            let (name, direction, queued) = (entry.name.clone(), entry.direction, entry.queued);
            TransferStatus { name, direction, phase, done, total, queued }
        };
        self.0.entries().values().take(limit).map(status).collect()
    }

    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.0.entries().len()).unwrap_or(u32::MAX)
    }
}

impl Table {
    fn entries(&self) -> MutexGuard<'_, BTreeMap<u64, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listed {
    /// Its name is known.
    pub(super) fn rename(&self, name: &str) {
        if let Some(entry) = self.table.entries().get_mut(&self.number) {
            name.clone_into(&mut entry.name);
        }
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.table.entries().remove(&self.number);
    }
}
