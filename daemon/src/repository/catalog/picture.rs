//! What the catalog knows of the pictures of a content: whether they were made, and why not. Told by
//! `variants`, which makes them; the pictures themselves lie in a cache.

use imgrepo_proto::{BlobHash, ImageId};

/// What making pictures of a content came to. The small ones were made where there is a placeholder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownPicture {
    /// As in [`imgrepo_proto::ImageRecord::placeholder`].
    pub placeholder: Option<String>,
    /// Why it cannot be shown, in small.
    pub fault: Option<String>,
    /// Why it cannot be shown in large.
    pub display_fault: Option<String>,
}

/// What making a picture of a content came to just now: what is None is as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPicture {
    /// The content.
    pub hash: BlobHash,
    /// For those of its images of which it is not known.
    pub orientation: Option<u8>,
    /// The rest.
    pub known: KnownPicture,
}

/// Contents of which no small pictures were made yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unmade {
    /// They, the newest first; one that several images have may come several times.
    pub hashes: Vec<BlobHash>,
    /// Where to go on: below this image.
    pub next: Option<ImageId>,
}
