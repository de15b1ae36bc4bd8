//! A JPEG's segments: its frame's size and kind, and where its EXIF lies.
//!
//! Owns the scan from marker to marker up to the first scan's data. `image`'s decoder is not used:
//! it takes the whole content into memory before it says a size.

use super::header::Header;
use super::source::Source;

/// Reads the JPEG that starts at `base`: the content itself, or the preview in a RAF.
pub(super) fn header(source: &mut Source<'_>, base: u64) -> Header {
    let (mut found, mut frame) = (Header::default(), None);
    // None is the content's end, a budget spent or what is no segment: what was found holds.
    let _ = scan(source, base, &mut found, &mut frame);
    found
}

/// Pixels of the JPEG that starts at `base`, if it is one for the eye: baseline, extended or
/// progressive. RAW has its sensor's values in lossless ones.
pub(super) fn pixels(source: &mut Source<'_>, base: u64) -> Option<u64> {
    let (mut found, mut frame) = (Header::default(), None);
    if source.bytes(base)? != [0xff, 0xd8, 0xff] {
        return None;
    }
    let _ = scan(source, base, &mut found, &mut frame);
    let (width, height) = found.size?;
    matches!(frame, Some(0xc0..=0xc2)).then_some(width * height)
}

fn scan(
    source: &mut Source<'_>,
    base: u64,
    found: &mut Header,
    frame: &mut Option<u8>,
) -> Option<()> {
    let mut at = base.checked_add(2)?;
    loop {
        let [0xff, marker] = source.bytes(at)? else { return None };
        match marker {
            // Fill.
            0xff => {
                at = at.checked_add(1)?;
                continue;
            }
            // Alone, without a length.
            0x01 | 0xd0..=0xd8 => {
                at = at.checked_add(2)?;
                continue;
            }
            // The scan, the end: no header comes after.
            0xd9 | 0xda => return Some(()),
            // Start of frame, but for the Huffman, extension and arithmetic ones among them.
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => {
                let height = source.u16(at.checked_add(5)?)?;
                let width = source.u16(at.checked_add(7)?)?;
                found.size = found.size.or(Some((width.into(), height.into())));
                frame.get_or_insert(marker);
            }
            0xe1 if found.exif_at.is_none() => {
                let payload = at.checked_add(4)?;
                if source.bytes(payload)? == *b"Exif\0\0" {
                    found.exif_at = Some(payload);
                }
            }
            _ => {}
        }
        let len = source.u16(at.checked_add(2)?).filter(|len| *len >= 2)?;
        at = at.checked_add(2 + u64::from(len))?;
    }
}
