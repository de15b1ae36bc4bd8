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

impl Finding {
    /// One that is found in this state.
    pub fn new(
        check: &str,
        state: FindingState,
        message: impl Into<String>,
        hint: Option<String>,
    ) -> Finding {
        Finding { check: check.to_owned(), state, message: message.into(), hint }
    }

    /// All is well; there is nothing to do.
    pub fn ok(check: &str, message: impl Into<String>) -> Finding {
        Finding::new(check, FindingState::Ok, message, None)
    }

    /// It works, but not as well as it could.
    pub fn warning(check: &str, message: impl Into<String>, hint: Option<String>) -> Finding {
        Finding::new(check, FindingState::Warning, message, hint)
    }

    /// It does not work.
    pub fn problem(check: &str, message: impl Into<String>, hint: Option<String>) -> Finding {
        Finding::new(check, FindingState::Problem, message, hint)
    }
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
