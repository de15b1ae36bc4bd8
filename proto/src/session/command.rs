//! What a client asks of a server in v2: `{"id":7,"cmd":"LIST","args":{...}}`.
//!
//! The server decodes with [`Request::decode`], a client encodes with [`Request::encode`]. Unknown
//! members are ignored, but not in a filter: a filter that is not understood must not widen a search.

use jiff::Timestamp;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::error::{ErrorCode, Refusal};
use crate::image::{BlobHash, ImageId, Seq};
use crate::limits;
use crate::name::ImageName;

/// A request's number: chosen by the client, from 1, strictly increasing within a session.
pub type RequestId = u32;

/// One request.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Its number.
    pub id: RequestId,
    /// What is asked.
    pub command: Command,
}

/// What can be asked.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Who is there, and since when events are missed. The first command.
    Auth(Auth),
    /// A content and its name follow.
    Upload(Upload),
    /// A page of records.
    List(List),
    /// One record.
    Info(Target),
    /// Which of these contents are here.
    Have(Have),
    /// A content.
    Download(Download),
    /// Bytes of a download that the client has taken: its absolute offset.
    Ack(u64),
    /// Gives up an earlier request.
    Cancel(Cancel),
    /// A new name for an image.
    Rename(Rename),
    /// An image to the trash.
    Delete(Target),
    /// An image out of the trash.
    Restore(Target),
    /// Images out of the trash and away for ever.
    Purge(Purge),
    /// A page of past events.
    Events(Events),
    /// The end of the session, in order.
    Disconnect,
}

/// The arguments of AUTH.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Auth {
    /// The person's name. Empty or missing is `anon`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The client's name and version, for the server's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<Program>,
    /// The last event that the client has seen: all after it follow the reply, then live ones.
    /// Missing: live events only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events_since: Option<Seq>,
}

/// A program's name and version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Such as `imgrepod`.
    pub name: String,
    /// Such as `0.1.0`.
    pub version: String,
}

/// The arguments of UPLOAD.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// The image's name; checked by the server ([`ImageName`]).
    pub name: String,
    /// Bytes of its content.
    pub size: u64,
    /// The content's hash. Without it there is no early duplicate and no resume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<BlobHash>,
    /// When it was taken, where the client knows better than the content; as in the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_at: Option<String>,
    /// Refuse (`deleted`) what this person has deleted, instead of bringing it back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unless_deleted: bool,
}

/// The arguments of LIST.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct List {
    /// Which records.
    #[serde(
        default,
        skip_serializing_if = "Filter::is_everything",
        deserialize_with = "Filter::from_object"
    )]
    pub filter: Filter,
    /// In which order.
    #[serde(default)]
    pub sort: Sort,
    /// Records in the page: 1 to [`limits::MAX_PAGE`]; [`limits::DEFAULT_PAGE`] when missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// `next` of the page before, with the same filter and order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// Which records a LIST gives: those that fit every member that is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Filter {
    /// A glob (`*`, `?`, `[a-z]`) over the whole name, without regard to case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// This exact name, in NFC and with regard to case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exact_name: Option<String>,
    /// Uploaded by the person of this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uploader: Option<String>,
    /// The name has this in it, without regard to case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Uploaded at this time or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uploaded_from: Option<Timestamp>,
    /// Uploaded before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uploaded_before: Option<Timestamp>,
    /// Of this media type, such as `image/png`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// Where the records are.
    #[serde(skip_serializing_if = "State::is_listed")]
    pub state: State,
}

impl Filter {
    /// A filter that is an object: an array of values in their order is not one.
    fn from_object<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Filter, D::Error> {
        let members = serde_json::Map::deserialize(deserializer)?;
        serde_json::from_value(serde_json::Value::Object(members)).map_err(D::Error::custom)
    }

    /// Whether it keeps every listed record.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        *self == Filter::default()
    }
}

/// Where an image is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// In the repository.
    #[default]
    Listed,
    /// In the trash: one's own, and for the owner everybody's.
    Trashed,
}

impl State {
    fn is_listed(&self) -> bool {
        *self == State::Listed
    }
}

/// The order of a LIST.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sort {
    /// By upload, the newest first.
    #[default]
    Newest,
    /// By upload, the oldest first.
    Oldest,
}

/// One image, by its number or by its exact name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Its number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageId>,
    /// Its exact name, where no number is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<ImageName>,
}

impl Target {
    /// The image of this number.
    #[must_use]
    pub fn id(image: ImageId) -> Self {
        Target { image: Some(image), name: None }
    }

    /// The image of this exact name.
    #[must_use]
    pub fn name(name: ImageName) -> Self {
        Target { image: None, name: Some(name) }
    }
}

/// The arguments of HAVE.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Have {
    /// At most [`limits::MAX_HAVE`].
    pub hashes: Vec<BlobHash>,
}

/// The arguments of DOWNLOAD.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Download {
    /// Which image.
    #[serde(flatten)]
    pub target: Target,
    /// The first byte that is wanted.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub offset: u64,
    /// How many bytes are wanted from there; all when missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
}

fn is_zero(value: &u64) -> bool {
    *value == 0
}

/// The arguments of CANCEL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancel {
    /// The request that is given up.
    pub request: RequestId,
}

/// The arguments of RENAME.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rename {
    /// Which image.
    pub image: ImageId,
    /// Its new name; checked by the server ([`ImageName`]).
    pub name: String,
}

/// The arguments of PURGE.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purge {
    /// One image of the trash. Missing: all of one's own, and for the owner everybody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageId>,
}

/// The arguments of EVENTS.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Events {
    /// The page begins after this event.
    #[serde(default)]
    pub since: Seq,
    /// Events in the page: 1 to [`limits::MAX_PAGE`]; [`limits::DEFAULT_PAGE`] when missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// A text message that is no request, with the number of the request where that could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRequest {
    /// The request that the ERROR names.
    pub id: Option<RequestId>,
    /// What is wrong.
    pub refusal: Refusal,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(default)]
    id: Option<serde_json::Number>,
    #[serde(default)]
    cmd: Option<String>,
    #[serde(default, borrow)]
    args: Option<&'a RawValue>,
    #[serde(default)]
    offset: Option<u64>,
}

#[derive(Serialize)]
struct OutgoingEnvelope<'a, A: Serialize> {
    id: RequestId,
    cmd: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    args: Option<A>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
}

impl Request {
    /// Reads a text message of a client.
    ///
    /// # Errors
    /// What is no JSON object, has no usable `id` (1 to 2^32-1), an unknown `cmd`, or arguments of
    /// the wrong shape. The session goes on.
    pub fn decode(text: &str) -> Result<Request, BadRequest> {
        let unreadable = |why: &dyn std::fmt::Display| BadRequest {
            id: None,
            refusal: Refusal::new(
                ErrorCode::BadRequest,
                format!("cannot read the message as a request: {why}"),
            ),
        };
        if !text.trim_start().starts_with('{') {
            return Err(unreadable(&"it is no JSON object"));
        }
        let envelope: Envelope<'_> =
            serde_json::from_str(text).map_err(|error| unreadable(&error))?;
        let id = envelope.id.as_ref().and_then(serde_json::Number::as_u64);
        let Some(id) = id.and_then(|id| RequestId::try_from(id).ok()).filter(|id| *id > 0) else {
            return Err(BadRequest {
                id: None,
                refusal: Refusal::new(
                    ErrorCode::BadRequest,
                    "a request needs an `id`, a whole number from 1 to 4294967295",
                ),
            });
        };
        let command = Command::decode(envelope.cmd.as_deref(), envelope.args, envelope.offset)
            .map_err(|refusal| BadRequest { id: Some(id), refusal })?;
        Ok(Request { id, command })
    }

    /// The text message that carries this request.
    #[must_use]
    pub fn encode(&self) -> String {
        match &self.command {
            Command::Auth(args) => self.envelope(Some(args)),
            Command::Upload(args) => self.envelope(Some(args)),
            Command::List(args) => self.envelope(Some(args)),
            Command::Info(args) | Command::Delete(args) | Command::Restore(args) => {
                self.envelope(Some(args))
            }
            Command::Have(args) => self.envelope(Some(args)),
            Command::Download(args) => self.envelope(Some(args)),
            Command::Cancel(args) => self.envelope(Some(args)),
            Command::Rename(args) => self.envelope(Some(args)),
            Command::Purge(args) => self.envelope(Some(args)),
            Command::Events(args) => self.envelope(Some(args)),
            Command::Ack(_) | Command::Disconnect => self.envelope(None::<&Auth>),
        }
    }

    fn envelope<A: Serialize>(&self, args: Option<A>) -> String {
        let offset = match self.command {
            Command::Ack(offset) => Some(offset),
            _ => None,
        };
        let envelope = OutgoingEnvelope { id: self.id, cmd: self.command.word(), args, offset };
        super::reply::to_json(&envelope)
    }
}

impl Command {
    /// Its word on the wire.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Command::Auth(_) => "AUTH",
            Command::Upload(_) => "UPLOAD",
            Command::List(_) => "LIST",
            Command::Info(_) => "INFO",
            Command::Have(_) => "HAVE",
            Command::Download(_) => "DOWNLOAD",
            Command::Ack(_) => "ACK",
            Command::Cancel(_) => "CANCEL",
            Command::Rename(_) => "RENAME",
            Command::Delete(_) => "DELETE",
            Command::Restore(_) => "RESTORE",
            Command::Purge(_) => "PURGE",
            Command::Events(_) => "EVENTS",
            Command::Disconnect => "DISCONNECT",
        }
    }

    fn decode(
        word: Option<&str>,
        args: Option<&RawValue>,
        offset: Option<u64>,
    ) -> Result<Command, Refusal> {
        let bad = |message: String| Refusal::new(ErrorCode::BadRequest, message);
        let word = word.ok_or_else(|| bad("a request needs a `cmd`".to_owned()))?;
        let upper = word.to_ascii_uppercase();
        Ok(match upper.as_str() {
            "AUTH" => Command::Auth(arguments(&upper, args)?),
            "UPLOAD" => Command::Upload(arguments(&upper, args)?),
            "LIST" => Command::List(List::decode(args)?),
            "INFO" => Command::Info(arguments(&upper, args)?),
            "HAVE" => Command::Have(Have::decode(args)?),
            "DOWNLOAD" => Command::Download(arguments(&upper, args)?),
            "ACK" => match offset {
                Some(offset) => Command::Ack(offset),
                None => return Err(bad("ACK needs an `offset` beside its id".to_owned())),
            },
            "CANCEL" => Command::Cancel(arguments(&upper, args)?),
            "RENAME" => Command::Rename(arguments(&upper, args)?),
            "DELETE" => Command::Delete(arguments(&upper, args)?),
            "RESTORE" => Command::Restore(arguments(&upper, args)?),
            "PURGE" => Command::Purge(arguments(&upper, args)?),
            "EVENTS" => Command::Events(arguments(&upper, args)?),
            "DISCONNECT" => Command::Disconnect,
            _ => {
                return Err(Refusal::new(
                    ErrorCode::Unsupported,
                    format!("there is no command `{}` here", crate::name::shown(word)),
                ));
            }
        })
    }
}

fn arguments<'a, A: Deserialize<'a>>(word: &str, args: Option<&'a RawValue>) -> Result<A, Refusal> {
    let args = args.map_or("{}", RawValue::get);
    // serde would read an array's elements as the members in their order, which nobody means.
    if !args.starts_with('{') {
        let message = format!("cannot read the arguments of {word}: `args` must be an object");
        return Err(Refusal::new(ErrorCode::BadRequest, message));
    }
    serde_json::from_str(args).map_err(|error| {
        Refusal::new(ErrorCode::BadRequest, format!("cannot read the arguments of {word}: {error}"))
    })
}

impl Have {
    /// Reads the arguments of HAVE. Too many are refused here, before any of them waits.
    fn decode(args: Option<&RawValue>) -> Result<Have, Refusal> {
        let have: Have = arguments("HAVE", args)?;
        let count = have.hashes.len();
        if count > limits::MAX_HAVE {
            let most = limits::MAX_HAVE;
            let message = format!("cannot look for {count} hashes at once, the limit is {most}");
            return Err(Refusal::new(ErrorCode::BadRequest, message));
        }
        Ok(have)
    }
}

impl List {
    /// Reads the arguments of LIST; a member of the filter that is not known is `unsupported`, and a
    /// text that is too long is refused here, before it waits for its turn.
    fn decode(args: Option<&RawValue>) -> Result<List, Refusal> {
        let list: List = arguments("LIST", args).map_err(|mut refusal| {
            if args.is_some_and(|args| List::unknown_member(args.get())) {
                refusal.code = ErrorCode::Unsupported;
            }
            refusal
        })?;
        let filter = &list.filter;
        for (member, text) in [
            ("name", &filter.name),
            ("exact_name", &filter.exact_name),
            ("uploader", &filter.uploader),
            ("text", &filter.text),
            ("media_type", &filter.media_type),
            ("cursor", &list.cursor),
        ] {
            let length = text.as_ref().map_or(0, String::len);
            if length > limits::MAX_FILTER_TEXT_BYTES {
                let most = limits::MAX_FILTER_TEXT_BYTES;
                let message =
                    format!("cannot list by a `{member}` of {length} bytes, the limit is {most}");
                return Err(Refusal::new(ErrorCode::BadRequest, message));
            }
        }
        Ok(list)
    }

    /// Whether the filter has a member, or a word for a state or an order, that is not known here.
    fn unknown_member(args: &str) -> bool {
        const MEMBERS: [&str; 8] = [
            "name",
            "exact_name",
            "uploader",
            "text",
            "uploaded_from",
            "uploaded_before",
            "media_type",
            "state",
        ];
        let Ok(args) = serde_json::from_str::<serde_json::Value>(args) else { return false };
        let unknown_word = |value: Option<&serde_json::Value>, known: &[&str]| {
            value.and_then(|value| value.as_str()).is_some_and(|word| !known.contains(&word))
        };
        let filter = args.get("filter").and_then(|filter| filter.as_object());
        unknown_word(args.get("sort"), &["newest", "oldest"])
            || filter.is_some_and(|filter| {
                filter.keys().any(|member| !MEMBERS.contains(&member.as_str()))
                    || unknown_word(filter.get("state"), &["listed", "trashed"])
            })
    }

    /// Records in the page that is asked for.
    #[must_use]
    pub fn page_size(&self) -> u32 {
        self.limit.unwrap_or(limits::DEFAULT_PAGE).clamp(1, limits::MAX_PAGE)
    }
}

impl Events {
    /// Events in the page that is asked for.
    #[must_use]
    pub fn page_size(&self) -> u32 {
        self.limit.unwrap_or(limits::DEFAULT_PAGE).clamp(1, limits::MAX_PAGE)
    }
}
