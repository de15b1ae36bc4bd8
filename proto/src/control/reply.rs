//! What the daemon answers on the local socket.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::finding::Finding;
use super::maintenance::{MaintenanceItem, MaintenanceOutcome};
use super::people::PeopleOutcome;
use super::queue::{QueueStatus, QueuedUpload, Rates, TransferStatus, UploadId};
use super::watch::{FileStory, FolderStatus};
use super::window::{Opened, WindowItem};
use crate::error::Refusal;
use crate::image::{ImageRecord, RepositoryId, Seq};
use crate::session::command::Program;
use crate::session::event::Event;
use crate::session::people::DeviceId;
use crate::session::reply::{HaveReply, ListReply, SizeInfo};
use crate::session::view::Exif;

/// A frame of the daemon: an item of the request under way, or its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// How far a transfer has come. At most ten a second.
    Progress(Progress),
    /// What a download will carry.
    Size(Size),
    /// The next bytes of a download.
    Data(#[serde(with = "bytes_as_bin")] Vec<u8>),
    /// Something that happened in the repository.
    Event(Box<Event>),
    /// How the queue stands.
    Queue(Box<QueueStatus>),
    /// What the window is told.
    Window(WindowItem),
    /// How work on the repository goes on.
    Maintenance(MaintenanceItem),
    /// The end: carried out.
    Done(Box<Outcome>),
    /// The end: not carried out.
    Refused(Refusal),
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// There is nothing to tell.
    Nothing,
    /// How everything is.
    Status(Box<Status>),
    /// A record, changed where the request changes it.
    Image(ImageRecord),
    /// A stored image.
    Stored {
        /// Its record.
        image: ImageRecord,
        /// Whether this person had stored this content before.
        duplicate: bool,
    },
    /// A page of records.
    Images(ListReply),
    /// How many images are gone for ever.
    Purged(u64),
    /// The daemon cannot open the file that an upload names: where the program can, it streams it.
    OutOfReach,
    /// An upload is in the queue, durably.
    Queued(UploadId),
    /// A page of the queue.
    Uploads {
        /// The uploads.
        uploads: Vec<QueuedUpload>,
        /// Where the next page begins.
        next: Option<UploadId>,
    },
    /// How many uploads of the queue were changed.
    Changed(u64),
    /// The queue.
    Queue(QueueStatus),
    /// Watched folders.
    Folders(Vec<FolderStatus>),
    /// What is known of a file.
    File(Box<FileStory>),
    /// Which contents the repository has.
    Have(HaveReply),
    /// The limits of transfers.
    Rates(Rates),
    /// What was found.
    Findings(Vec<Finding>),
    /// What the camera wrote into an image.
    Exif(Box<Option<Exif>>),
    /// What was asked about people.
    People(Box<PeopleOutcome>),
    /// What the window was asked to show.
    Window(Box<Opened>),
    /// A repository was left for good.
    Left(Left),
    /// What came of work on the repository.
    Maintenance(MaintenanceOutcome),
}

/// A repository that was left for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// Where it was.
    pub url: String,
    /// As whom.
    pub user: String,
    /// The device that this computer was there; None for a guest.
    pub device: Option<DeviceId>,
    /// Whether it was revoked. Where it was not, it stands there until somebody revokes it.
    pub revoked: bool,
}

/// How far a transfer has come, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// What it is doing.
    pub phase: Phase,
    /// Bytes that are safely over.
    pub done: u64,
    /// Bytes in all.
    pub total: u64,
}

/// What a transfer is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Reading the file for its hash.
    Hashing,
    /// Bytes are under way.
    Sending,
    /// The session is away; it goes on when it is back.
    Waiting,
}

/// What a download will carry. From an old (v1) server the hash is not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// The image's number.
    pub image: crate::image::ImageId,
    /// Size, name, hash and media type.
    pub info: Info,
}

/// As [`SizeInfo`], with what an old server does not tell left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info {
    /// Bytes of the whole content.
    pub size: u64,
    /// The image's name.
    pub name: String,
    /// The whole content's hash.
    pub hash: Option<crate::image::BlobHash>,
    /// Its media type.
    pub media_type: Option<String>,
}

impl From<SizeInfo> for Info {
    fn from(info: SizeInfo) -> Self {
        Info {
            size: info.size,
            name: info.name,
            hash: Some(info.hash),
            media_type: info.media_type,
        }
    }
}

/// How everything is: `imgctl status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The daemon itself.
    pub daemon: DaemonStatus,
    /// Its session to the repository.
    pub session: SessionStatus,
    /// The server that it is, where it is one.
    pub server: Option<ServerStatus>,
    /// The durable queue.
    #[serde(default)]
    pub queue: QueueStatus,
    /// The watched folders.
    #[serde(default)]
    pub folders: Vec<FolderStatus>,
    /// Transfers under way, at most 100 of them.
    #[serde(default)]
    pub transfers: Vec<TransferStatus>,
    /// The limits of transfers.
    #[serde(default)]
    pub rates: Rates,
    /// Why queue and folders are not told, where their state cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unread: Option<Refusal>,
    /// State files that were corrupt and are kept aside: what is not known for that, and what to do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aside: Vec<Refusal>,
}

/// The daemon itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaemonStatus {
    /// Its version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// When it started.
    pub started_at: Timestamp,
    /// The configuration file that it reads, whether or not it is there.
    #[serde(with = "super::path")]
    pub config: PathBuf,
    /// Transfers under way at this moment.
    pub transfers: u32,
    /// What starts it at login, such as `systemd`; None where nothing does.
    #[serde(default)]
    pub autostart: Option<String>,
}

/// The session to the repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionStatus {
    /// How it stands.
    pub state: SessionState,
    /// Where to; None when never told.
    pub url: Option<String>,
    /// As whom.
    pub user: String,
    /// `v1` or `v2`, while connected.
    pub dialect: Option<String>,
    /// The server's name and version, while connected by v2.
    pub server: Option<Program>,
    /// The repository, while connected by v2.
    pub repository: Option<RepositoryId>,
    /// What this person is there.
    pub role: Option<String>,
    /// What this person may do there, in the server's words; empty while it is not known.
    #[serde(default)]
    pub can: Vec<String>,
    /// How it goes, while connected.
    #[serde(default)]
    pub transport: Option<Transport>,
    /// The newest event seen.
    pub seq: Option<Seq>,
    /// Since when it stands so.
    pub since: Timestamp,
    /// When it is tried again, while waiting.
    pub retry_at: Option<Timestamp>,
    /// Why it is not connected.
    pub error: Option<Refusal>,
    /// What a person should know, such as that an old server may store an image twice after a cut.
    pub notice: Option<String>,
}

impl SessionStatus {
    /// One of which no more is known.
    #[must_use]
    pub fn new(state: SessionState, url: Option<String>, user: String, since: Timestamp) -> Self {
        SessionStatus {
            state,
            url,
            user,
            dialect: None,
            server: None,
            repository: None,
            role: None,
            can: Vec::new(),
            transport: None,
            seq: None,
            since,
            retry_at: None,
            error: None,
            notice: None,
        }
    }
}

/// How a session goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// Within the daemon's own process.
    Local,
    /// In the clear.
    Plain,
    /// By TLS, to the key that the invitation named.
    Pinned,
    /// By TLS, to a certificate of an authority that this system trusts.
    Authorities,
}

/// How a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionState {
    /// Offline by choice, or never told where to connect.
    Offline,
    /// Dialing.
    Connecting,
    /// Up.
    Connected,
    /// Down; it is tried again at `retry_at`.
    Waiting,
    /// The server refused; it is not tried again by itself.
    Refused,
}

/// The server that the daemon is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerStatus {
    /// Where it listens, such as `127.0.0.1:8765`.
    pub listen: String,
    /// Whether anyone who reaches it may use it.
    pub guests: bool,
    /// What who comes without an account may do: `no`, `view` or `upload`.
    #[serde(default)]
    pub guests_may: String,
    /// The fingerprint of its key, where it encrypts by itself.
    #[serde(default)]
    pub fingerprint: Option<String>,
    /// Where others reach it, the best first.
    #[serde(default)]
    pub addresses: Vec<String>,
    /// What it takes at most.
    #[serde(default)]
    pub limits: Vec<LimitStatus>,
    /// Sessions that are open, its own included.
    pub sessions: u32,
    /// Images that are listed.
    pub images: u64,
    /// The pictures of them that are made for looking at them; None where none are.
    #[serde(default)]
    pub pictures: Option<PicturesStatus>,
    /// Where it keeps them.
    #[serde(with = "super::path")]
    pub data: PathBuf,
}

/// The making of pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PicturesStatus {
    /// Images whose pictures are to be made.
    pub waiting: u64,
    /// Whether there may be more: it is still looked.
    pub is_searching: bool,
}

/// One of a server's limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitStatus {
    /// Its key in the configuration file, such as `max_sessions`; of one that is fixed, its name.
    pub key: String,
    /// Its value with its unit, such as `10,000` or `64 MiB`.
    pub value: String,
    /// How much of it is in use, where that is known.
    pub used: Option<String>,
    /// Whether the configuration file cannot change it.
    pub fixed: bool,
    /// Whether the configuration file gives it; the default holds where it does not.
    #[serde(default)]
    pub in_file: bool,
}

/// Content as MessagePack's `bin`, not as a list of numbers.
pub(super) mod bytes_as_bin {
    use serde::de::{Deserializer, Error, Visitor};
    use serde::ser::Serializer;

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(bytes)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        struct Bin;
        impl Visitor<'_> for Bin {
            type Value = Vec<u8>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }
            fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
                Ok(bytes)
            }
        }
        from.deserialize_byte_buf(Bin)
    }
}
