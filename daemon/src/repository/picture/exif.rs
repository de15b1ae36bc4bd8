//! When a picture was taken and how it is to be turned, as its camera wrote it into the EXIF.
//!
//! Owns the reading of EXIF's date, offset and orientation. Never guesses: not from a file's times, the time of
//! the last change (DateTime), GPS or the machine's zone.

use jiff::civil;

use super::source::Source;
use super::tiff::{Directory, Tiff};

const ORIENTATION: u16 = 0x112;
const EXIF_DIRECTORY: u16 = 0x8769;
const DATE_TIME_ORIGINAL: u16 = 0x9003;
const OFFSET_TIME: u16 = 0x9010;
const OFFSET_TIME_ORIGINAL: u16 = 0x9011;

/// The time in the EXIF that starts at this offset, with or without the `Exif\0\0` of JPEG before
/// it (some WebP writers keep that).
pub(super) fn taken_at(source: &mut Source<'_>, offset: u64) -> Option<String> {
    let tiff = open(source, offset)?;
    let first = tiff.first(source)?;
    // CR3 has EXIF's directory as a TIFF of its own, TIFF/EP its tags in the first directory.
    if let Some(taken_at) = read(source, &tiff, &first) {
        return Some(taken_at);
    }
    let exif = tiff.value(source, &first, EXIF_DIRECTORY)?;
    let exif = tiff.directory(source, exif)?;
    read(source, &tiff, &exif)
}

/// EXIF's number, 1 to 8, in the EXIF that starts at this offset; None where it says nothing, or
/// nonsense.
pub(super) fn orientation(source: &mut Source<'_>, offset: u64) -> Option<u8> {
    let tiff = open(source, offset)?;
    let first = tiff.first(source)?;
    let number = tiff.value(source, &first, ORIENTATION)?;
    u8::try_from(number).ok().filter(|number| (1..=8).contains(number))
}

/// The TIFF that EXIF is.
pub(super) fn open(source: &mut Source<'_>, offset: u64) -> Option<Tiff> {
    let prefixed = source.bytes(offset)? == *b"Exif\0\0";
    Tiff::open(source, if prefixed { offset.checked_add(6)? } else { offset })
}

fn read(source: &mut Source<'_>, tiff: &Tiff, directory: &Directory) -> Option<String> {
    let date_time = tiff.text::<20>(source, directory, DATE_TIME_ORIGINAL)?;
    let date_time = civil_time(&date_time)?;
    let offset = [OFFSET_TIME_ORIGINAL, OFFSET_TIME].into_iter().find_map(|tag| {
        let text = tiff.text::<8>(source, directory, tag)?;
        is_offset(&text).then_some(text)
    });
    Some(format!("{}{}", date_time.strftime("%Y-%m-%dT%H:%M:%S"), offset.unwrap_or_default()))
}

/// `2021:07:04 18:30:00`; some writers use other marks between. Zeros and blanks are no date.
fn civil_time(text: &str) -> Option<civil::DateTime> {
    let bytes: &[u8; 19] = text.as_bytes().try_into().ok()?;
    let marks = [(4, b":-/"), (7, b":-/"), (10, b" T "), (13, b":::"), (16, b":::")];
    if !marks.iter().all(|(at, allowed)| allowed.contains(&bytes[*at])) {
        return None;
    }
    let number = |from: usize, len: usize| {
        bytes[from..from + len].iter().try_fold(0i16, |number, byte| {
            byte.is_ascii_digit().then(|| number * 10 + i16::from(byte - b'0'))
        })
    };
    let small = |from| number(from, 2).map(|number| number as i8);
    let year = number(0, 4).filter(|year| *year > 0)?;
    let (month, day) = (small(5)?, small(8)?);
    civil::DateTime::new(year, month, day, small(11)?, small(14)?, small(17)?, 0).ok()
}

/// `+02:00`, as RFC 3339 has it, and no farther than the earth's zones go.
fn is_offset(text: &str) -> bool {
    let [b'+' | b'-', h1 @ b'0'..=b'1', h2 @ b'0'..=b'9', b':', b'0'..=b'5', b'0'..=b'9'] =
        text.as_bytes()
    else {
        return false;
    };
    (h1 - b'0') * 10 + (h2 - b'0') <= 14
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_real_or_none() {
        let text = |text| civil_time(text).map(|time| time.to_string());
        assert_eq!(text("2021:07:04 18:30:00").as_deref(), Some("2021-07-04T18:30:00"));
        assert_eq!(text("2024-02-29T00:00:59").as_deref(), Some("2024-02-29T00:00:59"));
        for wrong in [
            "",
            "0000:00:00 00:00:00",
            "    :  :     :  :  ",
            "2023:02:29 10:00:00",
            "2021:13:01 10:00:00",
            "2021:07:04 24:00:00",
            "2021:07:04 18:30",
            "2021:07:04 18:30:0é",
            "2021:07:04 18:30:000",
            "+021:07:04 18:30:00",
        ] {
            assert_eq!(text(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn offsets_are_real_or_none() {
        for right in ["+02:00", "-05:30", "+14:00", "+00:00"] {
            assert!(is_offset(right), "{right}");
        }
        for wrong in ["", "+2:00", "+15:00", "+02:60", "02:00", "+02:00 ", "   :  ", "Z", "+0200"] {
            assert!(!is_offset(wrong), "{wrong:?}");
        }
    }
}
