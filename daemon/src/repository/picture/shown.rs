//! What of a content is shown: all of it, or the JPEG that its camera put into it beside.
//!
//! Owns the way to that preview, and to how it is to be turned. Reads within a probe's budget, in the
//! process that asks; decodes nothing.

use super::exif;
use super::header;
use super::kind::Kind;
use super::source::Source;

/// The part of a content that is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) at: u64,
    pub(super) len: u64,
    /// EXIF's number, 1 to 8.
    pub(super) orientation: u8,
}

/// Finds it. None: nothing of this kind is decoded here, and it has no preview.
pub(super) fn find(source: &mut Source<'_>, kind: Kind) -> Option<Shown> {
    let header = header::read(source, kind).ok()?;
    let orientation = header.exif_at.map_or(1, |at| exif::orientation(source, at));
    let whole = Shown { at: 0, len: source.size_bytes(), orientation };
    match kind {
        Kind::Jpeg | Kind::Png | Kind::Gif | Kind::WebP | Kind::Bmp => Some(whole),
        Kind::Qoi | Kind::Pnm(_) | Kind::Ico => Some(whole),
        Kind::Tiff if header.media_type.is_none() => Some(whole),
        _ => None,
    }
}
