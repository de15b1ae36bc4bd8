//! What happened in a repository: `{"event":"NEW_UPLOAD","seq":1042,"at":"...","by":"ana","image":{...}}`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::image::{ImageRecord, Seq};

/// A change of a repository, as everyone hears of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// What happened.
    pub event: EventKind,
    /// Its place in the history. None from an old (v1) server.
    pub seq: Option<Seq>,
    /// When. None from an old server.
    pub at: Option<Timestamp>,
    /// The name of the person who did it. None from an old server.
    pub by: Option<String>,
    /// The record as it was then. None from an old server.
    pub image: Option<ImageRecord>,
    /// The words of an old server, which tells no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Kinds of events. One that this version does not know is kept as its word.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum EventKind {
    /// An image is new.
    NewUpload,
    /// An image has another name.
    Renamed,
    /// An image went to the trash.
    Deleted,
    /// An image came back from the trash.
    Restored,
    /// An image is gone for ever.
    Purged,
    /// Anything newer.
    Other(String),
}

impl EventKind {
    /// Its word on the wire.
    #[must_use]
    pub fn word(&self) -> &str {
        match self {
            EventKind::NewUpload => "NEW_UPLOAD",
            EventKind::Renamed => "RENAMED",
            EventKind::Deleted => "DELETED",
            EventKind::Restored => "RESTORED",
            EventKind::Purged => "PURGED",
            EventKind::Other(word) => word,
        }
    }
}

impl From<String> for EventKind {
    fn from(word: String) -> Self {
        match word.as_str() {
            "NEW_UPLOAD" => EventKind::NewUpload,
            "RENAMED" => EventKind::Renamed,
            "DELETED" => EventKind::Deleted,
            "RESTORED" => EventKind::Restored,
            "PURGED" => EventKind::Purged,
            _ => EventKind::Other(word),
        }
    }
}

impl From<EventKind> for String {
    fn from(kind: EventKind) -> String {
        kind.word().to_owned()
    }
}
