//! The API over HTTP, as data: which command a request asks for, and how its outcome is answered. One
//! mapping for two doors: a server's, for browsers, and the window's own scheme, which carries the same
//! commands over the local socket.
//!
//! [`read`] turns a request's method, target and header lines into a [`Call`]; whoever carries it out
//! answers with an [`Answer`] (JSON) or, for contents, by [`Fetch::answer`]. Pure: no HTTP library, no
//! I/O, nothing of cookies and origins, which only a server has.
//!
//! ```
//! use imgrepo_proto::api::{self, Answer, Call};
//! use imgrepo_proto::session::reply::ListReply;
//!
//! let lines = [("Accept", "application/json".as_bytes())];
//! let call = api::read("GET", "/api/images?text=sea%20side&limit=2", lines).unwrap();
//! let Call::List(list) = &call else { panic!("another call") };
//! assert_eq!(list.filter.text.as_deref(), Some("sea side"));
//! assert_eq!(call.command().unwrap().word(), "LIST");
//!
//! let answer = Answer::told(&ListReply::default());
//! assert_eq!((answer.head.status, answer.head.header("content-type")), (200, Some("application/json")));
//!
//! // What is no call is answered already.
//! assert_eq!(api::read("PUT", "/api/images", []).unwrap_err().head.status, 405);
//! ```

mod answer;
mod content;
mod disposition;
mod place;
mod query;
mod range;
mod request;

pub use answer::{Answer, Head};
pub use content::{Content, Fetch, Version, is_among};
pub use request::{MAX_TARGET_BYTES, RENAME_BODY_BYTES, read, rename};

use crate::image::{ImageId, Seq};
use crate::session::command::{CommandKind, Events, List, Upload, View};

/// What a request asks for: one for each command that has an address.
#[derive(Debug, Clone, PartialEq)]
pub enum Call {
    /// A page of records, as LIST's `data`.
    List(List),
    /// A record, as INFO's `data`.
    Info(ImageId),
    /// What the camera wrote, as EXIF's `data`.
    Exif(ImageId),
    /// A picture made for looking at it: its bytes, answered by the [`Fetch`].
    View(View, Fetch),
    /// The content as it was uploaded, answered by the [`Fetch`].
    Original(ImageId, Fetch),
    /// A new image, whose content is the request's body; as UPLOAD's `data`.
    Upload(Upload),
    /// Another name, which the request's body says ([`rename`]); as RENAME's `data`.
    Rename(ImageId),
    /// To the trash, as DELETE's `data`.
    Delete(ImageId),
    /// Out of the trash, as RESTORE's `data`.
    Restore(ImageId),
    /// A page of past events, as EVENTS's `data`.
    Events(Events),
    /// Events as they happen, after this one where it is said: `text/event-stream`.
    Live(Option<Seq>),
    /// Who asks, and what they may.
    Me,
}

impl Call {
    /// The command that it stands for; none where it is about the session itself.
    #[must_use]
    pub fn command(&self) -> Option<CommandKind> {
        Some(match self {
            Call::List(_) => CommandKind::List,
            Call::Info(_) => CommandKind::Info,
            Call::Exif(_) => CommandKind::Exif,
            Call::View(..) => CommandKind::View,
            Call::Original(..) => CommandKind::Download,
            Call::Upload(_) => CommandKind::Upload,
            Call::Rename(_) => CommandKind::Rename,
            Call::Delete(_) => CommandKind::Delete,
            Call::Restore(_) => CommandKind::Restore,
            Call::Events(_) => CommandKind::Events,
            Call::Live(_) | Call::Me => return None,
        })
    }
}
