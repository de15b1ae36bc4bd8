//! An image as it comes to the catalog, uploaded or out of an old one. Made by the repository.

use imgrepo_proto::{BlobHash, ImageName};
use jiff::Timestamp;

use super::PersonId;

/// An image whose content is durable already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewImage {
    /// Whose it is.
    pub person: PersonId,
    /// Its name.
    pub name: ImageName,
    /// Its content.
    pub hash: BlobHash,
    /// Bytes of its content.
    pub size_bytes: u64,
    /// By its bytes.
    pub media_type: String,
    /// Pixels, where the header could be read.
    pub width: Option<u32>,
    /// Pixels, where the header could be read.
    pub height: Option<u32>,
    /// As in [`imgrepo_proto::ImageRecord::orientation`].
    pub orientation: Option<u8>,
    /// As in [`imgrepo_proto::ImageRecord::taken_at`].
    pub taken_at: Option<String>,
    /// How this upload treats what the person stored before; not asked of what is imported.
    pub again: Again,
    /// Where it comes out of an old catalog: what that said of it.
    pub imported: Option<Imported>,
}

/// What an old catalog said of an image, beside its name and its uploader. An entry is recognised by
/// all of that together with the content, whatever became of its image since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// Its number there; its number here too, where that is free and at most
    /// [`Imported::LAST_KEPT`].
    pub number: u64,
    /// When it was uploaded, in the JSON in which it stood there: a text or a number.
    pub timestamp: String,
    /// The same as a time, where it could be read; else the import's counts.
    pub uploaded_at: Option<Timestamp>,
}

impl Imported {
    /// The largest number that an import keeps. New images are numbered behind it, and every number
    /// must stay exact in programs that keep them as floating point (to 2^53).
    pub const LAST_KEPT: u64 = u32::MAX as u64;
}

/// What to do where the person has stored this content before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// v2: the record that is there is the answer, whatever its name; out of the trash if need be.
    Reuse,
    /// v2, watcher: as [`Again::Reuse`], but `deleted` where it is in the trash or has a tombstone.
    UnlessDeleted,
    /// v1: only a listed record of the same name is the answer; else a new record on the same blob.
    SameNameOnly,
}
