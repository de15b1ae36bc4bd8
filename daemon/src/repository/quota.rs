//! How much is kept, and how much more may be. Called by `announced` before an upload takes a byte, and
//! by the server for its status.

use imgrepo_proto::Refusal;

use super::Repository;

/// Bytes of images, each counted for itself: also where two have one content.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Of those that are listed or in the trash.
    pub kept_bytes: u64,
    /// Of uploads in progress, as they were announced.
    pub coming_bytes: u64,
}

impl Repository {
    /// How much the repository holds.
    ///
    /// # Errors
    /// The disk's: `internal`.
    pub async fn usage(&self) -> Result<Usage, Refusal> {
        Ok(Usage::default())
    }
}
