//! What can be asked of this room's making of pictures, and what comes back.
//!
//! Owns the words between it and its callers: [`Order`], [`Made`], [`Unshown`]. Decides nothing.

use std::io;

use imgrepo_proto::session::view::Variant;

use super::kind::Kind;

/// Raised by whatever makes other pictures of the same content: sizes, colours, encoders. What an
/// earlier one made is then made again.
pub const PIPELINE: u32 = 1;

/// What is to be made of one content, in one child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// What the content is, by its first bytes.
    pub kind: Kind,
    /// Which pictures, each once at most.
    pub variants: Vec<Variant>,
    /// Whether its placeholder too.
    pub placeholder: bool,
    /// Whether nobody waits for it: it yields to all else that the machine does.
    pub is_background: bool,
}

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// How the content's pixels are to be turned to stand upright: EXIF's number, 1 to 8. Every
    /// picture here stands upright already, but for one that is the content itself.
    pub orientation: u8,
    /// Its ThumbHash in base64, where it was ordered.
    pub placeholder: Option<String>,
    /// The pictures in the order's own order.
    pub pictures: Vec<(Variant, Picture)>,
}

/// One picture, ready to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Such as `image/jpeg`; that of the content where it is the content itself.
    pub media_type: &'static str,
    /// The encoded picture.
    pub bytes: Vec<u8>,
    /// Pixels from left to right.
    pub width: u32,
    /// Pixels from top to bottom.
    pub height: u32,
}

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum Unshown {
    /// This content has none, now and later; says why, for people.
    #[error("{0}")]
    NotViewable(String),
    /// There may be one another time: no child could be had, it was stopped, the content's reader
    /// failed.
    #[error("the picture cannot be made now: {0}")]
    Passing(#[from] io::Error),
}
