//! What of a content is shown: all of it, or the JPEG that its camera put into it beside.
//!
//! Owns the way to that preview, and to how it is to be turned. Reads within a probe's budget, in the
//! process that asks; decodes nothing.

use super::boxes;
use super::exif;
use super::header::{self, Header};
use super::jpeg;
use super::kind::Kind;
use super::source::Source;
use super::tiff::{Directory, Tiff};

const COMPRESSION: u16 = 0x103;
const STRIPS: u16 = 0x111;
const STRIP_LENS: u16 = 0x117;
const SUB_DIRECTORIES: u16 = 0x14a;
const JPEG_AT: u16 = 0x201;
const JPEG_LEN: u16 = 0x202;
/// Panasonic's.
const JPEG_FROM_RAW: u16 = 0x2e;

/// Directories that are looked at: RAW files have up to six.
const MAX_DIRECTORIES: usize = 8;

/// The part of a content that is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) at: u64,
    pub(super) len: u64,
    /// EXIF's number, 1 to 8.
    pub(super) orientation: u8,
}

/// Finds it, and what people call its kind. None: nothing of this kind is decoded here, and it has
/// no preview.
pub(super) fn find(source: &mut Source<'_>, kind: Kind) -> (String, Option<Shown>) {
    let Ok(header) = header::read(source, kind) else { return (kind.name().to_owned(), None) };
    // `image/x-nikon-nef`: what makers call theirs.
    let name = header.media_type.and_then(|media_type| media_type.rsplit('-').next());
    let name = name.map_or_else(|| kind.name().to_owned(), str::to_uppercase);
    (name, find_part(source, kind, &header))
}

fn find_part(source: &mut Source<'_>, kind: Kind, header: &Header) -> Option<Shown> {
    let orientation = header.orientation(source);
    let is_decoded = match kind {
        Kind::Jpeg | Kind::Png | Kind::Gif | Kind::WebP | Kind::Bmp => true,
        Kind::Qoi | Kind::Pnm(_) | Kind::Ico => true,
        // Camera RAW is told from it by its media type.
        Kind::Tiff => header.media_type.is_none(),
        _ => false,
    };
    if is_decoded {
        let orientation = orientation.unwrap_or(1);
        return Some(Shown { at: 0, len: source.size_bytes(), orientation });
    }
    let mut places = match kind {
        Kind::Raf => source
            .u32(84)
            .zip(source.u32(88))
            .map_or(Vec::new(), |(at, len)| vec![(u64::from(at), u64::from(at) + u64::from(len))]),
        Kind::Cr3 => boxes::cr3_previews(source),
        _ => Vec::new(),
    };
    // What is a TIFF, and the thumbnail in the EXIF of what is none.
    if let Some(tiff) = header.exif_at.and_then(|at| exif::open(source, at)) {
        in_tiff(source, &tiff, &mut places);
    }
    let whole = source.size_bytes();
    let largest = places
        .into_iter()
        .filter_map(|(at, end)| Some((jpeg::pixels(source, at)?, at, end.min(whole))))
        .max()?;
    let (_, at, end) = largest;
    // A preview of its own EXIF where the file has none.
    let orientation = orientation.or_else(|| jpeg::header(source, at).orientation(source));
    Some(Shown { at, len: end.checked_sub(at)?, orientation: orientation.unwrap_or(1) })
}

/// Where the JPEGs of a TIFF may lie, and where they end.
fn in_tiff(source: &mut Source<'_>, tiff: &Tiff, places: &mut Vec<(u64, u64)>) {
    let Some(first) = tiff.first(source) else { return };
    let mut next = first.next;
    let subs = tiff.values::<MAX_DIRECTORIES>(source, &first, SUB_DIRECTORIES);
    in_directory(source, tiff, &first, places);
    for offset in subs.into_iter().flatten() {
        let Some(sub) = tiff.directory(source, offset) else { continue };
        in_directory(source, tiff, &sub, places);
    }
    for _ in 0..MAX_DIRECTORIES {
        if next == 0 {
            break;
        }
        let Some(page) = tiff.directory(source, next) else { break };
        in_directory(source, tiff, &page, places);
        next = page.next;
    }
}

fn in_directory(
    source: &mut Source<'_>,
    tiff: &Tiff,
    directory: &Directory,
    places: &mut Vec<(u64, u64)>,
) {
    let mut value = |tag: u16| tiff.value(source, directory, tag);
    let mut found = vec![(value(JPEG_AT), value(JPEG_LEN))];
    // Both of JPEG's numbers.
    if matches!(value(COMPRESSION), Some(6 | 7)) {
        let len = value(STRIP_LENS);
        // What is cut into several strips is no picture of its own.
        if let [at, None] = tiff.values::<2>(source, directory, STRIPS) {
            found.push((at, len));
        }
    }
    places.extend(found.into_iter().filter_map(|(at, len)| {
        let at = tiff.base().checked_add(at?)?;
        Some((at, at.checked_add(len?)?))
    }));
    if let Some((at, len)) = directory.place(JPEG_FROM_RAW) {
        places.push((at, at.saturating_add(len)));
    }
}
