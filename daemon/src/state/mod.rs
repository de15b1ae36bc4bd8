//! What a client remembers of its uploads, in `state/queue.db`: memberships, watched folders, and one
//! row for every upload, whether its file was found in a watched folder or queued by hand.
//!
//! `transfer` and `watch` ask it. It decides nothing: what an upload's end means, and when a file is
//! settled, they say. SQL never leaves this room, and one thread alone has the connection.

mod files;
mod folders;
mod format;
mod held;
mod leaving;
mod rows;
mod stamp;
mod turns;
mod uploads;
mod worker;

use std::path::{Path, PathBuf};

use imgrepo_proto::control::queue::{Rates, UploadId, UploadState};
use imgrepo_proto::control::watch::After;
use imgrepo_proto::{BlobHash, ErrorCode, ImageId, Refusal};
use jiff::Timestamp;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot, watch};

use crate::database;
use crate::host;

pub use held::Held;
pub use leaving::Leave;
pub use stamp::Stamp;

use format::FORMAT;
use leaving::Leaving;
use worker::{Durability, Fault, Job, Worker};

/// Jobs that may wait for the thread: who asks more waits to ask.
const JOBS: usize = 1024;

/// Content above this goes in the lane of the large ones. The schema has the same number.
pub const LARGE_ABOVE_BYTES: u64 = 1024 * 1024;

/// The handle. Cheap to clone.
#[derive(Debug, Clone)]
pub struct State {
    jobs: mpsc::Sender<Job>,
    changed: watch::Sender<u64>,
    leaving: Leaving,
}

/// A person in a repository: whose queue and whose folders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MembershipId(i64);

/// A watched folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FolderId(i64);

/// A watched folder, as it is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// Its number, never given twice.
    pub id: FolderId,
    /// Whose it is.
    pub membership: MembershipId,
    /// Where it is.
    pub path: PathBuf,
    /// What becomes of its files after their receipt.
    pub after: After,
    /// Whether it was told to pause.
    pub paused: bool,
    /// Device and inode of the directory that the path led to when it was last there.
    pub root: Option<(u64, u64)>,
    /// When all of it was last looked at.
    pub scanned_at: Option<Timestamp>,
}

/// A file that was seen in a watched folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Where, absolute.
    pub path: PathBuf,
    /// The name that its image shall have.
    pub name: String,
    /// As it was looked at.
    pub stamp: Stamp,
    /// How it is.
    pub how: How,
}

/// How a file that was seen is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    /// A program may still write it.
    Settling,
    /// Nobody writes it any more: it is to be uploaded.
    Settled,
    /// It is not to be uploaded, and why.
    Ignored(Refusal),
}

/// A file that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Its upload.
    pub id: UploadId,
    /// Where it is.
    pub path: PathBuf,
    /// As it was when it was last seen.
    pub stamp: Stamp,
    /// How its upload stands.
    pub state: UploadState,
}

/// A file that the server has, and that was not put away yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Its upload.
    pub id: UploadId,
    /// Where it is.
    pub path: PathBuf,
    /// As it was when it was read.
    pub stamp: Stamp,
    /// The content that the server has.
    pub hash: BlobHash,
}

/// An upload to queue by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewUpload {
    /// Whose.
    pub membership: MembershipId,
    /// Where its content is.
    pub content: QueuedContent,
    /// The image's name, checked.
    pub name: String,
    /// As the file was looked at.
    pub stamp: Stamp,
    /// Refuse (`deleted`) what this person has deleted, instead of bringing it back.
    pub unless_deleted: bool,
}

/// Where the content of an upload is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueuedContent {
    /// In a file, at this absolute path.
    File(PathBuf),
    /// In the spool, under this number.
    Spooled(u64),
}

/// An upload whose turn has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// Its number.
    pub id: UploadId,
    /// Where its content is.
    pub content: QueuedContent,
    /// The watched folder that it was found in.
    pub folder: Option<FoundIn>,
    /// The image's name.
    pub name: String,
    /// As the file was when it was queued.
    pub stamp: Stamp,
    /// Its content's hash, where it was read before.
    pub hash: Option<BlobHash>,
    /// Refuse what this person has deleted.
    pub unless_deleted: bool,
    /// How often it was begun, this time too.
    pub attempts: u32,
    /// Passing faults since something went well.
    pub faults: u32,
}

/// The watched folder of an upload whose turn has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundIn {
    /// Its number.
    pub id: FolderId,
    /// Where it is.
    pub path: PathBuf,
    /// Device and inode of the directory that the path led to when it was last there.
    pub root: Option<(u64, u64)>,
}

/// The uploads whose turn has come, and when the next one waits for its.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Turns {
    /// They are `sending` now.
    pub turns: Vec<Turn>,
    /// When the earliest of those that wait is due.
    pub retry_at: Option<Timestamp>,
}

/// Which of the two lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Up to [`LARGE_ABOVE_BYTES`].
    Small,
    /// Above.
    Large,
}

/// What an attempt came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The server's receipt.
    Receipt {
        /// Of this content.
        hash: BlobHash,
        /// The image that it is.
        image: ImageId,
        /// Whether the server had it before.
        duplicate: bool,
    },
    /// Not to be uploaded; by the word of this server, where another version's may differ.
    Ignored(Refusal, Option<String>),
    /// Refused by this server (name and version).
    Refused(Refusal, String),
    /// It cannot be read, or went away.
    Failed(Refusal),
    /// A passing fault; tried again then, or as soon as there is a session.
    Waiting(Refusal, Option<Timestamp>),
    /// It is written again, or was changed: the watcher has to say when it is settled.
    Settling,
    /// Nothing was wrong with it: its turn comes again.
    Queued,
    /// The file is gone, and with it what was known of it.
    Gone,
}

/// What a person told the queue, across restarts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Told {
    /// Send nothing.
    pub paused: bool,
    /// The limits of transfers.
    pub rates: Rates,
}

impl State {
    /// Opens the file, made where there is none, and starts its thread. What was `sending` when a
    /// process ended is `queued`. Blocks.
    ///
    /// # Errors
    /// `file_error`: a file that is damaged, another program's or of a newer version, which is left
    /// as it is; or a disk that fails.
    pub fn open(path: &Path) -> Result<State, Refusal> {
        let opened = database::open(path, &FORMAT);
        let connection = opened.map_err(|error| format::refusal(&error))?;
        let unusable = |error: &dyn std::fmt::Display| {
            let shown = path.display();
            Refusal::new(ErrorCode::FileError, format!("cannot open the queue `{shown}`: {error}"))
        };
        turns::begin_anew(&connection).map_err(|error| unusable(&error))?;
        let (jobs, taken) = mpsc::channel(JOBS);
        let changed = watch::Sender::new(0);
        let worker = Worker::new(connection, path.to_owned(), taken, changed.clone());
        // It ends with the last handle, or in order by `close`, which waits for it.
        if host::is_simulated() {
            tokio::spawn(worker.run_as_task());
        } else {
            let thread = std::thread::Builder::new().name("state".to_owned());
            thread.spawn(move || worker.run()).map_err(|error| unusable(&error))?;
        }
        Ok(State { jobs, changed, leaving: Leaving::default() })
    }

    /// Does what was asked before, and closes the file. What is asked later is `shutting_down`.
    pub async fn close(&self) {
        let (answer, closed) = oneshot::channel();
        if self.jobs.send(Job::Close(answer)).await.is_ok() {
            let _ = closed.await;
        }
    }

    /// Grows whenever something was changed.
    #[must_use]
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Asks for something that has to survive a power cut.
    async fn keep<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Refusal> {
        self.ask(Durability::Synced, act).await
    }

    /// What only reads: it is answered on a full disk too, whatever is to be written meanwhile.
    async fn read<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Refusal> {
        self.ask(Durability::Read, act).await
    }

    /// Asks for something that is found again after one.
    async fn soon<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Refusal> {
        self.ask(Durability::Soon, act).await
    }

    async fn ask<T: Send + 'static>(
        &self,
        durability: Durability,
        act: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Refusal> {
        let ended = || Refusal::new(ErrorCode::ShuttingDown, "the daemon is about to end");
        let (job, answered) = Job::new(durability, act);
        self.jobs.send(job).await.map_err(|_| ended())?;
        answered.await.unwrap_or_else(|_| Err(ended()))
    }
}
