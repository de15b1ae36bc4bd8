//! What kind of image these bytes are, by their magic and a second fact of the header.
//!
//! Owns the list of what counts as an image, and the media types. The upload asks with the first
//! bytes that come in, so that what is no image is refused before the rest is sent; [`super::probe`]
//! asks again. Never looks at a name. A magic of few letters is not enough (a text may open with
//! `BM` or `P1 `): each kind here has a second fact to meet.

use super::jxl::{HEADER_BYTES, dimensions};

/// The first bytes that decide; more say nothing new.
pub const DECIDING_BYTES: usize = 64;

/// What the first bytes of some content say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guess {
    /// An image of this kind.
    Image(Kind),
    /// Whatever follows, it is not an image.
    NotAnImage,
    /// Too few bytes to tell. As the answer to a whole content: not an image.
    NeedMore,
}

/// A kind of image that the repository takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names of the formats say it all")]
pub enum Kind {
    Jpeg,
    Png,
    Gif,
    WebP,
    Bmp,
    /// TIFF and BigTIFF, and camera RAW that only its directories tell from them.
    Tiff,
    Qoi,
    /// By the digit of its magic: P1 to P7.
    Pnm(u8),
    Ico,
    Heic,
    /// HEIF with a codec that its first bytes do not tell.
    Heif,
    Avif,
    /// JPEG XL, the bare codestream.
    JxlStream,
    /// JPEG XL in its container.
    JxlBoxes,
    Cr2,
    Cr3,
    Crw,
    Orf,
    Rw2,
    Raf,
    X3f,
    Mrw,
}

impl Kind {
    /// Its media type. RAW of the TIFF family may be told more closely by [`super::probe`].
    pub fn media_type(self) -> &'static str {
        match self {
            Kind::Jpeg => "image/jpeg",
            Kind::Png => "image/png",
            Kind::Gif => "image/gif",
            Kind::WebP => "image/webp",
            Kind::Bmp => "image/bmp",
            Kind::Tiff => "image/tiff",
            Kind::Qoi => "image/qoi",
            Kind::Pnm(1 | 4) => "image/x-portable-bitmap",
            Kind::Pnm(2 | 5) => "image/x-portable-graymap",
            Kind::Pnm(3 | 6) => "image/x-portable-pixmap",
            Kind::Pnm(_) => "image/x-portable-arbitrarymap",
            Kind::Ico => "image/vnd.microsoft.icon",
            Kind::Heic => "image/heic",
            Kind::Heif => "image/heif",
            Kind::Avif => "image/avif",
            Kind::JxlStream | Kind::JxlBoxes => "image/jxl",
            Kind::Cr2 => "image/x-canon-cr2",
            Kind::Cr3 => "image/x-canon-cr3",
            Kind::Crw => "image/x-canon-crw",
            Kind::Orf => "image/x-olympus-orf",
            Kind::Rw2 => "image/x-panasonic-rw2",
            Kind::Raf => "image/x-fuji-raf",
            Kind::X3f => "image/x-sigma-x3f",
            Kind::Mrw => "image/x-minolta-mrw",
        }
    }

    /// Its name, for people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Jpeg => "JPEG",
            Kind::Png => "PNG",
            Kind::Gif => "GIF",
            Kind::WebP => "WebP",
            Kind::Bmp => "BMP",
            Kind::Tiff => "TIFF",
            Kind::Qoi => "QOI",
            Kind::Pnm(_) => "PNM",
            Kind::Ico => "ICO",
            Kind::Heic => "HEIC",
            Kind::Heif => "HEIF",
            Kind::Avif => "AVIF",
            Kind::JxlStream | Kind::JxlBoxes => "JPEG XL",
            Kind::Cr2 => "CR2",
            Kind::Cr3 => "CR3",
            Kind::Crw => "CRW",
            Kind::Orf => "ORF",
            Kind::Rw2 => "RW2",
            Kind::Raf => "RAF",
            Kind::X3f => "X3F",
            Kind::Mrw => "MRW",
        }
    }
}

/// The bytes so far agree, but end too early.
struct Short;

type Verdict = Result<Option<Kind>, Short>;

/// Tells by the first bytes; [`DECIDING_BYTES`] of them always decide.
pub fn kind_of(first_bytes: &[u8]) -> Guess {
    let bytes = &first_bytes[..first_bytes.len().min(DECIDING_BYTES)];
    let mut short = false;
    for test in
        [jpeg, png, gif, webp, bmp, tiff, qoi, pnm, ico, iso, jxl_boxes, jxl_stream, lone_raw]
    {
        match test(bytes) {
            Ok(Some(kind)) => return Guess::Image(kind),
            Ok(None) => {}
            Err(Short) => short = true,
        }
    }
    if short { Guess::NeedMore } else { Guess::NotAnImage }
}

fn at<const N: usize>(bytes: &[u8], offset: usize) -> Result<[u8; N], Short> {
    bytes.get(offset..).and_then(|rest| rest.first_chunk()).copied().ok_or(Short)
}

fn starts(bytes: &[u8], magic: &[u8]) -> Result<bool, Short> {
    let len = bytes.len().min(magic.len());
    if bytes[..len] != magic[..len] {
        return Ok(false);
    }
    if len < magic.len() { Err(Short) } else { Ok(true) }
}

fn le16(bytes: &[u8], offset: usize) -> Result<u16, Short> {
    at(bytes, offset).map(u16::from_le_bytes)
}

fn le32(bytes: &[u8], offset: usize) -> Result<u32, Short> {
    at(bytes, offset).map(u32::from_le_bytes)
}

fn be32(bytes: &[u8], offset: usize) -> Result<u32, Short> {
    at(bytes, offset).map(u32::from_be_bytes)
}

/// Start of image, then a marker that may follow it; not FFF7, which is JPEG-LS.
fn jpeg(bytes: &[u8]) -> Verdict {
    if !starts(bytes, b"\xff\xd8\xff")? {
        return Ok(None);
    }
    let [marker] = at(bytes, 3)?;
    Ok(matches!(marker, 0xc0..=0xcf | 0xdb..=0xef | 0xfe | 0xff).then_some(Kind::Jpeg))
}

fn png(bytes: &[u8]) -> Verdict {
    Ok(starts(bytes, b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR")?.then_some(Kind::Png))
}

/// The byte after the screen descriptor and its colours opens a block.
fn gif(bytes: &[u8]) -> Verdict {
    if !starts(bytes, b"GIF89a")? && !starts(bytes, b"GIF87a")? {
        return Ok(None);
    }
    let [flags] = at(bytes, 10)?;
    let colours = if flags & 0x80 == 0 { 0 } else { 2 << (flags & 7) };
    let block = 13 + 3 * colours;
    if block >= DECIDING_BYTES {
        return Ok(Some(Kind::Gif));
    }
    let [introducer] = at(bytes, block)?;
    Ok(matches!(introducer, b'!' | b',' | b';').then_some(Kind::Gif))
}

fn webp(bytes: &[u8]) -> Verdict {
    if !starts(bytes, b"RIFF")? || !starts(&bytes[bytes.len().min(8)..], b"WEBPVP8")? {
        return Ok(None);
    }
    let [variant] = at(bytes, 15)?;
    Ok(matches!(variant, b' ' | b'L' | b'X').then_some(Kind::WebP))
}

/// A header of a known length, one plane, a known depth.
fn bmp(bytes: &[u8]) -> Verdict {
    if !starts(bytes, b"BM")? {
        return Ok(None);
    }
    let header_len = le32(bytes, 14)?;
    let (planes_at, depth_at) = match header_len {
        12 => (22, 24),
        16 | 40 | 52 | 56 | 64 | 108 | 124 => (26, 28),
        _ => return Ok(None),
    };
    let depth = le16(bytes, depth_at)?;
    let known = le16(bytes, planes_at)? == 1 && matches!(depth, 0 | 1 | 2 | 4 | 8 | 16 | 24 | 32);
    Ok(known.then_some(Kind::Bmp))
}

/// Byte order, version, and a first directory behind the header; RAW by the marks of its makers.
fn tiff(bytes: &[u8]) -> Verdict {
    let [order] = at(bytes, 0)?;
    let little = match order {
        b'I' => true,
        b'M' => false,
        _ => return Ok(None),
    };
    if at(bytes, 1)? != [order] {
        return Ok(None);
    }
    let version: [u8; 2] = at(bytes, 2)?;
    let number = if little { u16::from_le_bytes(version) } else { u16::from_be_bytes(version) };
    let first: [u8; 4] = at(bytes, 4)?;
    let first = if little { u32::from_le_bytes(first) } else { u32::from_be_bytes(first) };
    if little && &version == b"\x1a\0" {
        // CIFF: the header's length, then its own mark.
        return Ok(starts(&bytes[4..], b"\0\0HEAPCCDR")?.then_some(Kind::Crw));
    }
    if number == 43 {
        // BigTIFF: offsets of 8 bytes, then zero.
        let rest: [u8; 4] = at(bytes, 4)?;
        let wanted = if little { [8, 0, 0, 0] } else { [0, 8, 0, 0] };
        return Ok((rest == wanted).then_some(Kind::Tiff));
    }
    if first < 8 {
        return Ok(None);
    }
    match (&version, number) {
        (b"RO" | b"RS", _) if little => Ok(Some(Kind::Orf)),
        (b"OR" | b"SR", _) if !little => Ok(Some(Kind::Orf)),
        (b"U\0", _) if little => Ok(Some(Kind::Rw2)),
        (_, 42) if little && first >= 16 => {
            Ok(Some(if at(bytes, 8)? == *b"CR\x02" { Kind::Cr2 } else { Kind::Tiff }))
        }
        (_, 42) => Ok(Some(Kind::Tiff)),
        _ => Ok(None),
    }
}

fn qoi(bytes: &[u8]) -> Verdict {
    if !starts(bytes, b"qoif")? {
        return Ok(None);
    }
    let [channels, space] = at(bytes, 12)?;
    let sized = be32(bytes, 4)? > 0 && be32(bytes, 8)? > 0;
    Ok((sized && matches!(channels, 3 | 4) && space < 2).then_some(Kind::Qoi))
}

/// A header as netpbm writes it; `P1 is my pin` is not one. A comment may reach past the bytes that
/// decide: then [`super::probe`] has the last word.
fn pnm(bytes: &[u8]) -> Verdict {
    let [letter, digit] = at(bytes, 0)?;
    if letter != b'P' || !matches!(digit, b'1'..=b'7') {
        return Ok(None);
    }
    let kind = Kind::Pnm(digit - b'0');
    if digit == b'7' {
        let [end] = at(bytes, 2)?;
        let rest = bytes.get(3..).unwrap_or_default();
        let mut short = false;
        for word in [b"WIDTH " as &[u8], b"HEIGHT ", b"DEPTH ", b"MAXVAL ", b"TUPLTYPE ", b"#"] {
            match starts(rest, word) {
                Ok(true) if end == b'\n' => return Ok(Some(kind)),
                Ok(_) => {}
                Err(Short) => short = true,
            }
        }
        return if short && end == b'\n' { Err(Short) } else { Ok(None) };
    }
    let numbers = if matches!(digit, b'1' | b'4') { 2 } else { 3 };
    let mut seen = 0;
    let mut rest = bytes[2..].iter().copied().peekable();
    let end = |bytes: &[u8]| if bytes.len() < DECIDING_BYTES { Err(Short) } else { Ok(Some(kind)) };
    while seen < numbers {
        let mut gaps = 0;
        while let Some(next) = rest.next_if(|b| b.is_ascii_whitespace() || *b == b'#') {
            gaps += 1;
            if next == b'#' {
                while rest.next_if(|b| !matches!(b, b'\n' | b'\r')).is_some() {}
            }
        }
        let mut value: u32 = 0;
        let mut digits = 0;
        while let Some(next) = rest.next_if(u8::is_ascii_digit) {
            value = value.saturating_mul(10).saturating_add(u32::from(next - b'0'));
            digits += 1;
        }
        if rest.peek().is_none() {
            return end(bytes);
        }
        if gaps == 0 || digits == 0 || value == 0 || (seen == 2 && value > 65_535) {
            return Ok(None);
        }
        seen += 1;
    }
    if !rest.peek().is_some_and(|b| b.is_ascii_whitespace() || *b == b'#') {
        return Ok(None);
    }
    // The plain ones go on in digits.
    let plain = |b: u8| match digit {
        b'1' => b.is_ascii_whitespace() || matches!(b, b'0' | b'1'),
        b'2' | b'3' => b.is_ascii_whitespace() || b.is_ascii_digit(),
        _ => true,
    };
    Ok(rest.take_while(|b| *b != b'#').all(plain).then_some(kind))
}

/// At least one entry, and the first of a plausible depth, size and place.
fn ico(bytes: &[u8]) -> Verdict {
    if !starts(bytes, b"\0\0\x01\0")? {
        return Ok(None);
    }
    let count = le16(bytes, 4)?;
    let [reserved] = at(bytes, 9)?;
    let [planes, depth] = [le16(bytes, 10)?, le16(bytes, 12)?];
    let [size_bytes, offset] = [le32(bytes, 14)?, le32(bytes, 18)?];
    let known = count > 0
        && matches!(reserved, 0 | 255)
        && planes <= 1
        && matches!(depth, 0 | 1 | 4 | 8 | 16 | 24 | 32)
        && size_bytes >= 40
        && offset >= 6 + 16 * u32::from(count);
    Ok(known.then_some(Kind::Ico))
}

/// HEIF, AVIF and CR3 by the brands of their first box. `isom` and the like are films.
fn iso(bytes: &[u8]) -> Verdict {
    if !starts(&bytes[bytes.len().min(4)..], b"ftyp")? {
        return Ok(None);
    }
    let size = be32(bytes, 0)? as usize;
    if size < 16 || !size.is_multiple_of(4) || size > 4096 {
        return Ok(None);
    }
    match &at::<4>(bytes, 8)? {
        b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" | b"hevm" | b"hevs" => {
            return Ok(Some(Kind::Heic));
        }
        b"avif" | b"avis" => return Ok(Some(Kind::Avif)),
        b"crx " => return Ok(Some(Kind::Cr3)),
        b"mif1" | b"mif2" | b"msf1" => {}
        _ => return Ok(None),
    }
    // The structure alone is named first: the codec stands among the compatible brands.
    let end = size.min(DECIDING_BYTES);
    for offset in (16..end).step_by(4) {
        match &at::<4>(bytes, offset)? {
            b"heic" | b"heix" | b"heim" | b"heis" => return Ok(Some(Kind::Heic)),
            b"avif" => return Ok(Some(Kind::Avif)),
            _ => {}
        }
    }
    Ok(Some(Kind::Heif))
}

fn jxl_boxes(bytes: &[u8]) -> Verdict {
    Ok(starts(bytes, b"\0\0\0\x0cJXL \r\n\x87\n")?.then_some(Kind::JxlBoxes))
}

/// The RAW kinds that stand alone.
fn lone_raw(bytes: &[u8]) -> Verdict {
    let [first] = at(bytes, 0)?;
    let (kind, found) = match first {
        b'F' if bytes.get(1) == Some(&b'O') => {
            (Kind::X3f, starts(bytes, b"FOVb")? && (2..=4).contains(&le16(bytes, 6)?))
        }
        b'F' => {
            let digits = |version: [u8; 4]| version.iter().all(u8::is_ascii_digit);
            (Kind::Raf, starts(bytes, b"FUJIFILMCCD-RAW ")? && digits(at(bytes, 16)?))
        }
        _ => {
            (Kind::Mrw, starts(bytes, b"\0MRM")? && starts(&bytes[bytes.len().min(8)..], b"\0PRD")?)
        }
    };
    Ok(found.then_some(kind))
}

/// Two bytes of magic, and a size that the format's highest level allows.
fn jxl_stream(bytes: &[u8]) -> Verdict {
    if !starts(bytes, b"\xff\x0a")? {
        return Ok(None);
    }
    // Longer than the size takes; no whole image is as short as this.
    let header: [u8; HEADER_BYTES] = at(bytes, 0)?;
    Ok(dimensions(&header).map(|_| Kind::JxlStream))
}
