//! Every limit of the session that both ends must agree on, with the reason for its value.
//!
//! The server announces those of [`SessionLimits`] in its reply to AUTH; a client goes by what was
//! announced, never by the defaults here.

use serde::{Deserialize, Serialize};

/// The port of a server, unless another is given. The old system's.
pub const DEFAULT_PORT: u16 = 8765;

/// The most bytes of content in one data message that a receiver takes. Larger messages cost twice
/// the CPU for each byte (measured at 4 MiB) and hold up what waits behind them.
pub const CHUNK_BYTES: u32 = 256 * 1024;

/// The bytes of content that our own senders put in one data message: a LIST waits for at most one
/// of these, 64 ms on a link of 1 MB/s, at no cost in throughput on a fast one.
pub const DATA_MESSAGE_BYTES: usize = 64 * 1024;

/// How far a sender may go beyond what was acknowledged, for one request.
pub const WINDOW_BYTES: u64 = 1024 * 1024;

/// How far a sender may go beyond what was acknowledged, over all requests of a session.
pub const SESSION_WINDOW_BYTES: u64 = 8 * 1024 * 1024;

/// Requests in flight on one session. Twice what keeps a disk busy.
pub const MAX_REQUESTS: u32 = 64;

/// The largest image, unless the server's configuration says otherwise.
pub const MAX_IMAGE_BYTES: u64 = 4 * 1024 * 1024 * 1024;

/// The longest text message of v2, either way. An EVENTS or LIST page is cut to fit it.
pub const MAX_TEXT_BYTES: usize = 256 * 1024;

/// The largest text message that a v1 client takes, and the largest message that an old server
/// does: the default of the library that they use.
pub const V1_MESSAGE_BYTES: usize = 1024 * 1024;

/// The largest image over v1, whose content is one message, unless configured otherwise.
pub const V1_MAX_IMAGE_BYTES: u64 = 64 * 1024 * 1024;

/// All v1 contents in flight together, unless configured otherwise.
pub const V1_BUDGET_BYTES: u64 = 256 * 1024 * 1024;

/// Hashes in one HAVE.
pub const MAX_HAVE: usize = 1000;

/// The longest text in a LIST's filter, and the longest cursor: four times the longest name, room for
/// a class for each of its characters in a glob.
pub const MAX_FILTER_TEXT_BYTES: usize = 1024;

/// The longest message of an ERROR. What a client sent and did wrong is quoted in it, and would
/// else make replies several times as long as any message may be.
pub const MAX_ERROR_MESSAGE_BYTES: usize = 4 * 1024;

/// Records in a page of LIST and events in a page of EVENTS: at most, and when not asked.
pub const MAX_PAGE: u32 = 500;
/// See [`MAX_PAGE`].
pub const DEFAULT_PAGE: u32 = 100;

/// The longest image name, in bytes of UTF-8: what common file systems take.
pub const MAX_IMAGE_NAME_BYTES: usize = 255;

/// The longest name of a person, in bytes of UTF-8.
pub const MAX_PERSON_NAME_BYTES: usize = 64;

/// Devices of one person that are not revoked.
pub const MAX_DEVICES: u32 = 100;

/// The longest name that a device is given, in bytes of UTF-8.
pub const MAX_DEVICE_LABEL_BYTES: usize = 64;

/// Invitations of a repository that let in, at once.
pub const MAX_INVITATIONS: u32 = 500;

/// How many one invitation lets in, at most: a class.
pub const MAX_INVITATION_USES: u32 = 1000;

/// For how long an invitation lets in, unless it says otherwise: a week.
pub const INVITATION_SECONDS: u64 = 7 * 24 * 60 * 60;

/// For how long an invitation lets in at most: a year.
pub const MAX_INVITATION_SECONDS: u64 = 366 * 24 * 60 * 60;

/// For how long a link for one's own browser lets in: as long as it takes to open it.
pub const LOGIN_LINK_SECONDS: u64 = 10 * 60;

/// What a server takes, as it says in its reply to AUTH. All in bytes but `max_requests`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionLimits {
    /// The most content in one data message, see [`CHUNK_BYTES`].
    pub chunk: u32,
    /// See [`WINDOW_BYTES`].
    pub window: u64,
    /// See [`SESSION_WINDOW_BYTES`].
    pub session_window: u64,
    /// See [`MAX_REQUESTS`].
    pub max_requests: u32,
    /// See [`MAX_IMAGE_BYTES`].
    pub max_image_size: u64,
}

impl Default for SessionLimits {
    fn default() -> Self {
        SessionLimits {
            chunk: CHUNK_BYTES,
            window: WINDOW_BYTES,
            session_window: SESSION_WINDOW_BYTES,
            max_requests: MAX_REQUESTS,
            max_image_size: MAX_IMAGE_BYTES,
        }
    }
}
