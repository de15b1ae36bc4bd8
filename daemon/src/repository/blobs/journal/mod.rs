//! Contents on the local disk: files in their places, and the small ones first in a journal.
//!
//! A small content in a file of its own costs several times its bytes: two or three commits of the
//! file system. So the small contents of a group are appended to one file with one sync, which is all
//! that their uploads wait for; an index in memory says where they are, and the `settler` puts them
//! into their places when nobody hurries. The journal is a row of segments, each removed once nothing
//! in it is needed. After any end the next start reads what is left, keeps what the catalog refers to,
//! and goes on settling.
//!
//! Called by the repository, which appends from one thread and never removes a content that is being
//! appended (see `pins`). Rejected: segments as the
//! contents' home (they would need compaction for ever), and removing nothing but whole journals (one
//! content that cannot be placed would hold up all of them).
//!
//! Locks, in this order: `growing` (an append, its sync included), `places` (a name in `blobs/` is
//! given or taken), `state` (short, never over a sync).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use bytes::Bytes;
use imgrepo_proto::BlobHash;

use super::anew::Anew;
use super::files::FileBlobs;
use super::{Blob, BlobStore};
use crate::repository::durable::{self, SyncPoint};
use crate::repository::figures::JournalStanding;
use segment::{Extent, Growing, HEADER_BYTES, JournalBlob};

mod segment;
mod settle;
mod survey;
#[cfg(test)]
mod tests;

/// A segment ends when it has this much: what may wait until it can be removed.
const SEGMENT_BYTES: u64 = 32 * 1024 * 1024;

/// With this much in the journal contents are placed at once until there is less. A burst of some
/// 10,000 pictures; what a start after an unclean end has to read (0.3 s of hashing, and the disk's
/// time), and what the disk holds twice for a while.
const JOURNAL_BYTES: u64 = 1024 * 1024 * 1024;

/// What a content counts for at least, so that the index of many tiny ones is bounded too: 32,768
/// entries, some 4 MiB.
const LEAST_COST_BYTES: u64 = 32 * 1024;

/// Whether an image has this content.
pub(crate) type IsReferenced<'a> = &'a dyn Fn(BlobHash) -> io::Result<bool>;

/// Contents on the local disk.
pub(crate) struct DiskBlobs {
    shared: Arc<Shared>,
    growing: Arc<Mutex<Option<Newest>>>,
    settler: Mutex<Option<JoinHandle<()>>>,
}

/// What the settler needs too.
struct Shared {
    files: FileBlobs,
    directory: PathBuf,
    /// Bytes of the disk that settling leaves free.
    reserve_bytes: u64,
    /// Held while a name in `blobs/` is given by the settler or taken by a removal: each then looks
    /// whether the content is still in the index.
    places: Mutex<()>,
    state: Mutex<State>,
    changed: Condvar,
}

/// The segment that grows, and its number.
struct Newest {
    number: u64,
    growing: Growing,
}

#[derive(Default)]
struct State {
    index: HashMap<BlobHash, Spot>,
    segments: BTreeMap<u64, Segment>,
    last_number: u64,
    /// None before the first append.
    appended_at: Option<Instant>,
    is_closing: bool,
}

struct Segment {
    file: Arc<File>,
    cost_bytes: u64,
    /// Contents of it in the index, and their bytes.
    live: usize,
    live_bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Spot {
    segment: u64,
    extent: Extent,
}

impl State {
    fn cost_bytes(&self) -> u64 {
        self.segments.values().map(|segment| segment.cost_bytes).sum()
    }

    fn enter(&mut self, hash: BlobHash, spot: Spot) {
        let Some(segment) = self.segments.get_mut(&spot.segment) else { return };
        let bytes = u64::from(spot.extent.bytes);
        segment.cost_bytes += (HEADER_BYTES + bytes).max(LEAST_COST_BYTES);
        // Of a content that is there twice the one in the index is as good.
        if let std::collections::hash_map::Entry::Vacant(vacant) = self.index.entry(hash) {
            vacant.insert(spot);
            segment.live += 1;
            segment.live_bytes += bytes;
        }
    }

    /// Forgets where a content is, if it is still there.
    fn leave(&mut self, hash: BlobHash, spot: Option<Spot>) {
        let Some(at) = self.index.get(&hash).copied() else { return };
        if spot.is_some_and(|spot| spot != at) {
            return;
        }
        self.index.remove(&hash);
        if let Some(segment) = self.segments.get_mut(&at.segment) {
            segment.live -= 1;
            segment.live_bytes -= u64::from(at.extent.bytes);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every change under these locks is whole at each point where it could panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl DiskBlobs {
    /// Opens both directories, made where they are missing, reads the journal, and starts the
    /// settler. Blocks. Contents of the journal that no image has are forgotten.
    pub(crate) fn open(
        blobs: &Path,
        journal: &Path,
        reserve_bytes: u64,
        is_referenced: IsReferenced<'_>,
    ) -> io::Result<DiskBlobs> {
        let files = FileBlobs::open(blobs)?;
        fs::create_dir_all(journal)?;
        let state = replay(journal, is_referenced)?;
        let shared = Arc::new(Shared {
            files,
            directory: journal.to_owned(),
            reserve_bytes,
            places: Mutex::new(()),
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        let growing = Arc::new(Mutex::new(None));
        let settler = settle::Settler { shared: shared.clone(), growing: growing.clone() };
        // Joined by `close`.
        let settler =
            std::thread::Builder::new().name("settler".to_owned()).spawn(move || settler.run())?;
        Ok(DiskBlobs { shared, growing, settler: Mutex::new(Some(settler)) })
    }

    /// Whether directories of blobs and of a journal, if there are any at all, hold nothing.
    pub(crate) fn is_empty(blobs: &Path, journal: &Path) -> io::Result<bool> {
        Ok(FileBlobs::is_empty(blobs)? && numbers(journal)?.is_empty())
    }

    fn new_segment(&self) -> io::Result<Newest> {
        let number = {
            let mut state = lock(&self.shared.state);
            state.last_number += 1;
            state.last_number
        };
        let path = self.shared.path(number);
        let growing = Growing::create(&path)?;
        let entered = durable::sync_directory(SyncPoint::Layout, &self.shared.directory)
            .and_then(|()| growing.file());
        let file = match entered {
            Ok(file) => Arc::new(file),
            Err(error) => {
                remove_file(&path);
                return Err(error);
            }
        };
        let segment = Segment { file, cost_bytes: 0, live: 0, live_bytes: 0 };
        lock(&self.shared.state).segments.insert(number, segment);
        Ok(Newest { number, growing })
    }
}

impl BlobStore for DiskBlobs {
    fn place(&self, hash: BlobHash, staged: &Path) -> io::Result<()> {
        self.shared.files.place(hash, staged)
    }

    fn append(&self, contents: &[(BlobHash, Bytes)]) -> io::Result<()> {
        // Held to the end: the settler never takes a segment for unused that is about to be used.
        let mut growing = lock(&self.growing);
        let new: Vec<&(BlobHash, Bytes)> = {
            let state = lock(&self.shared.state);
            let mut seen = HashSet::new();
            let mut is_new = |hash| !state.index.contains_key(hash) && seen.insert(*hash);
            contents.iter().filter(|(hash, _)| is_new(hash)).collect()
        };
        if new.is_empty() {
            return Ok(());
        }
        if growing.as_ref().is_some_and(|newest| self.shared.is_long(newest.number)) {
            *growing = None;
        }
        let newest = match &mut *growing {
            Some(newest) => newest,
            none => none.insert(self.new_segment()?),
        };
        let number = newest.number;
        let extents = match newest.growing.append(&new) {
            Ok(extents) => extents,
            Err(error) => {
                // After a failed sync nobody knows what the file holds: it gets no more.
                if newest.growing.cut_back().is_err() || !is_full(&error) {
                    *growing = None;
                }
                return Err(error);
            }
        };
        let mut state = lock(&self.shared.state);
        for ((hash, _), extent) in new.into_iter().zip(extents) {
            state.enter(*hash, Spot { segment: number, extent });
        }
        if state.appended_at.replace(Instant::now()).is_none() {
            self.shared.changed.notify_one();
        }
        Ok(())
    }

    fn wants_appends(&self) -> bool {
        lock(&self.shared.state).cost_bytes() < JOURNAL_BYTES
    }

    fn open(&self, hash: BlobHash) -> io::Result<Option<Arc<dyn Blob>>> {
        {
            let state = lock(&self.shared.state);
            if let Some(spot) = state.index.get(&hash)
                && let Some(segment) = state.segments.get(&spot.segment)
            {
                let file = segment.file.clone();
                return Ok(Some(Arc::new(JournalBlob::new(file, spot.extent))));
            }
        }
        // What has left the index meanwhile was in its place before.
        self.shared.files.open_blob(hash)
    }

    fn remove(&self, hash: BlobHash) -> io::Result<()> {
        let _places = lock(&self.shared.places);
        lock(&self.shared.state).leave(hash, None);
        self.shared.files.remove(hash)
    }

    fn slice(&self, first_byte: u8) -> io::Result<Vec<BlobHash>> {
        // The index first: what leaves it has come to its place.
        let mut found: Vec<BlobHash> = lock(&self.shared.state)
            .index
            .keys()
            .filter(|hash| hash.0[0] == first_byte)
            .copied()
            .collect();
        found.extend(self.shared.files.slice(first_byte)?);
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    fn sizes(&self, first_byte: u8) -> io::Result<Vec<(BlobHash, u64)>> {
        self.shared.sizes(first_byte)
    }

    fn hash_anew(
        &self,
        hash: BlobHash,
        goes_on: &mut dyn FnMut(u64) -> bool,
    ) -> io::Result<Option<Anew>> {
        self.shared.hash_anew(hash, goes_on)
    }

    fn set_aside(&self, hash: BlobHash, to: &Path) -> io::Result<bool> {
        self.shared.set_aside(hash, to)
    }

    fn inspect(&self) -> Vec<String> {
        self.shared.inspect()
    }

    fn journal(&self) -> Option<JournalStanding> {
        let state = lock(&self.shared.state);
        let bytes = state.segments.values().map(|segment| segment.live_bytes).sum();
        Some(JournalStanding { segments: state.segments.len() as u64, bytes })
    }

    fn close(&self) {
        lock(&self.shared.state).is_closing = true;
        self.shared.changed.notify_one();
        let settler = lock(&self.settler).take();
        if settler.is_some_and(|settler| settler.join().is_err()) {
            tracing::error!("the settler panicked");
        }
    }
}

impl Drop for DiskBlobs {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn path(&self, number: u64) -> PathBuf {
        self.directory.join(number.to_string())
    }

    fn is_long(&self, number: u64) -> bool {
        let state = lock(&self.state);
        state.segments.get(&number).is_none_or(|segment| segment.cost_bytes >= SEGMENT_BYTES)
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// The numbers of the segments in a directory, in order; none where there is no directory. Other
/// names are not ours.
fn numbers(directory: &Path) -> io::Result<Vec<u64>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut numbers = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if let Ok(number) = name.parse::<u64>() {
            numbers.push(number);
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Reads all segments; those with nothing that is needed go.
fn replay(directory: &Path, is_referenced: IsReferenced<'_>) -> io::Result<State> {
    settle::remove_leftovers(directory)?;
    let mut state = State::default();
    for number in numbers(directory)? {
        state.last_number = number;
        let path = directory.join(number.to_string());
        let named = |error: io::Error| {
            io::Error::new(error.kind(), format!("`{}`: {error}", path.display()))
        };
        let file = Arc::new(File::open(&path).map_err(named)?);
        let found = segment::replay(&*file).map_err(named)?;
        state.segments.insert(number, Segment { file, cost_bytes: 0, live: 0, live_bytes: 0 });
        for (hash, extent) in found {
            if is_referenced(hash)? {
                state.enter(hash, Spot { segment: number, extent });
            }
        }
        if state.segments.get(&number).is_some_and(|segment| segment.live == 0) {
            state.segments.remove(&number);
            remove_file(&path);
        }
    }
    if !state.index.is_empty() {
        tracing::info!("{} contents wait in the journal for their places", state.index.len());
        state.appended_at = Some(Instant::now());
    }
    Ok(state)
}

fn remove_file(path: &Path) {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!("cannot remove `{}`: {error}", path.display());
    }
}
