//! The session protocol: JSON text messages for commands and metadata, binary messages for contents.
//!
//! v2 (`imgrepo.v2`): [`command`] is what a client says, [`reply`] and [`event`] what a server says,
//! [`people`] what both say of people, [`data`] the contents both ways. [`v1`] is the dialect of the system that this one modernises.
//! All pure: a codec takes a message's bytes and gives a value, or says what is wrong with them.

pub mod command;
pub mod data;
pub mod event;
mod kind;
mod list;
pub mod people;
pub mod reply;
mod request;
pub mod v1;
pub mod view;

pub use command::{Command, Filter, Request, RequestId};
pub use data::DataHeader;
pub use event::{Event, EventKind};
pub use reply::ServerMessage;

/// The subprotocol that selects v2 in `Sec-WebSocket-Protocol`.
pub const SUBPROTOCOL: &str = "imgrepo.v2";
