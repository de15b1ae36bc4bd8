//! What those may do who come without an account. Told by the configuration, held by the server.

/// What a guest may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Guests {
    /// Nobody is let in without an account.
    No,
    /// Look and download.
    View,
    /// Upload too, and change what is under their name.
    Upload,
}

impl Guests {
    /// Its word, in the configuration and in the status.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Guests::No => "no",
            Guests::View => "view",
            Guests::Upload => "upload",
        }
    }
}
