//! The classic dialect: what the old Python system's programs say, both sides of it.
//!
//! One command at a time; a reply carries no id; a content is one binary message. The server decodes
//! with [`Command::decode`] and encodes with [`Reply::encode`]; the daemon, as the client of an old
//! server, the other way around.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// A command of an old client: `{"cmd":"UPLOAD","args":["a.jpg","12345"]}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// The person's name; missing or empty is `anon`.
    Auth(Option<String>),
    /// Everything, in upload order.
    List,
    /// A content of this size in bytes follows as one binary message.
    Upload {
        /// The image's name.
        name: String,
        /// Bytes of its content.
        size: u64,
    },
    /// A content, to keep.
    Download(String),
    /// A content, to look at.
    View(String),
    /// The end, in order.
    Disconnect,
}

/// A message that is no command. Its text is for logs: people are told in the language of theirs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadCommand {
    /// It is not in the form of a message; why not.
    #[error("cannot read the message: {0}")]
    Unreadable(String),
    /// There is no command of this word.
    #[error("there is no command `{0}` here")]
    Unknown(String),
    /// This command needs the name of an image.
    #[error("{0} needs the name of an image")]
    NoName(String),
    /// UPLOAD needs the size.
    #[error("UPLOAD needs the size in bytes as a decimal number")]
    NoSize,
}

#[derive(Serialize, Deserialize)]
struct Envelope {
    cmd: String,
    #[serde(default)]
    args: Vec<Value>,
}

impl Command {
    /// Reads a text message of an old client.
    ///
    /// # Errors
    /// What is none of the commands, or lacks an argument.
    pub fn decode(text: &str) -> Result<Command, BadCommand> {
        let envelope: Envelope = serde_json::from_str(text)
            .map_err(|error| BadCommand::Unreadable(error.to_string()))?;
        let argument = |at: usize| match envelope.args.get(at) {
            Some(Value::String(text)) => Some(text.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        let word = envelope.cmd.to_uppercase();
        let name = || argument(0).ok_or_else(|| BadCommand::NoName(word.clone()));
        Ok(match word.as_str() {
            "AUTH" => Command::Auth(argument(0)),
            "LIST" => Command::List,
            "UPLOAD" => {
                let size = argument(1).and_then(|size| size.trim().parse().ok());
                let size = size.ok_or(BadCommand::NoSize)?;
                Command::Upload { name: name()?, size }
            }
            "DOWNLOAD" => Command::Download(name()?),
            "VIEW" => Command::View(name()?),
            "DISCONNECT" => Command::Disconnect,
            _ => return Err(BadCommand::Unknown(crate::name::shown(&envelope.cmd))),
        })
    }

    /// The text message that carries this.
    #[must_use]
    pub fn encode(&self) -> String {
        let (cmd, args) = match self {
            Command::Auth(user) => ("AUTH", user.iter().map(|user| json!(user)).collect()),
            Command::List => ("LIST", vec![]),
            Command::Upload { name, size } => {
                ("UPLOAD", vec![json!(name), json!(size.to_string())])
            }
            Command::Download(name) => ("DOWNLOAD", vec![json!(name)]),
            Command::View(name) => ("VIEW", vec![json!(name)]),
            Command::Disconnect => ("DISCONNECT", vec![]),
        };
        super::reply::to_json(&Envelope { cmd: cmd.to_owned(), args })
    }
}

/// An entry of an old list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The image's name.
    pub filename: String,
    /// The person's name.
    #[serde(default)]
    pub uploader: String,
}

/// A text message of an old server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// A command was carried out; an upload's message ends with the new id.
    Success(String),
    /// The list, in upload order.
    List(Vec<Entry>),
    /// The content may come.
    Ready,
    /// The content comes in the next message.
    SizeInfo {
        /// Its bytes.
        size: u64,
        /// The image's name.
        filename: String,
        /// Whether it was asked for by VIEW.
        view: bool,
    },
    /// A command was not carried out.
    Error(String),
    /// The end.
    Bye(String),
    /// The last uploads, oldest first, after AUTH.
    History(Vec<String>),
    /// An upload, by anybody.
    NewUpload(String),
    /// An answer that is none of these, with why: there are no ids, so it ends the command that is
    /// under way. Never said.
    Unreadable(String),
}

impl Reply {
    /// The text message that carries this.
    #[must_use]
    pub fn encode(&self) -> String {
        let notice = |message: &String| json!({"event": "NEW_UPLOAD", "message": message});
        let message = match self {
            Reply::Success(message) => json!({"status": "SUCCESS", "message": message}),
            Reply::List(data) => json!({"status": "SUCCESS", "cmd": "LIST", "data": data}),
            Reply::Ready => json!({"status": "READY", "cmd": "UPLOAD_DATA"}),
            Reply::SizeInfo { size, filename, view } => {
                let mode = if *view { "VIEW" } else { "DOWNLOAD" };
                json!({"status": "SIZE_INFO", "size": size, "filename": filename, "mode": mode})
            }
            Reply::Error(message) => json!({"status": "ERROR", "message": message}),
            Reply::Bye(message) => json!({"status": "BYE", "message": message}),
            Reply::History(messages) => {
                let data: Vec<Value> = messages.iter().map(notice).collect();
                json!({"event": "HISTORY", "data": data})
            }
            Reply::NewUpload(message) => notice(message),
            Reply::Unreadable(why) => json!({"status": "UNREADABLE", "message": why}),
        };
        message.to_string()
    }

    /// Reads a text message of an old server. What it says for people is cut where it is endless.
    ///
    /// # Errors
    /// What answers no command: an event that is not known, or no message of this dialect at all.
    pub fn decode(text: &str) -> Result<Reply, BadCommand> {
        let bad = |what: &str| BadCommand::Unreadable(what.to_owned());
        let told: Told<'_> = serde_json::from_str(text).map_err(|error| bad(&error.to_string()))?;
        if let Some(event) = word(told.event) {
            return match event.as_str() {
                "HISTORY" => {
                    let notices = told.data.map(|data| read(data, "its history"));
                    let notices: Vec<Notice<'_>> = notices.transpose()?.unwrap_or_default();
                    Ok(Reply::History(notices.iter().map(|notice| words(notice.message)).collect()))
                }
                "NEW_UPLOAD" => Ok(Reply::NewUpload(words(told.message))),
                _ => Err(bad("its event is not known")),
            };
        }
        match word(told.status).as_deref() {
            Some("SUCCESS") => match told.data {
                Some(data) => Ok(read(data, "its list").map_or_else(Reply::from, Reply::List)),
                None => Ok(Reply::Success(words(told.message))),
            },
            Some("READY") => Ok(Reply::Ready),
            Some("SIZE_INFO") => match told.size.map(|size| read(size, "its `size`")) {
                Some(Ok(size)) => Ok(Reply::SizeInfo {
                    size,
                    filename: word(told.filename).unwrap_or_default(),
                    view: word(told.mode).as_deref() == Some("VIEW"),
                }),
                Some(Err(bad)) => Ok(bad.into()),
                None => Ok(bad("no `size`").into()),
            },
            Some("ERROR") => Ok(Reply::Error(words(told.message))),
            Some("BYE") => Ok(Reply::Bye(words(told.message))),
            Some(_) => Ok(bad("its status is not known").into()),
            None => Err(bad("it has neither `status` nor `event`")),
        }
    }
}

impl From<BadCommand> for Reply {
    fn from(bad: BadCommand) -> Self {
        Reply::Unreadable(bad.to_string())
    }
}

/// The members of an old server's message, each read when it is known what it has to be: a list of
/// 100,000 images is never in memory as anything but its text and its entries.
#[derive(Deserialize)]
struct Told<'a> {
    #[serde(borrow, default)]
    event: Option<&'a RawValue>,
    #[serde(borrow, default)]
    status: Option<&'a RawValue>,
    #[serde(borrow, default)]
    message: Option<&'a RawValue>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    size: Option<&'a RawValue>,
    #[serde(borrow, default)]
    filename: Option<&'a RawValue>,
    #[serde(borrow, default)]
    mode: Option<&'a RawValue>,
}

/// One of HISTORY.
#[derive(Deserialize)]
struct Notice<'a> {
    #[serde(borrow, default)]
    message: Option<&'a RawValue>,
}

fn read<'a, T: Deserialize<'a>>(member: &'a RawValue, what: &str) -> Result<T, BadCommand> {
    serde_json::from_str(member.get())
        .map_err(|error| BadCommand::Unreadable(format!("{what}: {error}")))
}

/// A text; None where it is none.
fn word(member: Option<&RawValue>) -> Option<String> {
    member.and_then(|member| serde_json::from_str(member.get()).ok())
}

/// A text for people, of which there is no end to what a server could say.
fn words(member: Option<&RawValue>) -> String {
    let words = word(member).unwrap_or_default();
    super::reply::cut(&words).unwrap_or(words)
}
