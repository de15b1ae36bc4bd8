//! What the header of each kind says: the stored size, and where the EXIF lies.
//!
//! Owns the choice of who reads which kind. `image`'s decoders read the plain headers (GIF, BMP,
//! QOI, PNM), where they stop at the header. The others are read here and beside: `image` takes a
//! whole JPEG into memory, unpacks the colour profile of a PNG (also of one in an icon) without a
//! bound, finds the size of a WebP only where every flagged chunk is there, and does not know HEIF,
//! JPEG XL or RAW. The crate imagesize was looked at too: it takes HEIF's largest part for the
//! picture, a TIFF's thumbnail for the photograph, and says nothing of EXIF, whose containers have
//! to be walked anyway.

use std::io::BufReader;

use image::codecs::{bmp::BmpDecoder, gif::GifDecoder, pnm::PnmDecoder, qoi::QoiDecoder};
use image::{ImageDecoder, ImageResult};

use super::kind::Kind;
use super::source::Source;
use super::{boxes, exif, jpeg, raw};

/// What the decoders of `image` get at once: their headers are shorter.
const BUFFER_BYTES: usize = 1024;

/// What was found; what was not is None.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Header {
    /// Width and height.
    pub(super) size: Option<(u64, u64)>,
    /// Where EXIF starts.
    pub(super) exif_at: Option<u64>,
    /// Where it is told more closely than by the kind.
    pub(super) media_type: Option<&'static str>,
    /// EXIF's number, where the container has another place for it than its EXIF.
    pub(super) orientation: Option<u8>,
}

impl Header {
    /// How the stored pixels are to be turned: EXIF's number, 1 to 8; None where nothing says it.
    pub(super) fn orientation(&self, source: &mut Source<'_>) -> Option<u8> {
        self.orientation.or_else(|| exif::orientation(source, self.exif_at?))
    }
}

/// What the header says. The error: on a second look this is no image.
pub(super) fn read(source: &mut Source<'_>, kind: Kind) -> Result<Header, NotAnImage> {
    let found = match kind {
        Kind::Pnm(variant) => Some(pnm(source, variant)?),
        Kind::Ico => Some(ico(source).ok_or(NotAnImage)?),
        Kind::Jpeg => Some(jpeg::header(source, 0)),
        Kind::Png => png(source),
        Kind::WebP => webp(source),
        Kind::Gif => decoded(GifDecoder::new(buffered(source))),
        Kind::Bmp => decoded(BmpDecoder::new(buffered(source))),
        Kind::Qoi => decoded(QoiDecoder::new(source.stream())),
        Kind::Tiff | Kind::Cr2 | Kind::Orf | Kind::Rw2 => raw::tiff(source, kind),
        Kind::Raf => raw::raf(source),
        Kind::X3f => raw::x3f(source),
        Kind::Mrw => raw::mrw(source),
        Kind::Crw => None,
        Kind::Heic | Kind::Heif | Kind::Avif => boxes::heif(source),
        Kind::Cr3 => boxes::cr3(source),
        Kind::JxlBoxes => boxes::jxl(source),
        Kind::JxlStream => boxes::jxl_stream(source),
    };
    Ok(found.unwrap_or_default())
}

/// The magic lied.
#[derive(Debug)]
pub(super) struct NotAnImage;

fn buffered<'s, 'a>(source: &'s mut Source<'a>) -> BufReader<super::source::Stream<'s, 'a>> {
    BufReader::with_capacity(BUFFER_BYTES, source.stream())
}

fn decoded(decoder: ImageResult<impl ImageDecoder>) -> Option<Header> {
    let (width, height) = decoder.ok()?.dimensions();
    Some(Header { size: Some((width.into(), height.into())), ..Header::default() })
}

/// The magic is two letters: the header has to be whole, and the pixels it promises have to be
/// there. P7 has a magic of its own and tuples that no reader knows.
fn pnm(source: &mut Source<'_>, variant: u8) -> Result<Header, NotAnImage> {
    let size_bytes = source.size_bytes();
    let decoder = PnmDecoder::new(buffered(source));
    if variant == 7 {
        return Ok(decoded(decoder).unwrap_or_default());
    }
    let decoder = decoder.map_err(|_| NotAnImage)?;
    let (width, height) = decoder.dimensions();
    let (width, height) = (u64::from(width), u64::from(height));
    let least_bytes = match variant {
        1 | 2 => width.saturating_mul(height),
        3 => width.saturating_mul(height).saturating_mul(3),
        4 => width.div_ceil(8).saturating_mul(height),
        _ => decoder.total_bytes(),
    };
    if size_bytes < least_bytes {
        return Err(NotAnImage);
    }
    Ok(Header { size: Some((width, height)), ..Header::default() })
}

/// The largest entry, as its own header says it: an entry's byte cannot say more than 256.
fn ico(source: &mut Source<'_>) -> Option<Header> {
    let count = u64::from(source.u16(4)?.swap_bytes());
    let mut largest = None;
    for index in 0..count {
        let entry = 6 + 16 * index;
        let Some([width, height]) = source.bytes(entry) else { break };
        let little = |bytes: [u8; 4]| u64::from(u32::from_le_bytes(bytes));
        let Some(len) = source.bytes(entry + 8).map(little) else { break };
        let Some(at) = source.bytes(entry + 12).map(little) else { break };
        if at < 6 + 16 * count || at + len > source.size_bytes() {
            return None;
        }
        let side = |byte: u8| if byte == 0 { 256 } else { u64::from(byte) };
        largest = largest.max(Some((side(width) * side(height), side(width), side(height), at)));
    }
    let (_, width, height, at) = largest?;
    let inside = match source.bytes(at) {
        Some(magic) if magic == *b"\x89PNG\r\n\x1a\n" => png_size(source, at),
        _ => None,
    };
    let size = inside.unwrap_or((width, height));
    Some(Header { size: Some(size), ..Header::default() })
}

fn png_size(source: &mut Source<'_>, at: u64) -> Option<(u64, u64)> {
    Some((source.u32(at + 16)?.into(), source.u32(at + 20)?.into()))
}

fn png(source: &mut Source<'_>) -> Option<Header> {
    let mut found = Header { size: png_size(source, 0), ..Header::default() };
    let mut at = 8;
    // EXIF may come after the pixels.
    while let Some((len, name)) = source.u32(at).zip(source.bytes(at + 4)) {
        match &name {
            b"eXIf" => {
                found.exif_at = Some(at + 8);
                break;
            }
            b"IEND" => break,
            _ => at += 12 + u64::from(len),
        }
    }
    Some(found)
}

fn webp(source: &mut Source<'_>) -> Option<Header> {
    let b: [u8; 10] = source.bytes(20)?;
    let size = match &source.bytes(12)? {
        // The frame's tag and start code, then 14 bits each.
        b"VP8 " if b[0] & 1 == 0 && b[3..6] == *b"\x9d\x01\x2a" => {
            let side = |low, high| u64::from(u16::from_le_bytes([low, high]) & 0x3fff);
            Some((side(b[6], b[7]), side(b[8], b[9])))
        }
        b"VP8L" if b[0] == 0x2f => {
            let bits = u64::from(u32::from_le_bytes([b[1], b[2], b[3], b[4]]));
            Some(((bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1))
        }
        b"VP8X" => {
            let side = |low, mid, high| u64::from(u32::from_le_bytes([low, mid, high, 0])) + 1;
            Some((side(b[4], b[5], b[6]), side(b[7], b[8], b[9])))
        }
        _ => None,
    };
    let mut found = Header { size, ..Header::default() };
    let mut at = 12;
    while let Some((name, len)) = source.bytes(at).zip(source.bytes(at + 4)) {
        if name == *b"EXIF" {
            found.exif_at = Some(at + 8);
            break;
        }
        let len = u64::from(u32::from_le_bytes(len));
        at += 8 + len + (len & 1);
    }
    Some(found)
}
