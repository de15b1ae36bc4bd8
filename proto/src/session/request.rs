//! The envelope of a command: `{"id":7,"cmd":"LIST","args":{...}}`. The server decodes with
//! [`Request::decode`], a client encodes with [`Request::encode`].

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::command::{Auth, Command, RequestId};
use crate::error::{ErrorCode, Refusal};

/// One request.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Its number.
    pub id: RequestId,
    /// What is asked.
    pub command: Command,
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
            Command::Info(args)
            | Command::Exif(args)
            | Command::Delete(args)
            | Command::Restore(args) => self.envelope(Some(args)),
            Command::Have(args) => self.envelope(Some(args)),
            Command::Lost(args) => self.envelope(Some(args)),
            Command::Download(args) => self.envelope(Some(args)),
            Command::View(args) => self.envelope(Some(args)),
            Command::Cancel(args) => self.envelope(Some(args)),
            Command::Rename(args) => self.envelope(Some(args)),
            Command::Purge(args) => self.envelope(Some(args)),
            Command::Events(args) => self.envelope(Some(args)),
            Command::Join(args) => self.envelope(Some(args)),
            Command::Invite(args) => self.envelope(Some(args)),
            Command::Uninvite(args) => self.envelope(Some(args)),
            Command::People(args) => self.envelope(Some(args)),
            Command::Role(args) => self.envelope(Some(args)),
            Command::Disable(args) => self.envelope(Some(args)),
            Command::Devices(args) => self.envelope(Some(args)),
            Command::Revoke(args) => self.envelope(Some(args)),
            Command::Audit(args) => self.envelope(Some(args)),
            Command::Ack(_) | Command::Invitations | Command::Disconnect => {
                self.envelope(None::<&Auth>)
            }
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

/// Reads the arguments of a command; none at all are an empty object.
pub(super) fn arguments<'a, A: Deserialize<'a>>(
    word: &str,
    args: Option<&'a RawValue>,
) -> Result<A, Refusal> {
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
