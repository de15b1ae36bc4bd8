//! What a client can ask of a server in v2: the commands and their arguments. The envelope around
//! them is `request`'s, LIST's arguments are `list`'s. Unknown members are ignored, but not in a filter.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::error::{ErrorCode, Refusal};
use crate::image::{BlobHash, ImageId, Seq};
use crate::limits;
use crate::name::ImageName;
use crate::secret::Secret;

pub use super::kind::CommandKind;
pub use super::list::{Filter, List, Sort, State};
pub use super::people::{Audit, Devices, Disable, Invite, Join, People, Revoke, SetRole, Uninvite};
use super::request::arguments;
pub use super::request::{BadRequest, Request};
pub use super::view::{Variant, View};

/// A request's number: chosen by the client, from 1, strictly increasing within a session.
pub type RequestId = u32;

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
    /// Which contents the server has lost that this person uploaded.
    Lost(Lost),
    /// A content.
    Download(Download),
    /// A picture of an image, made for looking at it.
    View(View),
    /// What the camera wrote into an image.
    Exif(Target),
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
    /// An account and a device's credential, for one who was invited.
    Join(Join),
    /// A new invitation.
    Invite(Invite),
    /// The invitations.
    Invitations,
    /// An invitation lets in nobody any more.
    Uninvite(Uninvite),
    /// A page of the people.
    People(People),
    /// What an account may do.
    Role(SetRole),
    /// Whether an account is let in.
    Disable(Disable),
    /// The devices of a person.
    Devices(Devices),
    /// A device is let in no more.
    Revoke(Revoke),
    /// A page of the record of what was done to people and images.
    Audit(Audit),
    /// The end of the session, in order.
    Disconnect,
}

/// The arguments of AUTH.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Auth {
    /// The person's name. Empty or missing is `anon`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// What a device was given by JOIN. A guest has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<Secret>,
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

/// The arguments of LOST.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// Behind this one: the `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<BlobHash>,
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

impl Command {
    /// Which command it is.
    #[must_use]
    pub fn kind(&self) -> CommandKind {
        match self {
            Command::Auth(_) => CommandKind::Auth,
            Command::Upload(_) => CommandKind::Upload,
            Command::List(_) => CommandKind::List,
            Command::Info(_) => CommandKind::Info,
            Command::Have(_) => CommandKind::Have,
            Command::Lost(_) => CommandKind::Lost,
            Command::Download(_) => CommandKind::Download,
            Command::View(_) => CommandKind::View,
            Command::Exif(_) => CommandKind::Exif,
            Command::Ack(_) => CommandKind::Ack,
            Command::Cancel(_) => CommandKind::Cancel,
            Command::Rename(_) => CommandKind::Rename,
            Command::Delete(_) => CommandKind::Delete,
            Command::Restore(_) => CommandKind::Restore,
            Command::Purge(_) => CommandKind::Purge,
            Command::Events(_) => CommandKind::Events,
            Command::Join(_) => CommandKind::Join,
            Command::Invite(_) => CommandKind::Invite,
            Command::Invitations => CommandKind::Invitations,
            Command::Uninvite(_) => CommandKind::Uninvite,
            Command::People(_) => CommandKind::People,
            Command::Role(_) => CommandKind::Role,
            Command::Disable(_) => CommandKind::Disable,
            Command::Devices(_) => CommandKind::Devices,
            Command::Revoke(_) => CommandKind::Revoke,
            Command::Audit(_) => CommandKind::Audit,
            Command::Disconnect => CommandKind::Disconnect,
        }
    }

    /// Its word on the wire.
    #[must_use]
    pub fn word(&self) -> &'static str {
        self.kind().word()
    }

    pub(super) fn decode(
        word: Option<&str>,
        args: Option<&RawValue>,
        offset: Option<u64>,
    ) -> Result<Command, Refusal> {
        let bad = |message: String| Refusal::new(ErrorCode::BadRequest, message);
        let word = word.ok_or_else(|| bad("a request needs a `cmd`".to_owned()))?;
        let kind = CommandKind::ALL.into_iter().find(|kind| word.eq_ignore_ascii_case(kind.word()));
        let Some(kind) = kind else {
            return Err(Refusal::new(
                ErrorCode::Unsupported,
                format!("there is no command `{}` here", crate::name::shown(word)),
            ));
        };
        let word = kind.word();
        Ok(match kind {
            CommandKind::Auth => Command::Auth(arguments(word, args)?),
            CommandKind::Upload => Command::Upload(arguments(word, args)?),
            CommandKind::List => Command::List(List::decode(args)?),
            CommandKind::Info => Command::Info(arguments(word, args)?),
            CommandKind::Have => Command::Have(Have::decode(args)?),
            CommandKind::Lost => Command::Lost(arguments(word, args)?),
            CommandKind::Download => Command::Download(arguments(word, args)?),
            CommandKind::View => Command::View(arguments(word, args)?),
            CommandKind::Exif => Command::Exif(arguments(word, args)?),
            CommandKind::Ack => match offset {
                Some(offset) => Command::Ack(offset),
                None => return Err(bad("ACK needs an `offset` beside its id".to_owned())),
            },
            CommandKind::Cancel => Command::Cancel(arguments(word, args)?),
            CommandKind::Rename => Command::Rename(arguments(word, args)?),
            CommandKind::Delete => Command::Delete(arguments(word, args)?),
            CommandKind::Restore => Command::Restore(arguments(word, args)?),
            CommandKind::Purge => Command::Purge(arguments(word, args)?),
            CommandKind::Events => Command::Events(arguments(word, args)?),
            CommandKind::Join => Command::Join(arguments(word, args)?),
            CommandKind::Invite => Command::Invite(arguments(word, args)?),
            CommandKind::Invitations => Command::Invitations,
            CommandKind::Uninvite => Command::Uninvite(arguments(word, args)?),
            CommandKind::People => Command::People(arguments(word, args)?),
            CommandKind::Role => Command::Role(arguments(word, args)?),
            CommandKind::Disable => Command::Disable(arguments(word, args)?),
            CommandKind::Devices => Command::Devices(arguments(word, args)?),
            CommandKind::Revoke => Command::Revoke(arguments(word, args)?),
            CommandKind::Audit => Command::Audit(arguments(word, args)?),
            CommandKind::Disconnect => Command::Disconnect,
        })
    }
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

impl Events {
    /// Events in the page that is asked for.
    #[must_use]
    pub fn page_size(&self) -> u32 {
        self.limit.unwrap_or(limits::DEFAULT_PAGE).clamp(1, limits::MAX_PAGE)
    }
}
