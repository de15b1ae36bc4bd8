//! The closed list of error codes, on the wire and in `--json`, with the exit code of each.
//!
//! Every refusal of the system is a [`Refusal`]: a code that programs act on, a message that people
//! read, and a hint where something can be done. Nothing ever matches on the text of a message.

use serde::{Deserialize, Serialize};

/// Why something was not done. Written in `snake_case` on the wire.
///
/// A code that this version does not know (a newer peer's) reads as [`ErrorCode::Internal`], and its
/// message still says what happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The request cannot be read, or its arguments make no sense.
    BadRequest,
    /// A command, filter or option that the other side does not have.
    Unsupported,
    /// The session has not said who it is.
    Unauthenticated,
    /// This person may not do that.
    Denied,
    /// Nothing bears that id or name.
    NotFound,
    /// Several images bear that name.
    Ambiguous,
    /// Something is in the way: a file that exists, a state that does not allow it.
    Conflict,
    /// The content is not an image by its bytes.
    NotAnImage,
    /// The image cannot be shown: its format is not known for that, or its content is damaged. It can
    /// be downloaded.
    NotViewable,
    /// The content is damaged or missing on the server.
    Damaged,
    /// The content is larger than the limit.
    TooLarge,
    /// The name cannot be an image's or a person's.
    BadName,
    /// Another number of bytes came than was announced.
    WrongSize,
    /// The content's hash is not the one announced.
    WrongHash,
    /// The content was deleted here, and the upload asked to respect that.
    Deleted,
    /// A newer upload of the same content by the same person took this one over.
    Superseded,
    /// Given up by the one who asked.
    Cancelled,
    /// Too much at once; the same request may pass later.
    Busy,
    /// No room for more content; the same request may pass later.
    StorageFull,
    /// The server or the daemon is about to end.
    ShuttingDown,
    /// The client has seen events that the server does not have: it was restored from a backup.
    Ahead,
    /// There is no session to the repository's server.
    NotConnected,
    /// The time given for the command is over.
    TimedOut,
    /// No daemon answers on the local socket.
    NotRunning,
    /// The command line cannot be understood.
    Usage,
    /// A local file cannot be read or written.
    FileError,
    /// A fault of the program or its disk, not of the request.
    #[serde(other)]
    Internal,
}

impl ErrorCode {
    /// Every code, in the order of the documentation.
    pub const ALL: [ErrorCode; 27] = [
        ErrorCode::BadRequest,
        ErrorCode::Unsupported,
        ErrorCode::Unauthenticated,
        ErrorCode::Denied,
        ErrorCode::NotFound,
        ErrorCode::Ambiguous,
        ErrorCode::Conflict,
        ErrorCode::NotAnImage,
        ErrorCode::NotViewable,
        ErrorCode::Damaged,
        ErrorCode::TooLarge,
        ErrorCode::BadName,
        ErrorCode::WrongSize,
        ErrorCode::WrongHash,
        ErrorCode::Deleted,
        ErrorCode::Superseded,
        ErrorCode::Cancelled,
        ErrorCode::Busy,
        ErrorCode::StorageFull,
        ErrorCode::ShuttingDown,
        ErrorCode::Ahead,
        ErrorCode::Internal,
        ErrorCode::NotConnected,
        ErrorCode::TimedOut,
        ErrorCode::NotRunning,
        ErrorCode::Usage,
        ErrorCode::FileError,
    ];

    /// The exit code of a command that ended with this error.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            ErrorCode::NotAnImage
            | ErrorCode::NotViewable
            | ErrorCode::Damaged
            | ErrorCode::TooLarge
            | ErrorCode::BadName
            | ErrorCode::WrongSize
            | ErrorCode::WrongHash
            | ErrorCode::Unsupported
            | ErrorCode::FileError
            | ErrorCode::Internal => 1,
            ErrorCode::BadRequest | ErrorCode::Usage => 2,
            ErrorCode::NotRunning => 3,
            ErrorCode::Unauthenticated | ErrorCode::Denied => 4,
            ErrorCode::NotFound => 5,
            ErrorCode::Busy
            | ErrorCode::StorageFull
            | ErrorCode::ShuttingDown
            | ErrorCode::Ahead
            | ErrorCode::NotConnected => 7,
            ErrorCode::Ambiguous
            | ErrorCode::Conflict
            | ErrorCode::Deleted
            | ErrorCode::Superseded => 8,
            ErrorCode::TimedOut => 9,
            ErrorCode::Cancelled => 130,
        }
    }

    /// Whether the same request may pass later without anybody changing it.
    #[must_use]
    pub fn is_passing(self) -> bool {
        matches!(
            self,
            ErrorCode::Busy
                | ErrorCode::StorageFull
                | ErrorCode::ShuttingDown
                | ErrorCode::NotConnected
        )
    }
}

/// A request that was not carried out: what, why, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// What programs act on.
    pub code: ErrorCode,
    /// What people read: lower case, the object named, no full stop.
    pub message: String,
    /// What to do, where something can be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Refusal {
    /// A refusal without a hint.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Refusal { code, message: message.into(), hint: None }
    }

    /// The same refusal with what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
