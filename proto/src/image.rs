//! What an image is to everybody: its id, its hash, its record.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// An image's number in its repository: from 1, never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ImageId(pub u64);

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A change's place in a repository's history: the first is 1, each next is one more. 0 is before
/// all of them.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl Seq {
    /// The place right after this one.
    #[must_use]
    pub fn next(self) -> Seq {
        Seq(self.0.saturating_add(1))
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Names one repository among all: random, made when it is created.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RepositoryId(pub String);

impl fmt::Display for RepositoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The BLAKE3 hash of a content: 32 bytes, written as 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobHash(pub [u8; 32]);

/// A text that is not 64 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a hash is 64 hex digits")]
pub struct BadHash;

impl fmt::Display for BlobHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0u8; 64];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for BlobHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for BlobHash {
    type Err = BadHash;

    fn from_str(text: &str) -> Result<Self, BadHash> {
        let digit = |byte: u8| char::from(byte).to_digit(16).map(|value| value as u8);
        let text = text.as_bytes();
        if text.len() != 64 {
            return Err(BadHash);
        }
        let mut hash = [0u8; 32];
        for (byte, pair) in hash.iter_mut().zip(text.chunks_exact(2)) {
            *byte = digit(pair[0]).ok_or(BadHash)? << 4 | digit(pair[1]).ok_or(BadHash)?;
        }
        Ok(BlobHash(hash))
    }
}

impl Serialize for BlobHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for BlobHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// Everything that is known of an image. What is not known is `None` and `null` on the wire: an old
/// (v1) server tells no more than name and uploader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRecord {
    /// Its number. From an old server: its place in the list.
    pub id: ImageId,
    /// Its name as the server says it; it is checked ([`crate::ImageName`]) where it becomes a file's.
    pub name: String,
    /// The name of the person who uploaded it.
    pub uploader: String,
    /// Bytes of its content.
    pub size: Option<u64>,
    /// Its content's hash.
    pub hash: Option<BlobHash>,
    /// Its media type by its bytes, such as `image/jpeg`.
    pub media_type: Option<String>,
    /// Pixels from left to right as stored, before any orientation is applied.
    pub width: Option<u32>,
    /// Pixels from top to bottom as stored.
    pub height: Option<u32>,
    /// How the picture is to be turned for looking at it, as EXIF counts (1 to 8; from 5 on width and
    /// height change places); 1 where the image says nothing of it.
    #[serde(default)]
    pub orientation: Option<u8>,
    /// When the server had it.
    pub uploaded_at: Option<Timestamp>,
    /// When the picture was taken, as its camera wrote it: RFC 3339 with the camera's offset, or,
    /// where the camera told none, the local time alone (`2021-07-04T18:30:00`). Never guessed.
    pub taken_at: Option<String>,
    /// A tiny blurred preview (a ThumbHash in base64), once one has been made.
    pub placeholder: Option<String>,
    /// When it went to the trash; absent for an image that is listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trashed_at: Option<Timestamp>,
}

impl ImageRecord {
    /// A record of which no more is known, as from an old server.
    #[must_use]
    pub fn bare(id: ImageId, name: impl Into<String>, uploader: impl Into<String>) -> Self {
        ImageRecord {
            id,
            name: name.into(),
            uploader: uploader.into(),
            size: None,
            hash: None,
            media_type: None,
            width: None,
            height: None,
            orientation: None,
            uploaded_at: None,
            taken_at: None,
            placeholder: None,
            trashed_at: None,
        }
    }
}
