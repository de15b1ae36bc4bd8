//! What a server says to a client in v2, but for contents ([`super::data`]).
//!
//! The server encodes with [`ServerMessage::encode`], a client decodes with
//! [`ServerMessage::decode`] and reads a SUCCESS's `data` as the type that its command calls for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::command::{Program, RequestId};
use super::event::Event;
use crate::error::{ErrorCode, Refusal};
use crate::image::{BlobHash, ImageId, ImageRecord, RepositoryId, Seq};
use crate::limits::{MAX_ERROR_MESSAGE_BYTES, SessionLimits};

/// A text message of a server.
#[derive(Debug, Clone)]
pub enum ServerMessage {
    /// The final reply of a request that was carried out. `data` is JSON: [`AuthReply`] and so on.
    Success {
        /// The request.
        id: RequestId,
        /// Its outcome.
        data: Box<RawValue>,
    },
    /// The final reply of a request that was not, or of a message that is no request (no id).
    Error {
        /// The request.
        id: Option<RequestId>,
        /// Why.
        refusal: Refusal,
    },
    /// The server takes this upload's content, from this absolute offset.
    Ready {
        /// The UPLOAD.
        id: RequestId,
        /// The first byte that the server does not have.
        offset: u64,
    },
    /// What this download's data messages will carry.
    SizeInfo {
        /// The DOWNLOAD.
        id: RequestId,
        /// Of what.
        info: SizeInfo,
    },
    /// Bytes of this upload that the server has taken and written: its absolute offset.
    Ack {
        /// The UPLOAD.
        id: RequestId,
        /// The first byte that was not.
        offset: u64,
    },
    /// The reply to DISCONNECT; the server closes the session now.
    Bye {
        /// The DISCONNECT.
        id: RequestId,
        /// A word for people.
        message: String,
    },
    /// Something happened in the repository.
    Event(Box<Event>),
    /// This person is something else here from now on. An event to look at, but the session's alone:
    /// it has no place in the history.
    Actor(Actor),
    /// The server has lost more contents: LOST says which of this person's.
    Lost,
}

/// The word of [`ServerMessage::Lost`] on the wire.
const LOST: &str = "LOST";

/// The word of [`ServerMessage::Actor`] on the wire.
const ACTOR: &str = "ACTOR";

/// What a person is here, in AUTH's words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// As in [`AuthReply`].
    pub role: String,
    /// As in [`AuthReply`].
    pub can: Vec<String>,
}

/// What a download's data messages will carry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SizeInfo {
    /// Bytes of the whole content.
    pub size: u64,
    /// The image's name.
    pub name: String,
    /// The whole content's hash.
    pub hash: BlobHash,
    /// Its media type.
    pub media_type: Option<String>,
}

/// `data` of AUTH.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthReply {
    /// The server's name and version.
    pub server: Program,
    /// Which repository this is.
    pub repository: RepositoryId,
    /// What the server takes.
    pub limits: SessionLimits,
    /// What this person is here: `owner`, `admin`, `member`, `viewer` or `guest`.
    pub role: String,
    /// What this person may do: `list`, `download`, `upload`, `change_own`, `change_all`, `people`.
    pub can: Vec<String>,
    /// The newest event.
    pub seq: Seq,
    /// Whether the server has lost contents: LOST says which of this person's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lost: bool,
}

/// `data` of INFO, RENAME, DELETE and RESTORE.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageReply {
    /// The record, changed where the command changes it.
    pub image: ImageRecord,
}

/// `data` of UPLOAD.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadReply {
    /// The record.
    pub image: ImageRecord,
    /// Whether this person had stored this content before.
    pub duplicate: bool,
}

/// `data` of LIST.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListReply {
    /// A page of records.
    pub images: Vec<ImageRecord>,
    /// The cursor of the next page; null at the end.
    pub next: Option<String>,
    /// How many records the filter keeps, where that is cheap to say.
    pub total: Option<u64>,
}

/// `data` of HAVE.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HaveReply {
    /// The images, visible to this person, of each content that was asked for.
    pub have: BTreeMap<BlobHash, Vec<ImageId>>,
}

/// `data` of LOST.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostReply {
    /// Contents that this person has listed images of, and that the server cannot give any more.
    pub lost: Vec<LostContent>,
    /// `after` of the next page; null where there is none. A page may be empty and have one.
    pub next: Option<BlobHash>,
}

/// A content that the server cannot give any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostContent {
    /// Its hash.
    pub hash: BlobHash,
    /// Bytes that it has.
    pub size: u64,
}

/// `data` of DOWNLOAD.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DownloadReply {
    /// The whole content's hash.
    pub hash: BlobHash,
}

/// `data` of PURGE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgeReply {
    /// How many images are gone for ever.
    pub purged: u64,
}

/// `data` of EVENTS.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventsReply {
    /// A page of events, oldest first.
    pub events: Vec<Event>,
    /// `since` of the next page; null where no more has happened.
    pub next: Option<Seq>,
}

/// A server's text message that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the server's message: {0}")]
pub struct BadReply(String);

#[derive(Deserialize)]
struct Envelope {
    #[serde(default)]
    id: Option<RequestId>,
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    event: Option<String>,
    #[serde(default)]
    data: Option<Box<RawValue>>,
    #[serde(default)]
    code: Option<ErrorCode>,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    hint: Option<String>,
    #[serde(default)]
    offset: Option<u64>,
}

#[derive(Serialize)]
struct Outgoing<'a, T: Serialize> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<RequestId>,
    status: &'a str,
    #[serde(flatten)]
    rest: T,
}

#[derive(Serialize)]
struct ActorOut<'a> {
    event: &'a str,
    #[serde(flatten)]
    actor: &'a Actor,
}

#[derive(Serialize)]
struct LostOut<'a> {
    event: &'a str,
}

#[derive(Serialize)]
struct Offset {
    offset: u64,
}

#[derive(Serialize)]
struct Message<'a> {
    message: &'a str,
}

#[derive(Serialize)]
struct SuccessOut<'a, T: Serialize> {
    id: RequestId,
    status: &'a str,
    data: &'a T,
}

/// JSON of a value that always has one.
pub(crate) fn to_json<T: Serialize>(value: &T) -> String {
    // Our own types have string keys and no fallible parts, so this never fails; were one added
    // that does, its message would come out empty, which no peer takes for anything else.
    serde_json::to_string(value).unwrap_or_default()
}

/// The text of a SUCCESS, without a detour over [`ServerMessage`].
#[must_use]
pub fn encode_success<T: Serialize>(id: RequestId, data: &T) -> String {
    to_json(&SuccessOut { id, status: "SUCCESS", data })
}

impl ServerMessage {
    /// The text message that carries this.
    #[must_use]
    pub fn encode(&self) -> String {
        match self {
            ServerMessage::Success { id, data } => encode_success(*id, data),
            ServerMessage::Error { id, refusal } => match cut(&refusal.message) {
                Some(message) => outgoing(*id, "ERROR", Refusal { message, ..refusal.clone() }),
                None => outgoing(*id, "ERROR", refusal),
            },
            ServerMessage::Ready { id, offset } => {
                outgoing(Some(*id), "READY", Offset { offset: *offset })
            }
            ServerMessage::SizeInfo { id, info } => outgoing(Some(*id), "SIZE_INFO", info),
            ServerMessage::Ack { id, offset } => {
                outgoing(Some(*id), "ACK", Offset { offset: *offset })
            }
            ServerMessage::Bye { id, message } => outgoing(Some(*id), "BYE", Message { message }),
            ServerMessage::Event(event) => to_json(event),
            ServerMessage::Lost => to_json(&LostOut { event: LOST }),
            ServerMessage::Actor(actor) => to_json(&ActorOut { event: ACTOR, actor }),
        }
    }

    /// Reads a text message of a server.
    ///
    /// # Errors
    /// What is none of these messages.
    pub fn decode(text: &str) -> Result<ServerMessage, BadReply> {
        let bad = |error: serde_json::Error| BadReply(error.to_string());
        let missing = |member: &str| BadReply(format!("it has no `{member}`"));
        let envelope: Envelope = serde_json::from_str(text).map_err(bad)?;
        let Some(status) = envelope.status.as_deref() else {
            let event = match envelope.event.as_deref() {
                None => return Err(BadReply("it has neither `status` nor `event`".to_owned())),
                Some(LOST) => Ok(ServerMessage::Lost),
                Some(ACTOR) => serde_json::from_str(text).map(ServerMessage::Actor),
                Some(_) => serde_json::from_str(text).map(|it| ServerMessage::Event(Box::new(it))),
            };
            return event.map_err(bad);
        };
        if status == "ERROR" {
            let bounded = |words: String| cut(&words).unwrap_or(words);
            let refusal = Refusal {
                code: envelope.code.unwrap_or(ErrorCode::Internal),
                message: envelope.message.map_or_else(|| "no reason was given".to_owned(), bounded),
                hint: envelope.hint.map(bounded),
            };
            return Ok(ServerMessage::Error { id: envelope.id, refusal });
        }
        let id = envelope.id.ok_or_else(|| missing("id"))?;
        let offset = || envelope.offset.ok_or_else(|| missing("offset"));
        Ok(match status {
            "SUCCESS" => ServerMessage::Success {
                id,
                data: match envelope.data {
                    Some(data) => data,
                    None => serde_json::value::to_raw_value(&()).map_err(bad)?,
                },
            },
            "READY" => ServerMessage::Ready { id, offset: offset()? },
            "ACK" => ServerMessage::Ack { id, offset: offset()? },
            "SIZE_INFO" => {
                ServerMessage::SizeInfo { id, info: serde_json::from_str(text).map_err(bad)? }
            }
            "BYE" => ServerMessage::Bye { id, message: envelope.message.unwrap_or_default() },
            other => {
                return Err(BadReply(format!("`{}` is no status", crate::name::shown(other))));
            }
        })
    }
}

/// A message for people that is longer than any has to be, cut; None where it is not.
pub(crate) fn cut(message: &str) -> Option<String> {
    (message.len() > MAX_ERROR_MESSAGE_BYTES).then(|| {
        let end = message.floor_char_boundary(MAX_ERROR_MESSAGE_BYTES - '…'.len_utf8());
        format!("{}…", &message[..end])
    })
}

fn outgoing<T: Serialize>(id: Option<RequestId>, status: &str, rest: T) -> String {
    to_json(&Outgoing { id, status, rest })
}
