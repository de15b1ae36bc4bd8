//! Pictures: what kind of image some bytes are, how large, when it was taken, and what it looks like.
//!
//! The only room that knows image formats. The repository asks [`kind_of`] with the first bytes of
//! an upload and [`probe`] with the whole content before it is stored; the watch asks [`ending_of`]
//! whether a file was cut short. None of them decodes pixels or looks at names, and whatever the
//! content holds, a probe reads at most 1 MiB of it in at most 2,048 pieces, keeps a few KiB of that
//! in memory, and does not panic; a look at an end reads at most 16 MiB and keeps 64 KiB.
//!
//! Pixels are decoded by [`render()`], in a process of its own for each content that ends with it
//! ([`work`]); and by `thumbnail`, for an export alone.

mod boxes;
mod camera;
mod child;
mod ending;
mod exif;
mod header;
mod jpeg;
mod jxl;
mod kind;
mod making;
mod message;
mod order;
mod raw;
mod render;
mod shown;
mod source;
#[cfg(test)]
mod tests;
pub(crate) mod thumbnail;
mod tiff;

use std::io::{self, Read, Seek};

pub use camera::exif;
pub use child::{COMMAND, work};
pub use ending::{Ending, ending_of};
pub use kind::{DECIDING_BYTES, Guess, Kind, kind_of};
#[cfg(feature = "fuzzing")]
pub use making::fuzzing;
pub use making::{render, render_until};
pub use order::{Made, Order, PIPELINE, Picture, Unshown};
use source::Source;

/// What the bytes of an image say of it. What cannot be read (cut short, broken) is None.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Its media type by its bytes, such as `image/jpeg`.
    pub media_type: &'static str,
    /// Pixels from left to right as stored, before any orientation is applied; never 0.
    pub width: Option<u32>,
    /// Pixels from top to bottom as stored; never 0.
    pub height: Option<u32>,
    /// When it was taken, as its camera wrote it: `2021-07-04T18:30:00+02:00`, or without the
    /// offset where the camera told none.
    pub taken_at: Option<String>,
    /// How the stored pixels are to be turned to stand upright: EXIF's number, 1 to 8; 1 where the
    /// image says nothing.
    pub orientation: u8,
}

/// Reads what the content says of itself; None where it is no image. Blocks, and leaves the
/// content's position anywhere.
///
/// # Errors
/// Only what the content's reader answers: the disk's faults.
pub fn probe<R: Read + Seek>(content: &mut R, size_bytes: u64) -> io::Result<Option<Probe>> {
    let mut source = Source::new(content, size_bytes);
    let found = read(&mut source);
    source.close()?;
    Ok(found)
}

fn read(source: &mut Source<'_>) -> Option<Probe> {
    let mut first = [0; DECIDING_BYTES];
    let len = source.fill(0, &mut first);
    let Guess::Image(kind) = kind_of(&first[..len]) else { return None };
    let header = header::read(source, kind).ok()?;
    let taken_at = header.exif_at.and_then(|at| exif::taken_at(source, at));
    let orientation = header.orientation(source).unwrap_or(1);
    let pixels = |side: u64| u32::try_from(side).ok().filter(|side| *side > 0);
    let size = header.size.and_then(|(width, height)| pixels(width).zip(pixels(height)));
    Some(Probe {
        media_type: header.media_type.unwrap_or(kind.media_type()),
        width: size.map(|(width, _)| width),
        height: size.map(|(_, height)| height),
        taken_at,
        orientation,
    })
}
