//! What a camera wrote into an image, for people to read.
//!
//! Owns [`exif`] and which of EXIF's tags are told. Called by the repository when somebody asks, on a
//! thread that may block. Reads within a probe's budget and no pixels; what makes no sense is left out.

use std::io::{self, Read, Seek};

use imgrepo_proto::session::view::Exif;

use super::exif::open;
use super::header;
use super::kind::{DECIDING_BYTES, Guess, kind_of};
use super::source::Source;
use super::tiff::{Directory, Tiff};

const EXIF_DIRECTORY: u16 = 0x8769;
const GPS_DIRECTORY: u16 = 0x8825;

/// Bytes of a text, at most.
const TEXT_BYTES: usize = 200;

/// What the camera wrote; None where there is nothing. Blocks, and leaves the content's position
/// anywhere.
///
/// # Errors
/// Only what the content's reader answers: the disk's faults.
pub fn exif<R: Read + Seek>(content: &mut R, size_bytes: u64) -> io::Result<Option<Exif>> {
    let mut source = Source::new(content, size_bytes);
    let found = find(&mut source).filter(|found| *found != Exif::default());
    source.close()?;
    Ok(found)
}

fn find(source: &mut Source<'_>) -> Option<Exif> {
    let mut first = [0; DECIDING_BYTES];
    let len = source.fill(0, &mut first);
    let Guess::Image(kind) = kind_of(&first[..len]) else { return None };
    let header = header::read(source, kind).ok()?;
    let tiff = open(source, header.exif_at?)?;
    let first = tiff.first(source)?;
    let mut found = Exif::default();
    about(source, &first, &mut found);
    // CR3 has EXIF's directory as a TIFF of its own, TIFF/EP its tags in the first directory.
    shot(source, &tiff, &first, &mut found);
    if let Some(at) = tiff.value(source, &first, EXIF_DIRECTORY)
        && let Some(directory) = tiff.directory(source, at)
    {
        shot(source, &tiff, &directory, &mut found);
    }
    if let Some(at) = tiff.value(source, &first, GPS_DIRECTORY)
        && let Some(directory) = tiff.directory(source, at)
    {
        place(source, &tiff, &directory, &mut found);
    }
    Some(found)
}

fn about(source: &mut Source<'_>, first: &Directory, found: &mut Exif) {
    let mut text = |tag| text(source, first, tag);
    found.description = text(0x10e);
    found.make = text(0x10f);
    found.model = text(0x110);
    found.software = text(0x131);
    found.artist = text(0x13b);
    found.copyright = text(0x8298);
}

fn shot(source: &mut Source<'_>, tiff: &Tiff, directory: &Directory, found: &mut Exif) {
    let mut positive = |tag| tiff.ratio(source, directory, tag, 0).filter(|ratio| *ratio > 0.0);
    // A day, and what no lens is: beyond them a camera says that it does not know.
    let exposure = positive(0x829a).filter(|seconds| *seconds < 86_400.0);
    let f_number = positive(0x829d).filter(|number| *number < 1_000.0);
    let focal_length = positive(0x920a).filter(|length| *length < 100_000.0);
    let mut number = |tag| tiff.value(source, directory, tag).and_then(|n| u32::try_from(n).ok());
    let iso = number(0x8827).filter(|iso| *iso > 0);
    let focal_length_35mm = number(0xa405).filter(|length| *length > 0);
    let flash = number(0x9209).map(|flash| flash & 1 == 1);
    found.exposure_seconds = found.exposure_seconds.or(exposure);
    found.f_number = found.f_number.or(f_number);
    found.focal_length_mm = found.focal_length_mm.or(focal_length);
    found.iso = found.iso.or(iso);
    found.focal_length_35mm = found.focal_length_35mm.or(focal_length_35mm);
    found.flash = found.flash.or(flash);
    found.lens = found.lens.take().or_else(|| text(source, directory, 0xa434));
}

fn place(source: &mut Source<'_>, tiff: &Tiff, gps: &Directory, found: &mut Exif) {
    let mut degrees = |side_tag, tag, negative: &str, most: f64| {
        let side = text(source, gps, side_tag)?;
        let mut part = |index| tiff.ratio(source, gps, tag, index);
        let degrees = part(0)? + part(1).unwrap_or(0.0) / 60.0 + part(2).unwrap_or(0.0) / 3600.0;
        let degrees = if side.eq_ignore_ascii_case(negative) { -degrees } else { degrees };
        (degrees.abs() <= most).then_some(degrees)
    };
    let latitude = degrees(1, 2, "S", 90.0);
    let longitude = degrees(3, 4, "W", 180.0);
    // One without the other is no place; and where there was no signal cameras write zeros.
    if let Some(place) = latitude.zip(longitude).filter(|place| *place != (0.0, 0.0)) {
        (found.latitude, found.longitude) = (Some(place.0), Some(place.1));
    }
    let altitude = tiff.ratio(source, gps, 6, 0).filter(|metres| *metres < 100_000.0);
    let is_below = tiff.value(source, gps, 5) == Some(1);
    found.altitude_m = altitude.map(|metres| if is_below { -metres } else { metres });
}

/// A text up to its end or its first NUL. Bytes that are no UTF-8 are marked as such.
fn text(source: &mut Source<'_>, directory: &Directory, tag: u16) -> Option<String> {
    let (at, len) = directory.place(tag)?;
    let mut bytes = [0; TEXT_BYTES];
    let len = usize::try_from(len).unwrap_or(TEXT_BYTES).min(TEXT_BYTES);
    let len = source.fill(at, &mut bytes[..len]);
    let text = bytes[..len].split(|byte| *byte == 0).next()?;
    let text = String::from_utf8_lossy(text);
    let text = text.trim();
    let end = text.floor_char_boundary(TEXT_BYTES);
    (!text.is_empty()).then(|| text[..end].to_owned())
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    type Entry = (u16, u16, u32, Vec<u8>);

    fn directory(at: usize, entries: &[Entry], out: &mut Vec<u8>) {
        assert_eq!(out.len(), at);
        let mut extra_at = at + 2 + 12 * entries.len() + 4;
        let mut extra: Vec<u8> = Vec::new();
        out.extend((entries.len() as u16).to_le_bytes());
        for (tag, kind, count, data) in entries {
            out.extend(tag.to_le_bytes());
            out.extend(kind.to_le_bytes());
            out.extend(count.to_le_bytes());
            if data.len() <= 4 {
                out.extend(data);
                out.resize(out.len() + 4 - data.len(), 0);
            } else {
                out.extend((extra_at as u32).to_le_bytes());
                extra.extend(data);
                extra_at += data.len();
            }
        }
        out.extend([0; 4]);
        out.extend(extra);
    }

    fn text_entry(tag: u16, text: &[u8]) -> Entry {
        (tag, 2, text.len() as u32, text.to_vec())
    }

    fn number(tag: u16, number: u16) -> Entry {
        (tag, 3, 1, number.to_le_bytes().to_vec())
    }

    fn ratios(tag: u16, ratios: &[(u32, u32)]) -> Entry {
        let bytes =
            ratios.iter().flat_map(|(over, under)| [over.to_le_bytes(), under.to_le_bytes()]);
        (tag, 5, ratios.len() as u32, bytes.flatten().collect())
    }

    fn link(tag: u16, at: u32) -> Entry {
        (tag, 4, 1, at.to_le_bytes().to_vec())
    }

    /// A TIFF of a camera: the first directory, EXIF's at 1000, GPS's at 2000.
    fn camera(first: &[Entry], shot: &[Entry], gps: &[Entry]) -> Vec<u8> {
        let mut out = b"II*\0\x08\0\0\0".to_vec();
        let first = [first, &[link(EXIF_DIRECTORY, 1000), link(GPS_DIRECTORY, 2000)]].concat();
        directory(8, &first, &mut out);
        out.resize(1000, 0);
        directory(1000, shot, &mut out);
        out.resize(2000, 0);
        directory(2000, gps, &mut out);
        out
    }

    fn read(content: &[u8]) -> Option<Exif> {
        exif(&mut Cursor::new(content), content.len() as u64).unwrap()
    }

    #[test]
    fn what_a_camera_wrote_is_told() {
        let content = camera(
            &[
                text_entry(0x10f, b"Nikon \0"),
                text_entry(0x110, "Zé <b>\0junk".as_bytes()),
                text_entry(0x10e, &[b'x'; 300]),
                text_entry(0x131, b"\xffprogram"),
            ],
            &[
                ratios(0x829a, &[(1, 250)]),
                ratios(0x829d, &[(28, 10)]),
                number(0x8827, 400),
                number(0x9209, 0x19),
                ratios(0x920a, &[(50, 1)]),
                number(0xa405, 75),
                text_entry(0xa434, b"50 mm\0"),
            ],
            &[
                text_entry(1, b"S\0"),
                ratios(2, &[(23, 1), (30, 1), (36, 1)]),
                text_entry(3, b"W\0"),
                ratios(4, &[(46, 1), (0, 1), (0, 1)]),
                (5, 1, 1, vec![1]),
                ratios(6, &[(10, 4)]),
            ],
        );
        let found = read(&content).unwrap();
        assert_eq!(found.make.as_deref(), Some("Nikon"));
        assert_eq!(found.model.as_deref(), Some("Zé <b>"));
        assert_eq!(found.description.unwrap().len(), 200);
        assert_eq!(found.software.as_deref(), Some("\u{fffd}program"));
        assert_eq!(found.lens.as_deref(), Some("50 mm"));
        assert_eq!(found.exposure_seconds, Some(1.0 / 250.0));
        assert_eq!(found.f_number, Some(2.8));
        assert_eq!((found.iso, found.flash), (Some(400), Some(true)));
        assert_eq!((found.focal_length_mm, found.focal_length_35mm), (Some(50.0), Some(75)));
        assert!((found.latitude.unwrap() + 23.51).abs() < 1e-9);
        assert_eq!((found.longitude, found.altitude_m), (Some(-46.0), Some(-2.5)));
    }

    #[test]
    fn what_makes_no_sense_is_left_out() {
        let content = camera(
            &[text_entry(0x10f, b"  \0"), text_entry(0x110, b"\0\0\0\0\0")],
            &[ratios(0x829a, &[(1, 0)]), ratios(0x829d, &[(0, 1)]), number(0x8827, 0)],
            &[
                text_entry(1, b"N\0"),
                ratios(2, &[(91, 1), (0, 1), (0, 1)]),
                text_entry(3, b"E\0"),
                ratios(4, &[(10, 1), (0, 1), (0, 1)]),
                ratios(6, &[(u32::MAX, 1)]),
            ],
        );
        assert_eq!(read(&content), None);
        assert_eq!(read(b"no image"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(rest: Vec<u8>) {
            read(&[b"II*\0\x08\0\0\0".as_slice(), &rest].concat());
        }
    }
}
