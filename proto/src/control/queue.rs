//! What the local socket says of the durable queue: uploads that are kept until the server's
//! receipt, whatever happens meanwhile. Used by requests, replies and `imgctl`; decides nothing.

use std::fmt;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::reply::Phase;
use crate::error::Refusal;
use crate::image::{BlobHash, ImageId};

/// An upload's number in the queue, unique in one daemon for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UploadId(pub u64);

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What can be asked of the queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueueRequest {
    /// A page of it, the oldest first. Answered by [`super::Outcome::Uploads`].
    Ls {
        /// Those that are done or ignored too.
        all: bool,
        /// After this one.
        after: Option<UploadId>,
        /// At most so many.
        limit: u32,
    },
    /// Try again what failed, was refused or ignored; what was cancelled only by its number. Answered
    /// by [`super::Outcome::Changed`].
    Retry(Which),
    /// Give up what is not done. Answered by [`super::Outcome::Changed`].
    Cancel(Which),
    /// Send nothing more until it is resumed, across restarts too. Answered by
    /// [`super::Outcome::Nothing`].
    Pause,
    /// Go on. Answered by [`super::Outcome::Nothing`].
    Resume,
}

/// Which uploads of the queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Which {
    /// All to which it applies.
    All,
    /// These. One that is not there is `not_found`, and nothing is changed.
    These(Vec<UploadId>),
}

/// How an upload of the queue stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UploadState {
    /// Seen in a watched folder; a program still writes it, or may.
    Settling,
    /// Its turn will come.
    Queued,
    /// Bytes are under way.
    Sending,
    /// A passing fault stopped it; it is tried again by itself.
    Waiting,
    /// The server's receipt is here.
    Stored,
    /// The server had it from this person already; that is a receipt too.
    Duplicate,
    /// Of a watched folder, and not to be uploaded: not an image, or deleted in the repository.
    Ignored,
    /// The server refused it; it is tried again when the server's version changes, and what was
    /// denied when the person's role allows it.
    Refused,
    /// It cannot be read, or went away.
    Failed,
    /// A person gave it up.
    Cancelled,
}

impl UploadState {
    /// Its word on the command line and in JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            UploadState::Settling => "settling",
            UploadState::Queued => "queued",
            UploadState::Sending => "sending",
            UploadState::Waiting => "waiting",
            UploadState::Stored => "stored",
            UploadState::Duplicate => "duplicate",
            UploadState::Ignored => "ignored",
            UploadState::Refused => "refused",
            UploadState::Failed => "failed",
            UploadState::Cancelled => "cancelled",
        }
    }

    /// Whether it goes on by itself.
    #[must_use]
    pub fn is_open(self) -> bool {
        use UploadState::{Queued, Sending, Settling, Waiting};
        matches!(self, Settling | Queued | Sending | Waiting)
    }

    /// Whether a person should look at it: it ended without a receipt and without being told to.
    #[must_use]
    pub fn is_fault(self) -> bool {
        matches!(self, UploadState::Refused | UploadState::Failed)
    }
}

/// One upload of the queue, with its story.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuedUpload {
    /// Its number.
    pub id: UploadId,
    /// The file; None for a content that was streamed to the daemon.
    #[serde(with = "super::path::optional")]
    pub path: Option<PathBuf>,
    /// The watched folder that it was found in.
    #[serde(with = "super::path::optional")]
    pub folder: Option<PathBuf>,
    /// The image's name.
    pub name: String,
    /// How it stands.
    pub state: UploadState,
    /// Bytes of the file.
    pub size: u64,
    /// Bytes that the server has, while it is sending.
    pub done: Option<u64>,
    /// Its content's hash, once it was read.
    pub hash: Option<BlobHash>,
    /// The image that it became, or was already.
    pub image: Option<ImageId>,
    /// When it was first seen, or asked for.
    pub seen_at: Timestamp,
    /// When nobody wrote it any more and it was queued.
    pub queued_at: Option<Timestamp>,
    /// When it was read for its hash.
    pub hashed_at: Option<Timestamp>,
    /// When its first bytes were sent, the last time.
    pub sent_at: Option<Timestamp>,
    /// When it ended: of what is stored or duplicate, the receipt.
    pub ended_at: Option<Timestamp>,
    /// How often it was begun.
    pub attempts: u32,
    /// When it is tried again, while waiting.
    pub retry_at: Option<Timestamp>,
    /// What went wrong last.
    pub error: Option<Refusal>,
    /// Where the file is now, when it was moved after the receipt.
    #[serde(with = "super::path::optional")]
    pub moved_to: Option<PathBuf>,
}

/// How many uploads are in each state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// As [`UploadState::Settling`].
    pub settling: u64,
    /// As [`UploadState::Queued`].
    pub queued: u64,
    /// As [`UploadState::Sending`].
    pub sending: u64,
    /// As [`UploadState::Waiting`].
    pub waiting: u64,
    /// As [`UploadState::Stored`].
    pub stored: u64,
    /// As [`UploadState::Duplicate`].
    pub duplicate: u64,
    /// As [`UploadState::Ignored`].
    pub ignored: u64,
    /// As [`UploadState::Refused`].
    pub refused: u64,
    /// As [`UploadState::Failed`].
    pub failed: u64,
    /// As [`UploadState::Cancelled`].
    pub cancelled: u64,
}

impl Counts {
    /// The count of a state.
    pub fn of(&mut self, state: UploadState) -> &mut u64 {
        match state {
            UploadState::Settling => &mut self.settling,
            UploadState::Queued => &mut self.queued,
            UploadState::Sending => &mut self.sending,
            UploadState::Waiting => &mut self.waiting,
            UploadState::Stored => &mut self.stored,
            UploadState::Duplicate => &mut self.duplicate,
            UploadState::Ignored => &mut self.ignored,
            UploadState::Refused => &mut self.refused,
            UploadState::Failed => &mut self.failed,
            UploadState::Cancelled => &mut self.cancelled,
        }
    }

    /// Those that go on by themselves.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.settling + self.queued + self.sending + self.waiting
    }

    /// Those that a person should look at.
    #[must_use]
    pub fn faults(&self) -> u64 {
        self.refused + self.failed
    }
}

/// The queue as a whole: that of the person in the repository to which the daemon is, or was last,
/// connected.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct QueueStatus {
    /// How many are in each state.
    pub counts: Counts,
    /// Bytes of all that are open.
    pub bytes_left: u64,
    /// Whether it was told to pause.
    pub paused: bool,
    /// Uploads that wait for another repository or another person of this one.
    pub elsewhere: u64,
    /// Why the one of those that wait which is tried next was not taken; None where none waits, or
    /// all for the session alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits: Option<Refusal>,
}

/// Which way a transfer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// To the server.
    Up,
    /// From the server.
    Down,
}

/// A transfer that is under way at this moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferStatus {
    /// The image's name.
    pub name: String,
    /// Which way.
    pub direction: Direction,
    /// What it is doing.
    pub phase: Phase,
    /// Bytes that are safely over.
    pub done: u64,
    /// Bytes in all.
    pub total: u64,
    /// Its number, where it is one of the queue.
    pub queued: Option<UploadId>,
}

/// Limits of all transfers together, in bytes a second; None is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rates {
    /// To the server.
    pub up: Option<u64>,
    /// From the server.
    pub down: Option<u64>,
}
