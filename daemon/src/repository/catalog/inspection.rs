//! What a check asks of a catalog: which contents there should be, and whether the catalog agrees with
//! itself. Called by the check through [`super::Catalog`]; finds, and never corrects by itself.

use imgrepo_proto::{BlobHash, Seq};

/// Faults of one kind that are listed; a catalog that has more is not read by people.
pub const MOST_FAULTS: u32 = 100;

/// A content that listed or trashed images have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeptContent {
    /// Its hash.
    pub hash: BlobHash,
    /// Bytes that it has, by the images' records: the fewest.
    pub size_bytes: u64,
    /// The most. Not the same where the records contradict each other.
    pub most_bytes: u64,
    /// How many images have it.
    pub images: u64,
}

/// What a catalog says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inspection {
    /// Images that are listed or in the trash.
    pub images: u64,
    /// Bytes that these have by their records, each counted as often as images have it.
    pub bytes: u64,
    /// Changes of the history.
    pub changes: u64,
    /// Changes that the history lacks: the first and the last of each row of them.
    pub gaps: Vec<(Seq, Seq)>,
    /// Counts that are kept and not right.
    pub counts: Vec<WrongCount>,
    /// Where its parts contradict each other, in words.
    pub contradictions: Vec<String>,
    /// What is wrong with its file, in words.
    pub damage: Vec<String>,
}

/// A count that is kept and not right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongCount {
    /// Of what, such as `images in the trash`.
    pub what: String,
    /// What is kept.
    pub kept: i64,
    /// What there is.
    pub counted: i64,
}
