//! What the local socket says of watched folders. Used by requests, replies and `imgctl`; decides
//! nothing.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::queue::{Counts, QueuedUpload};

/// What can be asked of watched folders. A folder is the person's in the repository to which the
/// daemon is, or was last, connected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WatchRequest {
    /// Watch this folder, and all below it; one that is watched already gets the new `after`.
    /// Answered by [`super::Outcome::Folders`] with it alone.
    Add {
        /// An absolute path.
        #[serde(with = "super::path")]
        path: PathBuf,
        /// What becomes of a file after its upload.
        after: After,
    },
    /// Watch it no longer; files and images stay. Answered by [`super::Outcome::Nothing`].
    Rm {
        /// An absolute path.
        #[serde(with = "super::path")]
        path: PathBuf,
    },
    /// All of them. Answered by [`super::Outcome::Folders`].
    Ls,
    /// Look no longer for new files, across restarts too. Answered by [`super::Outcome::Folders`].
    Pause {
        /// This folder alone.
        #[serde(with = "super::path::optional")]
        path: Option<PathBuf>,
    },
    /// Go on. Answered by [`super::Outcome::Folders`].
    Resume {
        /// This folder alone.
        #[serde(with = "super::path::optional")]
        path: Option<PathBuf>,
    },
    /// Look at every file again; answered by [`super::Outcome::Folders`] when it is done.
    Rescan {
        /// This folder alone.
        #[serde(with = "super::path::optional")]
        path: Option<PathBuf>,
    },
    /// A file's whole story. Answered by [`super::Outcome::File`].
    Status {
        /// An absolute path.
        #[serde(with = "super::path")]
        path: PathBuf,
    },
}

/// What becomes of a file after the server's receipt.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum After {
    /// It stays where it is.
    #[default]
    Keep,
    /// It is moved into this folder (an absolute path, outside of watched folders).
    Move(#[serde(with = "super::path")] PathBuf),
    /// It goes to the system's trash.
    Trash,
}

/// How a watched folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FolderState {
    /// Changes are heard of as they happen.
    Watching,
    /// Changes are looked for from time to time; `why` says why.
    Polling,
    /// Every file is being looked at.
    Scanning,
    /// It was told to pause.
    Paused,
    /// It is not there: unmounted or moved away. Nothing is forgotten.
    Vanished,
    /// It belongs to another repository, or another person there.
    Elsewhere,
}

/// A watched folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FolderStatus {
    /// Where it is.
    #[serde(with = "super::path")]
    pub path: PathBuf,
    /// What becomes of its files.
    pub after: After,
    /// How it is.
    pub state: FolderState,
    /// Why it is so, where that is not as it should be.
    pub why: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
    /// The kind of its file system, such as `ext4` or `nfs`.
    pub file_system: Option<String>,
    /// When all of it was last looked at.
    pub scanned_at: Option<Timestamp>,
    /// Its files by state.
    pub counts: Counts,
    /// Some of those that were ignored, refused or failed, the newest first.
    pub problems: Vec<QueuedUpload>,
}

/// What is known of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileStory {
    /// The file.
    #[serde(with = "super::path")]
    pub path: PathBuf,
    /// The watched folder that it is in.
    #[serde(with = "super::path::optional")]
    pub folder: Option<PathBuf>,
    /// Its upload, where it was seen.
    pub upload: Option<QueuedUpload>,
    /// Why it has none, or what is to be known beside: ignored by which rule, in no watched
    /// folder, not there, a link, still written by a program.
    pub note: Option<String>,
}
