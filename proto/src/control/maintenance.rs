//! Work on a repository as a whole, which `imgrepod` asks of itself or of the daemon that serves it:
//! what can be asked, what is told while it goes on, and what comes of it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::image::{BlobHash, ImageId};
use crate::{RepositoryId, Seq};

/// Work on the repository that a daemon serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Maintenance {
    /// Look whether everything is there. [`MaintenanceItem::Fault`] for each fault, then
    /// [`MaintenanceOutcome::Checked`].
    Check(Check),
    /// Write or renew a backup. [`MaintenanceItem::Fault`] for each content that is missing in it, then
    /// [`MaintenanceOutcome::BackedUp`].
    Backup(Backup),
}

/// Where a backup goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backup {
    /// Its folder, absolute.
    pub folder: PathBuf,
    /// Read also what the folder has already, and copy anew what is damaged there.
    #[serde(default)]
    pub check: bool,
}

/// How thoroughly it is looked, and what is done about what is found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Read every content and compare it with its hash.
    pub read_data: bool,
    /// Put right what can be.
    pub repair: bool,
}

/// What is told while the work goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaintenanceItem {
    /// How far it is. At most ten a second.
    Step(Step),
    /// A fault that a check found.
    Fault(Box<Fault>),
}

/// How far the work is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What is being done, such as `reading contents`.
    pub act: String,
    /// How much of it is done.
    pub done: u64,
    /// Of how much, where that is known.
    pub total: Option<u64>,
    /// Whether these are bytes.
    #[serde(default)]
    pub bytes: bool,
}

/// What came of the work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaintenanceOutcome {
    /// This daemon serves no repository; whoever asked may open the one of this home.
    NotServed,
    /// It was looked.
    Checked(Box<Checked>),
    /// The backup is in its place.
    BackedUp(Box<BackedUp>),
}

/// A backup, and what was done for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackedUp {
    /// Of which repository.
    pub repository: RepositoryId,
    /// The newest change that is in it.
    pub seq: Seq,
    /// Images in it, those in the trash too.
    pub images: u64,
    /// Contents that these have.
    pub contents: u64,
    /// Bytes of them.
    pub content_bytes: u64,
    /// Contents that were copied; the others were there.
    pub copied: u64,
    /// Bytes of those.
    pub copied_bytes: u64,
    /// Contents of former backups that were removed.
    pub removed: u64,
    /// Contents that could not be copied, and are missing in it.
    pub missing: u64,
}

/// What a check looked at, and how much it found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// Records, those of the trash too; what was purged has none.
    pub images: u64,
    /// Contents that these have.
    pub contents: u64,
    /// Contents that were read and compared with their hashes.
    pub read: u64,
    /// Bytes of those.
    pub read_bytes: u64,
    /// How they were read, such as `past the page cache`; None where none was.
    pub reading: Option<String>,
    /// Changes of the history.
    pub changes: u64,
    /// Faults that were found.
    pub faults: u64,
    /// Faults that were put right, of those.
    pub repaired: u64,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// What it is.
    pub kind: FaultKind,
    /// What it is, to people, with what was found.
    pub message: String,
    /// The content that it is about.
    #[serde(default)]
    pub hash: Option<BlobHash>,
    /// The images that have that content, the first few.
    #[serde(default)]
    pub images: Vec<Affected>,
    /// What was done about it, or can be.
    #[serde(default)]
    pub remedy: Option<String>,
    /// Whether it is put right.
    #[serde(default)]
    pub repaired: bool,
}

/// An image whose content is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Affected {
    /// Its number.
    pub id: ImageId,
    /// Its name.
    pub name: String,
    /// Who uploaded it.
    pub uploader: String,
}

/// What is not as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// A content's bytes are not those of its hash, or cannot be read.
    Damaged,
    /// A content is not there.
    Missing,
    /// A content is there that no image has, or a file that belongs to nothing.
    LeftOver,
    /// The history lacks a change.
    Gap,
    /// A kept count is not the number of what it counts.
    WrongCount,
    /// Parts of the catalog contradict each other.
    Inconsistent,
    /// The catalog's file is damaged.
    Catalog,
    /// Something could not be looked at.
    Unread,
    /// One that this version does not know.
    #[serde(other)]
    Other,
}
