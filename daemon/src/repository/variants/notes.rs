//! What making pictures came to and is not in the catalog yet. Pure; the workshop holds it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use imgrepo_proto::BlobHash;

use crate::repository::catalog::{KnownPicture, NewPicture};

/// Notes that are written together at most: what a transaction carries easily.
const TOGETHER: usize = 64;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Notes {
    notes: HashMap<BlobHash, NewPicture>,
    /// When the oldest came.
    since: Option<Instant>,
}

impl Notes {
    /// Adds one; it adds to what is noted of the same content.
    pub(super) fn add(&mut self, new: NewPicture, now: Instant) {
        self.since.get_or_insert(now);
        let NewPicture { hash, orientation, known } = new;
        let empty = NewPicture { hash, orientation: None, known: KnownPicture::default() };
        let note = self.notes.entry(hash).or_insert(empty);
        note.orientation = orientation.or(note.orientation);
        note.known.placeholder = known.placeholder.or(note.known.placeholder.take());
        note.known.fault = known.fault.or(note.known.fault.take());
        note.known.display_fault = known.display_fault.or(note.known.display_fault.take());
    }

    pub(super) fn get(&self, hash: BlobHash) -> Option<KnownPicture> {
        self.notes.get(&hash).map(|note| note.known.clone())
    }

    /// When they are to be written: so long after the first, or at once where they are many.
    pub(super) fn due_at(&self, within: Duration) -> Option<Instant> {
        let since = self.since?;
        Some(if self.notes.len() >= TOGETHER { since } else { since + within })
    }

    /// All of them.
    pub(super) fn list(&self) -> Vec<NewPicture> {
        self.notes.values().cloned().collect()
    }

    /// These were written; what was added to them since stays.
    pub(super) fn remove(&mut self, written: &[NewPicture]) {
        for note in written {
            if self.notes.get(&note.hash) == Some(note) {
                self.notes.remove(&note.hash);
            }
        }
        self.since = self.since.filter(|_| !self.notes.is_empty());
    }
}
