//! Images of nothing in particular, for the tests of this crate.

use imgrepo_proto::{BlobHash, ImageName};

use super::{Again, NewImage, PersonId};

/// What is stored as an image of this name; `content` tells contents apart.
pub(crate) fn new_image(person: PersonId, name: &str, content: u64) -> NewImage {
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&content.to_be_bytes());
    NewImage {
        person,
        name: ImageName::parse(name).unwrap(),
        hash: BlobHash(hash),
        size_bytes: 1,
        media_type: "image/png".to_owned(),
        width: None,
        height: None,
        orientation: None,
        taken_at: None,
        again: Again::Reuse,
        imported: None,
    }
}
