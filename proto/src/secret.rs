//! What only its holder may know: a device's credential, an invitation. It is random, never chosen by
//! a person, and never shown but where it is handed over: its `Debug` does not tell it.
//!
//! The server makes them and keeps their hash alone; a client keeps its own in a file of its user.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest that is taken from a peer: that of a link, which is handed over as one.
const MAX_BYTES: usize = crate::invitation::MAX_LINK_BYTES;

/// A secret in the form in which it is handed over: printable ASCII without spaces.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Secret(String);

/// A text that cannot be a secret. It does not say the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no secret of this system: it is empty, too long, or has characters that none has")]
pub struct BadSecret;

impl Secret {
    /// Takes one as it was handed over.
    ///
    /// # Errors
    /// What is empty, longer than a link may be ([`crate::invitation::MAX_LINK_BYTES`]) or not printable
    /// ASCII.
    pub fn parse(text: &str) -> Result<Secret, BadSecret> {
        let fits = !text.is_empty() && text.len() <= MAX_BYTES;
        match fits && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Ok(Secret(text.to_owned())),
            false => Err(BadSecret),
        }
    }

    /// The secret itself, for whoever sends or keeps it. Never for a log or a message.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl TryFrom<String> for Secret {
    type Error = BadSecret;

    fn try_from(text: String) -> Result<Self, BadSecret> {
        Secret::parse(&text)
    }
}

impl From<Secret> for String {
    fn from(secret: Secret) -> String {
        secret.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_bounded_and_not_told_by_debug() {
        let secret = Secret::parse("abc-123").unwrap();
        assert_eq!(format!("{secret:?}"), "Secret(..)");
        assert_eq!(secret.expose(), "abc-123");
        for bad in ["", "a b", "a\n", "é", &"a".repeat(MAX_BYTES + 1)] {
            assert_eq!(Secret::parse(bad), Err(BadSecret), "{bad:?}");
        }
        assert!(serde_json::from_str::<Secret>("\"a b\"").is_err());
    }
}
