//! When a file is whole: decided from what each look at it found. Pure; time comes in from outside.
//!
//! A file that a program has open for writing is never taken, and looked at again from time to time
//! (its close is heard of besides). One without a writer is taken at once. Where the system does not
//! tell, it must stay as it is for a while; one whose end is missing for a long while, as what wrote it
//! may have been killed and be started again. One file is taken at most once for one stamp: what is
//! taken is no longer here, and [`super::scan`] passes over what is known.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::state::Stamp;

use super::lease::Writer;

/// The first pause after a look that found a writer. Its close is heard of where events work, so
/// this is for where they do not.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause: what a person waits for a file whose close nobody told.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Files that are settling at once in one folder. More are left to a scan when these are through:
/// 100,000 new ones on a network's file system must not fill the memory.
pub(super) const MOST: usize = 16_384;

/// What a look at a file found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    /// The file as it is.
    pub(super) stamp: Stamp,
    /// Who writes it.
    pub(super) writer: Writer,
    /// It was just renamed to this name, so whoever made it means it to be whole.
    pub(super) renamed: bool,
    /// Its end is missing.
    pub(super) torn: bool,
}

/// What follows from a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is whole, or has been as it is for long enough.
    Take,
    /// It is whole, and has no bytes.
    Empty,
    /// It is looked at again later; `is_news` the first time for this stamp.
    Wait { is_news: bool },
    /// Too many are waiting: a scan has to come by again.
    Later,
}

#[derive(Debug, Clone, Copy)]
struct Settling {
    stamp: Stamp,
    since: Instant,
    looks: u32,
    due: Instant,
}

/// The files of one folder that are not known to be whole yet.
#[derive(Debug)]
pub(super) struct Unsettled {
    settle: Duration,
    torn: Duration,
    files: HashMap<PathBuf, Settling>,
    due: BTreeSet<(Instant, PathBuf)>,
}

impl Unsettled {
    /// None; `settle` is how long a file must stay as it is where nothing better is known, `torn` how
    /// long where its end is missing.
    pub(super) fn new(settle: Duration, torn: Duration) -> Self {
        Unsettled { settle, torn, files: HashMap::new(), due: BTreeSet::new() }
    }

    /// Takes a look at a file.
    pub(super) fn look(&mut self, path: &Path, look: Look, now: Instant) -> Verdict {
        let before = self.files.get(path).copied().filter(|file| file.stamp == look.stamp);
        let since = before.map_or(now, |file| file.since);
        let rest_of = |whole: Duration| (since + whole).saturating_duration_since(now);
        let rest = rest_of(self.settle);
        let pause = match look.writer {
            Writer::Some => {
                let looks = before.map_or(0, |file| file.looks);
                FIRST_PAUSE.saturating_mul(1 << looks.min(5)).min(LONGEST_PAUSE)
            }
            // Most programs that make an empty file are about to fill it.
            Writer::None | Writer::Unknown if look.stamp.size == 0 => rest,
            // Whoever renamed it did not look into it. Should it grow, that is a look of its own.
            Writer::None if look.torn => rest_of(self.torn),
            Writer::Unknown if look.torn => rest.max(rest_of(self.torn)),
            Writer::None => Duration::ZERO,
            Writer::Unknown if look.renamed => Duration::ZERO,
            Writer::Unknown => rest,
        };
        if pause.is_zero() {
            self.forget(path);
            return if look.stamp.size == 0 { Verdict::Empty } else { Verdict::Take };
        }
        if self.files.len() >= MOST && !self.files.contains_key(path) {
            return Verdict::Later;
        }
        self.forget(path);
        let looks = before.map_or(1, |file| file.looks.saturating_add(1));
        let due = now + pause;
        self.files.insert(path.to_owned(), Settling { stamp: look.stamp, since, looks, due });
        self.due.insert((due, path.to_owned()));
        Verdict::Wait { is_news: before.is_none() }
    }

    /// It is not there any more, or not to be looked at.
    pub(super) fn forget(&mut self, path: &Path) {
        if let Some(file) = self.files.remove(path) {
            self.due.remove(&(file.due, path.to_owned()));
        }
    }

    /// When the next look is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Files to look at now, at most so many. They stay until a look or [`Unsettled::forget`]
    /// says otherwise, so a look that fails half-way loses none.
    pub(super) fn due(&self, now: Instant, limit: usize) -> Vec<PathBuf> {
        let due = self.due.iter().take_while(|(due, _)| *due <= now);
        due.take(limit).map(|(_, path)| path.clone()).collect()
    }

    /// Whether this one is among them.
    pub(super) fn has(&self, path: &Path) -> bool {
        self.files.contains_key(path)
    }

    /// Whether one more is taken.
    pub(super) fn has_room(&self) -> bool {
        self.files.len() < MOST
    }
}

#[cfg(test)]
#[path = "settle_tests.rs"]
mod tests;
