//! ISO base media boxes: HEIF and AVIF, Canon's CR3, JPEG XL's container.
//!
//! Owns the way to the primary item's stored size and to the EXIF. Never follows a reference
//! outside the content and never looks into the codec's bytes, JPEG XL's size header apart.

use super::exif;
use super::header::Header;
use super::jxl as stream;
use super::source::Source;
use super::tiff::Tiff;

#[derive(Debug, Clone, Copy)]
struct Bx {
    name: [u8; 4],
    /// Of its payload.
    start: u64,
    /// Behind its payload.
    end: u64,
}

/// The box that starts here, ending at `end` at the latest.
fn box_at(source: &mut Source<'_>, at: u64, end: u64) -> Option<Bx> {
    let name = source.bytes(at.checked_add(4)?)?;
    let (head, len) = match source.u32(at)? {
        0 => (8, end.checked_sub(at)?),
        1 => (16, source.u64(at.checked_add(8)?)?),
        len => (8, u64::from(len)),
    };
    if len < head {
        return None;
    }
    Some(Bx { name, start: at.checked_add(head)?, end: at.checked_add(len)?.min(end) })
}

/// The next box of this name in a row of them.
fn find(source: &mut Source<'_>, mut at: u64, end: u64, name: &[u8; 4]) -> Option<Bx> {
    while at < end {
        let found = box_at(source, at, end)?;
        if found.name == *name {
            return Some(found);
        }
        at = found.end;
    }
    None
}

/// HEIF and AVIF: the size of the primary item, and the item that is the EXIF.
pub(super) fn heif(source: &mut Source<'_>) -> Option<Header> {
    let whole = source.size_bytes();
    let meta = find(source, 0, whole, b"meta")?;
    // A full box: version and flags first.
    let start = meta.start.checked_add(4)?;
    let primary = primary(source, start, meta.end);
    Some(Header {
        size: primary.and_then(|primary| primary.size),
        exif_at: exif_item(source, start, meta.end),
        // Turning stands here: what the EXIF says of it too is not for readers (ISO/IEC 23008-12).
        orientation: primary.map(|primary| primary.orientation()),
        ..Header::default()
    })
}

/// What the properties of the primary item say.
#[derive(Debug, Clone, Copy, Default)]
struct Primary {
    size: Option<(u64, u64)>,
    /// Quarters of a turn to the left.
    turns: u8,
    /// Whether it is mirrored after that: top and bottom change places (0), or left and right (1).
    mirror: Option<u8>,
}

impl Primary {
    fn orientation(self) -> u8 {
        match (self.turns, self.mirror) {
            (0, None) => 1,
            (1, None) => 8,
            (2, None) => 3,
            (_, None) => 6,
            (0, Some(0)) | (2, Some(1)) => 4,
            (0, Some(_)) | (2, Some(_)) => 2,
            (1, Some(0)) | (3, Some(1)) => 5,
            (_, Some(_)) => 7,
        }
    }
}

fn primary(source: &mut Source<'_>, start: u64, end: u64) -> Option<Primary> {
    let pitm = find(source, start, end, b"pitm")?;
    let mut cursor = Cursor::full_box(source, pitm)?;
    let primary = cursor.id(source, cursor.version > 0)?;

    let iprp = find(source, start, end, b"iprp")?;
    let ipco = find(source, iprp.start, iprp.end, b"ipco")?;
    let ipma = find(source, iprp.start, iprp.end, b"ipma")?;
    let mut cursor = Cursor::full_box(source, ipma)?;
    let index_len = 1 + u64::from(cursor.flags & 1);
    for _ in 0..cursor.take(source, 4)? {
        let item = cursor.id(source, cursor.version > 0)?;
        let properties = cursor.take(source, 1)?;
        if item == primary {
            return read_properties(source, ipco, &mut cursor, properties, index_len);
        }
        cursor.skip(properties * index_len)?;
    }
    None
}

/// The item's extent, cut to its clean aperture: encoders pad small pictures to whole blocks, which
/// nobody calls their size; and how it is turned.
fn read_properties(
    source: &mut Source<'_>,
    ipco: Bx,
    cursor: &mut Cursor,
    properties: u64,
    index_len: u64,
) -> Option<Primary> {
    let (mut extent, mut aperture) = (None, None);
    let mut found = Primary::default();
    for _ in 0..properties {
        // The highest bit says whether readers must understand the property.
        let index = cursor.take(source, index_len)? & ((1 << (8 * index_len - 1)) - 1);
        let Some(found_at) = property(source, ipco, index) else { continue };
        let mut field = |number: u64| source.u32(found_at.start.checked_add(4 * number)?);
        match &found_at.name {
            b"ispe" => extent = field(1).zip(field(2)),
            b"clap" => {
                let ratio = |over: Option<u32>, under: Option<u32>| over?.checked_div(under?);
                aperture = ratio(field(0), field(1)).zip(ratio(field(2), field(3)));
            }
            b"irot" => found.turns = source.u8(found_at.start)? & 3,
            b"imir" => found.mirror = Some(source.u8(found_at.start)? & 1),
            _ => {}
        }
    }
    if let Some((width, height)) = extent {
        let (most_wide, most_high) = aperture.unwrap_or((width, height));
        found.size = Some((width.min(most_wide).into(), height.min(most_high).into()));
    }
    Some(found)
}

/// The property of this number, counted from 1.
fn property(source: &mut Source<'_>, ipco: Bx, index: u64) -> Option<Bx> {
    let mut at = ipco.start;
    for _ in 1..index {
        at = box_at(source, at, ipco.end)?.end;
    }
    (index > 0 && at < ipco.end).then(|| box_at(source, at, ipco.end))?
}

/// Where the EXIF's TIFF lies.
fn exif_item(source: &mut Source<'_>, start: u64, end: u64) -> Option<u64> {
    let iinf = find(source, start, end, b"iinf")?;
    let mut cursor = Cursor::full_box(source, iinf)?;
    cursor.take(source, if cursor.version == 0 { 2 } else { 4 })?;
    let mut at = cursor.at;
    let exif = loop {
        let infe = find(source, at, iinf.end, b"infe")?;
        at = infe.end;
        let mut cursor = Cursor::full_box(source, infe)?;
        if cursor.version < 2 {
            continue;
        }
        let id = cursor.id(source, cursor.version > 2)?;
        cursor.take(source, 2)?;
        if source.bytes(cursor.at)? == *b"Exif" {
            break id;
        }
    };

    let iloc = find(source, start, end, b"iloc")?;
    let mut cursor = Cursor::full_box(source, iloc)?;
    let version = cursor.version;
    let sizes = cursor.take(source, 2)?;
    let [offset_len, length_len, base_len, index_len] =
        [sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15, sizes & 15];
    for _ in 0..cursor.take(source, if version < 2 { 2 } else { 4 })? {
        let item = cursor.id(source, version > 1)?;
        let method = if version > 0 { cursor.take(source, 2)? & 15 } else { 0 };
        cursor.take(source, 2)?;
        let base = cursor.take(source, base_len)?;
        let extents = cursor.take(source, 2)?;
        let index_len = if version > 0 { index_len } else { 0 };
        if item != exif {
            cursor.skip(extents * (index_len + offset_len + length_len))?;
            continue;
        }
        // EXIF in several pieces has not been seen; its first directory lies in the first.
        cursor.skip(index_len)?;
        let offset = cursor.take(source, offset_len)?;
        let from = match method {
            0 => 0,
            1 => find(source, start, end, b"idat")?.start,
            _ => return None,
        };
        return behind_exif_head(source, from.checked_add(base)?.checked_add(offset)?);
    }
    None
}

/// Both HEIF and JPEG XL put a count of bytes to skip before the TIFF; some writers forget it.
fn behind_exif_head(source: &mut Source<'_>, at: u64) -> Option<u64> {
    if matches!(&source.bytes(at)?, b"II*\0" | b"MM\0*") {
        return Some(at);
    }
    at.checked_add(4)?.checked_add(source.u32(at)?.into())
}

/// A place in a full box, moved on by what is taken.
struct Cursor {
    at: u64,
    end: u64,
    version: u8,
    flags: u32,
}

impl Cursor {
    fn full_box(source: &mut Source<'_>, of: Bx) -> Option<Cursor> {
        let head = source.u32(of.start)?;
        let at = of.start.checked_add(4)?;
        Some(Cursor { at, end: of.end, version: (head >> 24) as u8, flags: head & 0xff_ffff })
    }

    /// A number of so many bytes: 0 to 8.
    fn take(&mut self, source: &mut Source<'_>, len: u64) -> Option<u64> {
        let from = self.at;
        self.skip(len)?;
        (from..self.at).try_fold(0, |value, at| Some(value << 8 | u64::from(source.u8(at)?)))
    }

    fn id(&mut self, source: &mut Source<'_>, wide: bool) -> Option<u64> {
        self.take(source, if wide { 4 } else { 2 })
    }

    fn skip(&mut self, len: u64) -> Option<()> {
        self.at = self.at.checked_add(len).filter(|at| *at <= self.end)?;
        Some(())
    }
}

/// Canon's box of metadata in the `moov` of a CR3.
const CANON: [u8; 16] = [
    0x85, 0xc0, 0xb6, 0x87, 0x82, 0x0f, 0x11, 0xe0, 0x81, 0x11, 0xf4, 0xce, 0x46, 0x2b, 0x6a, 0x48,
];

/// And that of a preview behind it.
const CANON_PREVIEW: [u8; 16] = [
    0xea, 0xf4, 0x2b, 0x5e, 0x1c, 0x98, 0x4b, 0x88, 0xb9, 0xfb, 0xb7, 0xdc, 0x40, 0x6e, 0x4d, 0x16,
];

/// The metadata of a CR3.
fn canon(source: &mut Source<'_>) -> Option<(u64, u64)> {
    let whole = source.size_bytes();
    let moov = find(source, 0, whole, b"moov")?;
    let uuid = find(source, moov.start, moov.end, b"uuid")?;
    if source.bytes(uuid.start)? != CANON {
        return None;
    }
    Some((uuid.start.checked_add(16)?, uuid.end))
}

/// CR3: EXIF cut into TIFFs, the first directory in CMT1, EXIF's own in CMT2.
pub(super) fn cr3(source: &mut Source<'_>) -> Option<Header> {
    let (start, end) = canon(source)?;
    let mut found = Header::default();
    if let Some(cmt1) = find(source, start, end, b"CMT1") {
        found.orientation = exif::orientation(source, cmt1.start);
        found.size = Tiff::open(source, cmt1.start).and_then(|tiff| {
            let first = tiff.first(source)?;
            Some((tiff.value(source, &first, 0x100)?, tiff.value(source, &first, 0x101)?))
        });
    }
    found.exif_at = find(source, start, end, b"CMT2").map(|cmt2| cmt2.start);
    Some(found)
}

/// Where the JPEGs of a CR3 may lie, up to where: the preview, and the small one in the metadata.
pub(super) fn cr3_previews(source: &mut Source<'_>) -> Vec<(u64, u64)> {
    let whole = source.size_bytes();
    let mut boxes = Vec::new();
    let mut at = 0;
    while let Some(uuid) = find(source, at, whole, b"uuid") {
        if source.bytes(uuid.start) == Some(CANON_PREVIEW) {
            // Eight bytes of no known meaning first.
            boxes.extend(find(source, uuid.start.saturating_add(24), uuid.end, b"PRVW"));
        }
        at = uuid.end;
    }
    if let Some((start, end)) = canon(source) {
        boxes.extend(find(source, start, end, b"THMB"));
    }
    // Their JPEGs come behind sizes, 16 bytes in both.
    boxes.into_iter().map(|found| (found.start.saturating_add(16), found.end)).collect()
}

/// JPEG XL's container: the codestream, whole or in parts, and EXIF beside it.
pub(super) fn jxl(source: &mut Source<'_>) -> Option<Header> {
    let whole = source.size_bytes();
    let mut found = Header::default();
    // libjxl cuts the first part within the codestream's header when it puts EXIF early.
    let mut head = [0; stream::HEADER_BYTES];
    let mut held = 0;
    let mut at = 0;
    while at < whole {
        let Some(next) = box_at(source, at, whole) else { break };
        at = next.end;
        let start = match &next.name {
            b"jxlc" => next.start,
            b"jxlp" => next.start.checked_add(4)?,
            b"Exif" => {
                let tiff = behind_exif_head(source, next.start);
                found.exif_at = found.exif_at.or(tiff);
                continue;
            }
            _ => continue,
        };
        let len = next.end.saturating_sub(start).min((head.len() - held) as u64) as usize;
        held += source.fill(start, &mut head[held..held + len]);
    }
    found.size =
        stream::dimensions(&head[..held]).map(|(width, height)| (width.into(), height.into()));
    Some(found)
}

/// The size of a bare codestream.
pub(super) fn jxl_stream(source: &mut Source<'_>) -> Option<Header> {
    let (width, height) = stream::dimensions(&source.bytes::<{ stream::HEADER_BYTES }>(0)?)?;
    Some(Header { size: Some((width.into(), height.into())), ..Header::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The place (x, y) of a picture of 3 x 2, turned by the quarter to the left.
    fn left((x, y): (i32, i32), (width, height): (i32, i32)) -> ((i32, i32), (i32, i32)) {
        ((y, width - 1 - x), (height, width))
    }

    /// Where EXIF's number has the stored place.
    fn by_exif(number: u8, (x, y): (i32, i32), (width, height): (i32, i32)) -> (i32, i32) {
        let (right, bottom) = (width - 1, height - 1);
        match number {
            2 => (right - x, y),
            3 => (right - x, bottom - y),
            4 => (x, bottom - y),
            5 => (y, x),
            6 => (bottom - y, x),
            7 => (bottom - y, right - x),
            8 => (y, right - x),
            _ => (x, y),
        }
    }

    #[test]
    fn turns_and_mirrors_have_exifs_numbers() {
        let mut seen = Vec::new();
        for turns in 0..4 {
            for mirror in [None, Some(0), Some(1)] {
                let number = Primary { size: None, turns, mirror }.orientation();
                for place in [(0, 0), (2, 0), (1, 1)] {
                    let (mut there, mut size) = (place, (3, 2));
                    for _ in 0..turns {
                        (there, size) = left(there, size);
                    }
                    match mirror {
                        Some(0) => there.1 = size.1 - 1 - there.1,
                        Some(_) => there.0 = size.0 - 1 - there.0,
                        None => {}
                    }
                    assert_eq!(by_exif(number, place, (3, 2)), there, "{turns} {mirror:?}");
                }
                seen.push(number);
            }
        }
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, [1, 2, 3, 4, 5, 6, 7, 8]);
    }
}
