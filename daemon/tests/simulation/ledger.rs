//! What was asked and answered in a world, kept by nobody's computer: against it the end is checked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use imgrepo_proto::control::queue::UploadId;
use imgrepo_proto::session::{Event, EventKind};
use imgrepo_proto::{BlobHash, ImageId};

/// All clones are one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// Every content that there ever was.
    pub(crate) contents: BTreeMap<BlobHash, Vec<u8>>,
    /// What the queues took, in whose.
    pub(crate) queued: BTreeMap<(usize, UploadId), Queued>,
    /// Changes that the server acknowledged: of which image, and its name where that is what changed.
    pub(crate) changed: Vec<(ImageId, EventKind, Option<String>)>,
    /// What each client's follower was told.
    pub(crate) heard: BTreeMap<usize, Vec<Event>>,
    /// Contents that were given by hand, whatever came of it.
    pub(crate) offered: BTreeSet<(String, BlobHash)>,
    /// Those of them that the server acknowledged, as which image.
    pub(crate) given: Vec<(ImageId, BlobHash)>,
    pub(crate) downloads: u32,
    pub(crate) cuts: u32,
}

/// An upload that a queue took.
#[derive(Debug, Clone)]
pub(crate) struct Queued {
    pub(crate) person: String,
    pub(crate) hash: BlobHash,
    /// It was given up.
    pub(crate) is_cancelled: bool,
    /// It was asked to be given up, and who asked fell before the answer: it may be or not.
    pub(crate) may_be_cancelled: bool,
    /// It was given up before its first attempt: it must never arrive.
    pub(crate) must_not_arrive: bool,
}

impl Ledger {
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut Kept) -> T) -> T {
        act(&mut self.0.lock().unwrap())
    }
}

/// An image of so many bytes, another one for each seed.
pub(crate) fn image(seed: u64, size: usize) -> Vec<u8> {
    let mut content = format!("P6\n# {seed}\n1 1\n255\n").into_bytes();
    let mut state = seed | 1;
    while content.len() < size {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(seed | 1);
        content.extend_from_slice(&state.to_le_bytes());
    }
    content.truncate(size.max(40));
    content
}

pub(crate) fn hash(content: &[u8]) -> BlobHash {
    BlobHash(*blake3::hash(content).as_bytes())
}
