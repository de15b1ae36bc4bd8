//! The settler: one thread that puts journaled contents into their places, a batch at a time, while
//! nothing is appended: because nobody uploads, or because the journal is full, so that contents go
//! to their places by themselves. It removes segments that nothing needs any more.
//!
//! A content leaves the index only when its file and its name are on disk, so whoever reads finds it
//! at any moment. Started by `DiskBlobs::open`, joined by its `close`.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use imgrepo_proto::BlobHash;

use super::{Newest, Shared, Spot, lock, remove_file};
use crate::repository::blobs::files::read_exact_at;
use crate::repository::durable::{self, SyncPoint};
use crate::repository::room;

/// Contents that are placed together: they share the syncs of their directories, and whoever hurries
/// waits for no more than these.
const BATCH: usize = 64;

/// After an append nothing is settled for so long: uploads come in bursts, and beside one the second
/// writing of its contents would cost it more than their first saved.
const QUIET: Duration = Duration::from_secs(2);

/// How long after a fault (a full disk, mostly) it is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// How long an orderly end may take to settle what it can; the next start does the rest.
const CLOSE: Duration = Duration::from_secs(5);

/// The end of a name of a file that is to get its place.
const STAGED: &str = ".staged";

pub(super) struct Settler {
    pub(super) shared: Arc<Shared>,
    pub(super) growing: Arc<Mutex<Option<Newest>>>,
}

/// Some contents of a segment, to be placed together.
struct Batch {
    number: u64,
    segment: Arc<File>,
    contents: Vec<(BlobHash, Spot)>,
}

/// What came of a look at the oldest segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// Some contents were placed, or a segment was removed.
    Some,
    /// Nothing can be done at the moment.
    None,
}

/// Removes what settling had begun when the process ended.
pub(super) fn remove_leftovers(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.to_str().is_some_and(|name| name.ends_with(STAGED)) {
            remove_file(&path);
        }
    }
    Ok(())
}

impl Settler {
    /// Works until the journal is closed, and then for a bounded time more.
    pub(super) fn run(self) {
        let mut retry_at = None;
        while self.wait(retry_at) {
            retry_at = match self.step() {
                Progress::Some => None,
                Progress::None => Some(Instant::now() + RETRY),
            };
        }
        let until = Instant::now() + CLOSE;
        while self.step() == Progress::Some && Instant::now() < until {}
    }

    /// Waits until there is something to settle and the time for it; false when it is to end.
    fn wait(&self, retry_at: Option<Instant>) -> bool {
        let mut state = lock(&self.shared.state);
        loop {
            if state.is_closing {
                return false;
            }
            let now = Instant::now();
            let quiet_at = state.appended_at.map_or(now, |at| at + QUIET);
            let due = retry_at.map_or(quiet_at, |retry| retry.max(quiet_at));
            if state.segments.is_empty() {
                // The next append after this one wakes us.
                state.appended_at = None;
                let changed = self.shared.changed.wait(state);
                state = changed.unwrap_or_else(PoisonError::into_inner);
            } else if due <= now {
                return true;
            } else {
                let changed = self.shared.changed.wait_timeout(state, due - now);
                (state, _) = changed.unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// One step at a time of the test's own choice; whether there was something to do.
    #[cfg(test)]
    pub(super) fn step_for_tests(&self) -> bool {
        self.step() == Progress::Some
    }

    /// Places a batch of the oldest segment, or removes it.
    fn step(&self) -> Progress {
        let Some(batch) = self.batch() else { return Progress::None };
        if batch.contents.is_empty() {
            return self.remove_segment(batch.number);
        }
        match self.place(&batch) {
            Ok(()) => Progress::Some,
            Err(error) => {
                tracing::warn!("cannot put contents of the journal into their places: {error}");
                Progress::None
            }
        }
    }

    /// Contents of the oldest segment; None where there is none, or where its contents would not all
    /// fit: to place some of them would take room and give none back.
    fn batch(&self) -> Option<Batch> {
        let state = lock(&self.shared.state);
        let (number, segment) = state.segments.first_key_value()?;
        let needed = segment.live_bytes.saturating_add(self.shared.reserve_bytes);
        let free = room::free_bytes(&self.shared.directory);
        if segment.live > 0 && free.is_some_and(|free| free < needed) {
            return None;
        }
        let of_segment = state.index.iter().filter(|(_, spot)| spot.segment == *number);
        let contents = of_segment.map(|(hash, spot)| (*hash, *spot)).take(BATCH).collect();
        Some(Batch { number: *number, segment: segment.file.clone(), contents })
    }

    fn place(&self, batch: &Batch) -> io::Result<()> {
        let mut staged = Vec::with_capacity(batch.contents.len());
        let placed = self.stage_and_name(batch, &mut staged);
        // After a fault: what has its name already has no file here any more.
        if placed.is_err() {
            staged.iter().for_each(|path| remove_file(path));
        }
        placed
    }

    fn stage_and_name(&self, batch: &Batch, staged: &mut Vec<PathBuf>) -> io::Result<()> {
        let mut files = Vec::with_capacity(batch.contents.len());
        for (hash, spot) in &batch.contents {
            let mut content = vec![0; spot.extent.bytes as usize];
            read_exact_at(&batch.segment, &mut content, spot.extent.start)?;
            let path = self.shared.directory.join(format!("{hash}{STAGED}"));
            staged.push(path.clone());
            let mut file = File::create(path)?;
            file.write_all(&content)?;
            files.push(file);
        }
        durable::sync_all(SyncPoint::Blob, &files.iter().collect::<Vec<_>>())?;
        let mut directories = BTreeSet::new();
        for ((hash, spot), path) in batch.contents.iter().zip(staged) {
            let _places = lock(&self.shared.places);
            if lock(&self.shared.state).index.get(hash) == Some(spot) {
                self.shared.files.name(*hash, path)?;
                directories.insert(hash.0[0]);
            } else {
                // Removed meanwhile.
                remove_file(path);
            }
        }
        for directory in directories {
            self.shared.files.sync_names(directory)?;
        }
        let mut state = lock(&self.shared.state);
        for (hash, spot) in &batch.contents {
            state.leave(*hash, Some(*spot));
        }
        Ok(())
    }

    /// Removes a segment of which nothing is needed, unless something is being appended.
    fn remove_segment(&self, number: u64) -> Progress {
        let Ok(mut growing) = self.growing.try_lock() else { return Progress::None };
        {
            let mut state = lock(&self.shared.state);
            if state.segments.get(&number).is_none_or(|segment| segment.live > 0) {
                return Progress::None;
            }
            state.segments.remove(&number);
        }
        if growing.as_ref().is_some_and(|newest| newest.number == number) {
            *growing = None;
        }
        drop(growing);
        // Should its name outlive a power cut: no image needs more of it than is in its place.
        remove_file(&self.shared.path(number));
        Progress::Some
    }
}
