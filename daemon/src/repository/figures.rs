//! What a repository counts for its operator, and how it stands at the moment. Counted by the committer
//! and by whoever reads contents, each time by an atomic addition; read by the server's page of figures.

use imgrepo_proto::{Refusal, Seq};

use super::durable::SyncPoint;
use super::{MakingStatus, Repository, faults};
use crate::metrics::{Counter, Histogram};

/// Changes of one commit: alone, what a few people do at once, and full groups (128).
const GROUP_SIZES: &[u64] = &[1, 4, 16, 64, 127];

/// Microseconds of a commit: from a disk that takes no time to one that is in trouble.
const COMMIT_MICROS: &[u64] = &[1_000, 5_000, 20_000, 100_000, 1_000_000];

/// What has been counted since the process began.
#[derive(Debug)]
pub struct Figures {
    /// New images, whichever way they came.
    pub stored: Counter,
    /// Bytes of their contents.
    pub stored_bytes: Counter,
    /// Originals that were opened to be given out.
    pub downloads: Counter,
    /// Bytes that were read of them.
    pub download_bytes: Counter,
    /// Pictures of images that were opened to be given out.
    pub views: Counter,
    /// Changes of each commit.
    pub groups: Histogram,
    /// How long each took, in microseconds.
    pub commits: Histogram,
}

impl Default for Figures {
    fn default() -> Figures {
        Figures {
            stored: Counter::default(),
            stored_bytes: Counter::default(),
            downloads: Counter::default(),
            download_bytes: Counter::default(),
            views: Counter::default(),
            groups: Histogram::new(GROUP_SIZES),
            commits: Histogram::new(COMMIT_MICROS),
        }
    }
}

/// The journal of small contents, at a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct JournalStanding {
    /// Its files.
    pub segments: u64,
    /// Bytes of the contents that wait in them for their places.
    pub bytes: u64,
}

/// How a repository stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Images that are listed.
    pub listed: u64,
    /// Bytes of the images, those in the trash too.
    pub kept_bytes: u64,
    /// The newest change.
    pub newest: Seq,
    /// Changes that wait for the committer.
    pub waiting: u64,
    /// None where there is no journal.
    pub journal: Option<JournalStanding>,
    /// None where no pictures are made.
    pub making: Option<MakingStatus>,
}

impl Repository {
    /// What was counted so far.
    #[must_use]
    pub fn figures(&self) -> &Figures {
        &self.inner.figures
    }

    /// How often this process has waited for the disk, in each of the places where it does.
    pub fn syncs(&self) -> impl Iterator<Item = (&'static str, u64)> {
        // SQLite's own are counted by nobody here.
        let counted = SyncPoint::ALL.into_iter().filter(|point| *point != SyncPoint::Catalog);
        let counted = counted.chain([SyncPoint::Backup]);
        counted.map(|point| (point.word(), super::durable::counted(point)))
    }

    /// How it stands now.
    ///
    /// # Errors
    /// The disk's.
    pub async fn standing(&self) -> Result<Standing, Refusal> {
        let making = self.making();
        self.hop(move |inner| {
            let failed = |error| faults::catalog(&error);
            Ok(Standing {
                listed: inner.catalog.listed().map_err(failed)?,
                kept_bytes: inner.catalog.kept_bytes(None).map_err(failed)?,
                newest: inner.catalog.newest_seq().map_err(failed)?,
                waiting: inner.queue.waiting(),
                journal: inner.blobs.journal(),
                making,
            })
        })
        .await
    }
}
