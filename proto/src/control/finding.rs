//! What `imgctl doctor` shows: one finding a line, each with its fix.

use serde::{Deserialize, Serialize};

/// Something that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What, in a word or two, such as `socket` or `inotify`.
    pub check: String,
    /// How it is.
    pub state: FindingState,
    /// What was found.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// How something that was looked at is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingState {
    /// As it should be.
    Ok,
    /// It works, but not as well as it could, or could not be looked at.
    Warning,
    /// It does not work.
    Problem,
}
