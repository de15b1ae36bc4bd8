//! What is answered in JSON: an outcome, or a refusal as `{"error":{"code","message","hint"}}` with the
//! status of its code. One table for both doors.

use serde::Serialize;

use crate::error::{ErrorCode, Refusal};
use crate::session::reply::{cut, to_json};

/// The first part of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// HTTP's status.
    pub status: u16,
    /// Names in lower case, each once.
    pub headers: Vec<(&'static str, String)>,
}

impl Head {
    pub(super) fn new(status: u16) -> Head {
        Head { status, headers: Vec::new() }
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Head {
        self.headers.push((name, value.into()));
        self
    }

    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find(|(other, _)| *other == name).map(|(_, value)| value.as_str())
    }
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its head.
    pub head: Head,
    /// JSON, with a line's end behind it.
    pub body: String,
}

#[derive(Serialize)]
struct Error<'a> {
    error: &'a Refusal,
}

impl Answer {
    /// An outcome: what v2 has as `data`.
    #[must_use]
    pub fn told<T: Serialize>(told: &T) -> Answer {
        Answer::json(200, told)
    }

    /// That nothing came of a request, and why.
    #[must_use]
    pub fn refused(refusal: &Refusal) -> Answer {
        Answer::refused_as(status(refusal.code), refusal)
    }

    /// The same with a status that says more than the code does.
    #[must_use]
    pub fn refused_as(status: u16, refusal: &Refusal) -> Answer {
        match cut(&refusal.message) {
            Some(message) => {
                Answer::json(status, &Error { error: &Refusal { message, ..refusal.clone() } })
            }
            None => Answer::json(status, &Error { error: refusal }),
        }
    }

    fn json<T: Serialize>(status: u16, value: &T) -> Answer {
        let body = to_json(value) + "\n";
        let head = Head::new(status)
            .with("content-type", "application/json")
            .with("cache-control", "no-store")
            .with("x-content-type-options", "nosniff");
        Answer { head, body }
    }
}

/// HTTP's status for a refusal.
fn status(code: ErrorCode) -> u16 {
    match code {
        ErrorCode::BadRequest
        | ErrorCode::Unsupported
        | ErrorCode::BadName
        | ErrorCode::WrongSize
        | ErrorCode::WrongHash
        | ErrorCode::Usage => 400,
        ErrorCode::Unauthenticated => 401,
        ErrorCode::Denied => 403,
        ErrorCode::NotFound => 404,
        ErrorCode::Ambiguous
        | ErrorCode::Conflict
        | ErrorCode::Deleted
        | ErrorCode::Superseded
        | ErrorCode::Cancelled
        | ErrorCode::Ahead => 409,
        ErrorCode::TooLarge => 413,
        // Not 415: what is wrong is the image, not the type that the request says.
        ErrorCode::NotAnImage | ErrorCode::NotViewable => 422,
        ErrorCode::Busy => 429,
        ErrorCode::Damaged | ErrorCode::FileError | ErrorCode::Internal => 500,
        ErrorCode::ShuttingDown | ErrorCode::NotConnected | ErrorCode::NotRunning => 503,
        ErrorCode::TimedOut => 504,
        ErrorCode::StorageFull => 507,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_an_error_and_says_so() {
        for code in ErrorCode::ALL {
            let refusal = Refusal::new(code, "cannot do it").hint("do it so");
            let answer = Answer::refused(&refusal);
            assert!((400..600).contains(&answer.head.status), "{code:?}");
            let told: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
            assert_eq!(told, serde_json::json!({"error": refusal}), "{code:?}");
        }
        let long = Refusal::new(ErrorCode::BadRequest, "x".repeat(100_000));
        assert!(Answer::refused(&long).body.len() < 5000, "as in a session");
    }
}
