//! The control protocol: what `imgctl` and the window say to their own daemon over the local socket.
//!
//! Frames of MessagePack with named members, each behind a u32 length (big endian). A connection
//! opens with a [`Hello`] and carries one [`Request`] after the other; each is answered by any number
//! of items and one final reply ([`Reply`]). Closing the connection gives up the request.

pub mod client;
pub mod endpoint;
pub mod finding;
pub mod frame;
pub mod maintenance;
mod path;
pub mod people;
pub mod queue;
pub mod reply;
pub mod request;
pub mod watch;
pub mod window;

use serde::{Deserialize, Serialize};

pub use client::Client;
pub use endpoint::Endpoint;
pub use reply::{Outcome, Reply};
pub use request::Request;

use crate::session::command::Program;

/// The versions of the control protocol that this build speaks: lowest and highest.
pub const VERSIONS: (u32, u32) = (1, 1);

/// The longest frame either way: a page of records or a chunk of content, and room to spare.
pub const MAX_FRAME_BYTES: u32 = 1024 * 1024;

/// Bytes of content in one frame.
pub const CHUNK_BYTES: usize = 256 * 1024;

/// The first frame of a client, and the daemon's answer to it. A client need not wait for that answer
/// before it asks: a daemon that knows no version of the client's reads no more, and closes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The lowest version of this protocol that is understood.
    pub lowest: u32,
    /// The highest one. The daemon answers with `lowest == highest`, the one that is spoken now;
    /// where there is none in common it says its own range and closes.
    pub highest: u32,
    /// Who is speaking.
    pub program: Program,
}

impl Hello {
    /// What this build says first.
    #[must_use]
    pub fn new(program: Program) -> Self {
        Hello { lowest: VERSIONS.0, highest: VERSIONS.1, program }
    }

    /// The version that both this build and the one who said this speak: the highest in common.
    #[must_use]
    pub fn common(&self) -> Option<u32> {
        let highest = self.highest.min(VERSIONS.1);
        (highest >= self.lowest.max(VERSIONS.0)).then_some(highest)
    }
}
