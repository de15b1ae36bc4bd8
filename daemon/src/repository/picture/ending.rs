//! Whether an image's end is there, by the length that it promises or the mark that it closes with.
//!
//! Owns what a copy that was cut short looks like. The watch asks before it takes a file. Says `Torn`
//! only of what is surely cut off: bytes behind an image (a film, a note, padding) are no fault, and
//! of what is no longer like its format nothing is said. Mostly the last few bytes decide; where they
//! do not, the parts are gone through by their lengths, within a bound. Decodes nothing.

use std::io::{self, Read, Seek};

use super::kind::Kind;
use super::source::{BUDGET_BYTES, Source};

/// What the end of an image says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It is there.
    Whole,
    /// It is missing.
    Torn,
    /// The format does not tell, or this one cannot be told.
    Unknown,
}

/// Where a mark is looked for: cameras and editors put notes behind their images, seldom longer ones.
const TAIL_BYTES: u64 = 64 * 1024;

/// What one look may read where a file has to be gone through part by part: PNGs come in chunks of
/// 8 KiB (so 256 MiB of them), GIFs in blocks of 255 bytes. Only those that do not close as they
/// should cost this.
const WALK_BYTES: u64 = 16 * BUDGET_BYTES;

/// The last chunk of each PNG.
const IEND: [u8; 12] = *b"\0\0\0\0IEND\xaeB`\x82";

/// The last bytes of each QOI.
const QOI_END: [u8; 8] = *b"\0\0\0\0\0\0\0\x01";

/// Looks at the end of an image of this kind. Blocks, and leaves the content's position anywhere.
///
/// # Errors
/// Only what the content's reader answers: the disk's faults.
pub fn ending_of<R: Read + Seek>(
    content: &mut R,
    size_bytes: u64,
    kind: Kind,
) -> io::Result<Ending> {
    let budget_bytes = match kind {
        Kind::Png | Kind::Gif => WALK_BYTES,
        _ => BUDGET_BYTES,
    };
    let mut source = Source::within(content, size_bytes, budget_bytes);
    let ending = match kind {
        Kind::Png => png(&mut source),
        Kind::Jpeg => jpeg(&mut source),
        Kind::Gif => gif(&mut source),
        Kind::WebP => webp(&mut source),
        Kind::Bmp => bmp(&mut source),
        Kind::Qoi => qoi(&mut source),
        Kind::Heic | Kind::Heif | Kind::Avif | Kind::Cr3 | Kind::JxlBoxes => boxes(&mut source),
        // Their parts lie anywhere, or they have no end of their own.
        Kind::Tiff
        | Kind::Pnm(_)
        | Kind::Ico
        | Kind::JxlStream
        | Kind::Cr2
        | Kind::Crw
        | Kind::Orf
        | Kind::Rw2
        | Kind::Raf
        | Kind::X3f
        | Kind::Mrw => None,
    };
    source.close()?;
    Ok(ending.unwrap_or(Ending::Unknown))
}

// In what follows None is what cannot be told: no longer like the format, or the bound was reached.

/// Whether so many bytes from here on are beyond the end.
fn is_beyond(source: &Source<'_>, at: u64, len: u64) -> bool {
    at.checked_add(len).is_none_or(|end| end > source.size_bytes())
}

/// The last bytes, from here on or as many as are looked through; with where they begin.
fn tail(source: &mut Source<'_>, from: u64) -> Option<(u64, Vec<u8>)> {
    let start = source.size_bytes().saturating_sub(TAIL_BYTES).max(from);
    let len = source.size_bytes().checked_sub(start)?.min(TAIL_BYTES);
    let mut bytes = vec![0; len as usize];
    (source.fill(start, &mut bytes) == bytes.len()).then_some((start, bytes))
}

/// Chunk by chunk, unless the last bytes are the last chunk.
fn png(source: &mut Source<'_>) -> Option<Ending> {
    let last = source.size_bytes().checked_sub(IEND.len() as u64)?;
    if source.bytes(last)? == IEND {
        return Some(Ending::Whole);
    }
    let mut at = 8;
    loop {
        if is_beyond(source, at, 12) {
            return Some(Ending::Torn);
        }
        let (len, name) = (source.u32(at)?, source.bytes::<4>(at + 4)?);
        // Room that was laid out for it, and never filled.
        if len == 0 && name == [0; 4] {
            return Some(Ending::Torn);
        }
        // The format allows no others.
        if len > i32::MAX as u32 || !name.iter().all(u8::is_ascii_alphabetic) {
            return None;
        }
        if is_beyond(source, at, 12 + u64::from(len)) {
            return Some(Ending::Torn);
        }
        if name == *b"IEND" {
            return Some(Ending::Whole);
        }
        at += 12 + u64::from(len);
    }
}

/// Up to the scan by the segments' lengths, then by the mark of its end. Where that is not among the
/// last bytes they are another thing behind the image, unless they are like the inside of a scan.
fn jpeg(source: &mut Source<'_>) -> Option<Ending> {
    let last = source.size_bytes().checked_sub(2)?;
    if source.bytes(last)? == *b"\xff\xd9" {
        return Some(Ending::Whole);
    }
    let mut at = 2;
    loop {
        if is_beyond(source, at, 2) {
            return Some(Ending::Torn);
        }
        let [0xff, marker] = source.bytes(at)? else { return None };
        match marker {
            0xff => at += 1,
            0x01 | 0xd0..=0xd8 => at += 2,
            0xd9 => return Some(Ending::Whole),
            _ if is_beyond(source, at, 4) => return Some(Ending::Torn),
            _ => {
                let len = u64::from(source.u16(at + 2).filter(|len| *len >= 2)?);
                if is_beyond(source, at + 2, len) {
                    return Some(Ending::Torn);
                }
                at += 2 + len;
                if marker == 0xda {
                    break;
                }
            }
        }
    }
    let (start, bytes) = tail(source, at)?;
    // Not those of a preview: the headers, where it stands, are behind us.
    if bytes.windows(2).any(|pair| pair == b"\xff\xd9") {
        return Some(Ending::Whole);
    }
    (start == at || is_scan(&bytes)).then_some(Ending::Torn)
}

/// Whether these are bytes of a scan. In one, 0xFF is followed by a zero, a restart mark, or the
/// tables and header of the next scan of the same image; a film has 256 others in 64 KiB.
fn is_scan(bytes: &[u8]) -> bool {
    let after = bytes.windows(2).filter(|pair| pair[0] == 0xff).map(|pair| pair[1]);
    let mut is_stuffed = false;
    for next in after {
        match next {
            0 => is_stuffed = true,
            0xd0..=0xd7 | 0xc4 | 0xda | 0xff => {}
            _ => return false,
        }
    }
    is_stuffed
}

/// Block by block, unless the last bytes, padding apart, end a block and close the image.
fn gif(source: &mut Source<'_>) -> Option<Ending> {
    let (_, bytes) = tail(source, 0)?;
    let padding = bytes.iter().rev().take_while(|byte| **byte == 0).count();
    if bytes[..bytes.len() - padding].ends_with(b"\0;") {
        return Some(Ending::Whole);
    }
    gif_blocks(source)
}

fn gif_blocks(source: &mut Source<'_>) -> Option<Ending> {
    let colours = |flags: u8| if flags & 0x80 == 0 { 0 } else { 3 * (2 << (flags & 7)) };
    let mut at = 13 + colours(source.u8(10)?);
    loop {
        if is_beyond(source, at, 1) {
            return Some(Ending::Torn);
        }
        match source.u8(at)? {
            b';' => return Some(Ending::Whole),
            b'!' => at += 2,
            b',' if is_beyond(source, at, 11) => return Some(Ending::Torn),
            // Its place, its colours, and the size of its codes.
            b',' => at += 11 + colours(source.u8(at + 9)?),
            _ => return None,
        }
        loop {
            if is_beyond(source, at, 1) {
                return Some(Ending::Torn);
            }
            let len = source.u8(at)?;
            at += 1 + u64::from(len);
            if len == 0 {
                break;
            }
        }
    }
}

/// By the length of all, and of the part that is cut: some programs write a wrong one of all.
fn webp(source: &mut Source<'_>) -> Option<Ending> {
    let little = |bytes: [u8; 4]| u64::from(u32::from_le_bytes(bytes));
    let len = little(source.bytes(4)?);
    if !is_beyond(source, 8, len) {
        return Some(Ending::Whole);
    }
    let mut at = 12;
    while !is_beyond(source, at, 8) {
        let len = little(source.bytes(at + 4)?);
        if is_beyond(source, at + 8, len) {
            return Some(Ending::Torn);
        }
        at += 8 + len + (len & 1);
    }
    // A part's head is cut; right behind a part it is the length of all that may be wrong.
    (at < source.size_bytes()).then_some(Ending::Torn)
}

/// By the length of all, and of the pixels where they are plain: some programs write a wrong one.
fn bmp(source: &mut Source<'_>) -> Option<Ending> {
    let mut field = |at| source.bytes(at).map(u32::from_le_bytes);
    let (len, pixels_at, header_len) = (field(2)?, field(10)?, field(14)?);
    // None of the old programs that left it out.
    if len < pixels_at {
        return None;
    }
    let mut is_torn = true;
    if header_len >= 40 && field(30)? == 0 {
        let (width, height) =
            (u64::from(field(18)?), u64::from(field(22)?.cast_signed().unsigned_abs()));
        let depth = u64::from(field(28)? & 0xffff);
        let row = width.checked_mul(depth)?.div_ceil(32) * 4;
        is_torn = is_beyond(source, pixels_at.into(), row.checked_mul(height)?);
    }
    match is_beyond(source, 0, len.into()) {
        false => Some(Ending::Whole),
        true => is_torn.then_some(Ending::Torn),
    }
}

/// By the mark of its end.
fn qoi(source: &mut Source<'_>) -> Option<Ending> {
    let (_, bytes) = tail(source, 14)?;
    let is_whole = bytes.windows(QOI_END.len()).any(|end| end == QOI_END);
    Some(if is_whole { Ending::Whole } else { Ending::Torn })
}

/// Box by box: HEIF, AVIF, CR3, JPEG XL.
fn boxes(source: &mut Source<'_>) -> Option<Ending> {
    let (mut at, mut has_content) = (0, false);
    while !is_beyond(source, at, 8) {
        // What is behind the image need not be a box.
        let name: [u8; 4] = source.bytes(at + 4)?;
        let is_known = matches!(
            &name,
            b"ftyp"
                | b"meta"
                | b"mdat"
                | b"moov"
                | b"moof"
                | b"free"
                | b"skip"
                | b"uuid"
                | b"mpvd"
                | b"JXL "
                | b"jxlc"
                | b"jxlp"
                | b"jxll"
                | b"jbrd"
                | b"Exif"
                | b"xml "
                | b"brob"
        );
        if !is_known {
            return None;
        }
        let (head, len) = match source.u32(at)? {
            // To the end, wherever that is.
            0 => return None,
            1 if is_beyond(source, at, 16) => return Some(Ending::Torn),
            1 => (16, source.u64(at + 8)?),
            len => (8, u64::from(len)),
        };
        if len < head {
            return None;
        }
        if is_beyond(source, at, len) {
            return Some(Ending::Torn);
        }
        has_content |= matches!(&name, b"mdat" | b"jxlc" | b"jxlp");
        at += len;
    }
    // Small pictures may lie in the box that describes them, so that none is missed.
    (has_content && at == source.size_bytes()).then_some(Ending::Whole)
}

#[cfg(test)]
#[path = "ending_tests.rs"]
mod tests;
