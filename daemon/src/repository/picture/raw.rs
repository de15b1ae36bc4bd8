//! TIFF files, and camera RAW, most of which is TIFF inside.
//!
//! Owns what tells the makers' files apart, and which of their several pictures is the one whose
//! size counts: the photograph, not a preview. Never decodes, never reads a maker's notes.

use super::header::Header;
use super::kind::Kind;
use super::source::Source;
use super::tiff::{Directory, Tiff};

const SUBFILE_TYPE: u16 = 0xfe;
const WIDTH: u16 = 0x100;
const HEIGHT: u16 = 0x101;
const COMPRESSION: u16 = 0x103;
const PHOTOMETRIC: u16 = 0x106;
const MAKE: u16 = 0x10f;
const SUB_DIRECTORIES: u16 = 0x14a;
const DNG_VERSION: u16 = 0xc612;

/// Panasonic's borders of the picture on the sensor: top, left, bottom, right.
const RW2_BORDERS: [u16; 4] = [4, 5, 6, 7];

/// Directories that are looked at, beside the first: RAW files have up to six.
const MAX_DIRECTORIES: usize = 8;

/// One picture of the file.
struct Picture {
    size: (u64, u64),
    /// A smaller copy of another.
    reduced: bool,
    /// The sensor's values, not yet a picture for the eye.
    sensor: bool,
}

/// TIFF, BigTIFF and all RAW that is one of them inside.
pub(super) fn tiff(source: &mut Source<'_>, kind: Kind) -> Option<Header> {
    let tiff = Tiff::open(source, 0)?;
    let first = tiff.first(source)?;
    let mut found = Header { exif_at: Some(0), ..Header::default() };
    if kind == Kind::Rw2 {
        let [top, left, bottom, right] = RW2_BORDERS.map(|tag| tiff.value(source, &first, tag));
        found.size = right
            .zip(left)
            .and_then(|(right, left)| right.checked_sub(left))
            .zip(bottom.zip(top).and_then(|(bottom, top)| bottom.checked_sub(top)));
        return Some(found);
    }

    let mut pictures = Vec::new();
    pictures.extend(picture(source, &tiff, &first));
    let subs = tiff.values::<MAX_DIRECTORIES>(source, &first, SUB_DIRECTORIES);
    for offset in subs.into_iter().flatten() {
        let Some(sub) = tiff.directory(source, offset) else { continue };
        pictures.extend(picture(source, &tiff, &sub));
    }
    // A smaller copy may come first without naming the full picture: it follows in the chain.
    let mut next = first.next;
    for _ in 0..MAX_DIRECTORIES {
        if next == 0 || pictures.iter().any(|picture| !picture.reduced) {
            break;
        }
        let Some(page) = tiff.directory(source, next) else { break };
        pictures.extend(picture(source, &tiff, &page));
        next = page.next;
    }

    if kind == Kind::Tiff {
        found.media_type = media_type(source, &tiff, &first, &pictures);
    }
    let mut full = pictures.iter().filter(|picture| !picture.reduced);
    // RAW may bear full-sized previews too; a plain TIFF is what its first page is. Where only
    // smaller copies can be read (the file was cut short), the size is not known.
    found.size = match found.media_type {
        Some(_) => full.filter(|picture| picture.sensor).map(|picture| picture.size).max(),
        None => full.next().map(|picture| picture.size),
    };
    Some(found)
}

fn picture(source: &mut Source<'_>, tiff: &Tiff, directory: &Directory) -> Option<Picture> {
    let width = tiff.value(source, directory, WIDTH)?;
    let height = tiff.value(source, directory, HEIGHT)?;
    let reduced = tiff.value(source, directory, SUBFILE_TYPE).is_some_and(|kind| kind & 1 == 1);
    // Colour filter array, linear RAW; the packings of Sony, Nikon, Samsung, Kodak and Pentax.
    let sensor = matches!(tiff.value(source, directory, PHOTOMETRIC), Some(32_803 | 34_892))
        || matches!(
            tiff.value(source, directory, COMPRESSION),
            Some(32_767 | 34_713 | 32_770 | 32_772 | 65_000 | 65_535)
        );
    Some(Picture { size: (width, height), reduced, sensor })
}

/// Which maker's RAW this is; None for what is plain TIFF, a camera's name in it or not.
fn media_type(
    source: &mut Source<'_>,
    tiff: &Tiff,
    first: &Directory,
    pictures: &[Picture],
) -> Option<&'static str> {
    if first.has(DNG_VERSION) {
        return Some("image/x-adobe-dng");
    }
    if !pictures.iter().any(|picture| picture.sensor) {
        return None;
    }
    let make = tiff.text::<24>(source, first, MAKE)?.to_ascii_lowercase();
    [
        ("nikon", "image/x-nikon-nef"),
        ("sony", "image/x-sony-arw"),
        ("pentax", "image/x-pentax-pef"),
        ("ricoh", "image/x-pentax-pef"),
        ("samsung", "image/x-samsung-srw"),
        ("kodak", "image/x-kodak-dcr"),
        ("eastman kodak", "image/x-kodak-dcr"),
        ("epson", "image/x-epson-erf"),
        ("seiko epson", "image/x-epson-erf"),
        ("hasselblad", "image/x-hasselblad-3fr"),
    ]
    .into_iter()
    .find_map(|(maker, media_type)| make.starts_with(maker).then_some(media_type))
}

/// Fuji: a preview JPEG that bears the EXIF, and a list of the sensor's sizes.
pub(super) fn raf(source: &mut Source<'_>) -> Option<Header> {
    let preview = u64::from(source.u32(84)?);
    let exif_at = super::jpeg::header(source, preview).exif_at;
    let mut at = u64::from(source.u32(92)?);
    let count = source.u32(at)?;
    at += 4;
    let mut size = None;
    for _ in 0..count.min(256) {
        let (Some(tag), Some(len)) = (source.u16(at), source.u16(at + 2)) else { break };
        // The picture without the sensor's borders.
        if tag == 0x111 {
            let (height, width) = (source.u16(at + 4)?, source.u16(at + 6)?);
            size = Some((width.into(), height.into()));
            break;
        }
        at += 4 + u64::from(len);
    }
    Some(Header { size, exif_at, ..Header::default() })
}

/// Sigma: the size stands in the header, up to version 3.
pub(super) fn x3f(source: &mut Source<'_>) -> Option<Header> {
    let number =
        |source: &mut Source<'_>, at| source.bytes(at).map(|b| u64::from(u32::from_le_bytes(b)));
    let size = match number(source, 4)? >> 16 {
        2 | 3 => number(source, 28).zip(number(source, 32)),
        _ => None,
    };
    Some(Header { size, ..Header::default() })
}

/// Minolta: a row of blocks before the picture, one of them a TIFF.
pub(super) fn mrw(source: &mut Source<'_>) -> Option<Header> {
    let end = 8 + u64::from(source.u32(4)?);
    let mut found = Header::default();
    let mut at = 8;
    while at < end {
        let Some((name, len)) = source.bytes(at).zip(source.u32(at + 4)) else { break };
        match &name {
            b"\0PRD" => {
                let (height, width) = (source.u16(at + 20)?, source.u16(at + 22)?);
                found.size = Some((width.into(), height.into()));
            }
            b"\0TTW" => found.exif_at = Some(at + 8),
            _ => {}
        }
        at += 8 + u64::from(len);
    }
    Some(found)
}
