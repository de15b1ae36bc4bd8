//! Files that are on their way out of a watched folder after their receipt: until it is written down
//! where they went, whoever finds their place empty must not take them for deleted.
//!
//! In memory alone: after a crash in between a scan forgets such a file, which is then where it was
//! to go. Kept by [`State::leave`], asked by [`State::forget`].

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use imgrepo_proto::control::queue::UploadId;

use super::State;

/// Which they are.
#[derive(Debug, Clone, Default)]
pub(super) struct Leaving(Arc<Mutex<HashSet<UploadId>>>);

impl Leaving {
    pub(super) fn has(&self, id: UploadId) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&id)
    }
}

/// One of them, until dropped.
#[derive(Debug)]
pub struct Leave(Leaving, UploadId);

impl Drop for Leave {
    fn drop(&mut self) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.1);
    }
}

impl State {
    /// This upload's file is about to be put away: its row is not forgotten before what this returns
    /// is dropped.
    #[must_use]
    pub fn leave(&self, id: UploadId) -> Leave {
        self.leaving.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        Leave(self.leaving.clone(), id)
    }
}
