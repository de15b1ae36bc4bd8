//! The two protocols of imgrepo: what a client and a server say over the session, and what the
//! programs of one person say to their own daemon over the local socket.
//!
//! Types, pure codecs and limits. Nothing here has a clock, a runtime or a file; the one piece of
//! I/O is [`control::client`], the blocking client of the local socket that `imgctl` and the
//! window share. `proto/PROTOCOL.md` says the same to people who write clients.

pub mod api;
pub mod control;
pub mod error;
pub mod image;
pub mod image_ref;
pub mod invitation;
pub mod limits;
pub mod name;
pub mod secret;
pub mod session;
mod size;

pub use error::{ErrorCode, Refusal};
pub use image::{BlobHash, ImageId, ImageRecord, RepositoryId, Seq};
pub use image_ref::ImageRef;
pub use name::{ImageName, NameError, PersonName};
pub use secret::Secret;
pub use size::size;
