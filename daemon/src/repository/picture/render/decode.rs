//! From the content to pixels, by the decoder of its format.
//!
//! Owns the bounds that are set before anything is allocated: pixels, and bytes for them. Runs in the
//! child, where a decoder that breaks them ends with it. JPEGs are read as they come in, at the
//! fraction of their size that is enough (`photo`); every other content is taken into memory.

use std::io::{Cursor, Read};

use image::codecs::bmp::BmpDecoder;
use image::codecs::gif::GifDecoder;
use image::codecs::ico::IcoDecoder;
use image::codecs::png::PngDecoder;
use image::codecs::pnm::PnmDecoder;
use image::codecs::qoi::QoiDecoder;
use image::codecs::tiff::TiffDecoder;
use image::codecs::webp::WebPDecoder;
use image::{ColorType, ImageDecoder, ImageError, ImageResult, Limits};

use super::raster::{Layout, Raster};
use super::{animation, photo};
use crate::repository::picture::kind::{DECIDING_BYTES, Guess, Kind, kind_of};
use crate::repository::picture::message::Fault;

/// What is decoded at most: the largest cameras make 100 megapixels.
pub(super) const MAX_PIXELS: u64 = 100_000_000;

/// Bytes of decoded pixels, at most: what the child may have, less the content, a decoder's own needs
/// and the smaller picture.
const MAX_PIXEL_BYTES: u64 = 160 * 1024 * 1024;

/// Bytes of a content that is taken into memory, at most.
const MAX_CONTENT_BYTES: u64 = 128 * 1024 * 1024;

/// What a decoder needs for itself, at most.
const MAX_DECODER_BYTES: u64 = 128 * 1024 * 1024;

/// A content's pixels.
pub(super) struct Decoded {
    pub(super) raster: Raster,
    /// The ICC profile that its colours are meant by.
    pub(super) profile: Option<Vec<u8>>,
    pub(super) is_animated: bool,
}

/// Reads a content of this size and decodes it, no smaller than for pictures of this edge.
pub(super) fn decode(
    input: &mut impl Read,
    size_bytes: u64,
    edge_px: u32,
) -> Result<Decoded, Fault> {
    let mut input = input.take(size_bytes);
    let mut first = Vec::with_capacity(DECIDING_BYTES);
    let deciding = (&mut input).take(DECIDING_BYTES as u64).read_to_end(&mut first);
    deciding.map_err(|_| Fault::Passing)?;
    let Guess::Image(kind) = kind_of(&first) else { return Err(Fault::Broken) };
    if kind == Kind::Jpeg {
        return photo::decode(first.as_slice().chain(input), edge_px);
    }
    if size_bytes > MAX_CONTENT_BYTES {
        return Err(Fault::TooLarge);
    }
    let mut content = first;
    content.try_reserve_exact(size_bytes as usize).map_err(|_| Fault::TooLarge)?;
    input.read_to_end(&mut content).map_err(|_| Fault::Passing)?;
    if content.len() as u64 != size_bytes {
        return Err(Fault::Passing);
    }
    let bytes = Cursor::new(content.as_slice());
    match kind {
        Kind::Png => {
            let decoder = PngDecoder::with_limits(bytes, limits()).map_err(fault)?;
            let is_animated = decoder.is_apng().unwrap_or(false);
            pixels(Ok(decoder), is_animated)
        }
        Kind::Gif => pixels(GifDecoder::new(bytes), animation::of_gif(&content)),
        Kind::WebP => {
            let decoder = WebPDecoder::new(bytes).map_err(fault)?;
            let is_animated = decoder.has_animation();
            pixels(Ok(decoder), is_animated)
        }
        Kind::Bmp => pixels(BmpDecoder::new(bytes), false),
        Kind::Tiff => pixels(TiffDecoder::new(bytes), false),
        Kind::Qoi => pixels(QoiDecoder::new(bytes), false),
        Kind::Pnm(_) => pixels(PnmDecoder::new(bytes), false),
        Kind::Ico => match png_in_icon(&content) {
            Some(png) => pixels(PngDecoder::with_limits(Cursor::new(png), limits()), false),
            None => pixels(IcoDecoder::new(bytes), false),
        },
        _ => Err(Fault::Unknown),
    }
}

/// The largest picture of an icon, where that is a PNG: the icon's own decoder takes only some sorts.
fn png_in_icon(icon: &[u8]) -> Option<&[u8]> {
    let count = usize::from(u16::from_le_bytes(*icon.get(4..)?.first_chunk()?));
    let side = |byte: u8| if byte == 0 { 256 } else { u32::from(byte) };
    let entries = icon.get(6..)?.as_chunks::<16>().0.iter().take(count);
    let largest = entries.max_by_key(|entry| side(entry[0]) * side(entry[1]))?;
    let number = |at: usize| -> Option<usize> {
        usize::try_from(u32::from_le_bytes(*largest.get(at..)?.first_chunk()?)).ok()
    };
    let (len, at) = (number(8)?, number(12)?);
    let picture = icon.get(at..at.checked_add(len)?)?;
    picture.starts_with(b"\x89PNG\r\n\x1a\n").then_some(picture)
}

/// What a decoder of `image` may allocate.
fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_DECODER_BYTES);
    limits
}

fn fault(error: ImageError) -> Fault {
    match error {
        ImageError::Limits(_) => Fault::TooLarge,
        ImageError::Unsupported(_) => Fault::Unknown,
        _ => Fault::Broken,
    }
}

/// Whether these pixels are decoded at all.
pub(super) fn check(width: u64, height: u64, pixel_bytes: u64) -> Result<(), Fault> {
    match width.checked_mul(height) {
        Some(0) => Err(Fault::Broken),
        Some(pixels) if pixels > MAX_PIXELS => Err(Fault::TooManyPixels),
        Some(pixels) if pixels * pixel_bytes > MAX_PIXEL_BYTES => Err(Fault::TooLarge),
        Some(_) => Ok(()),
        None => Err(Fault::TooManyPixels),
    }
}

fn pixels<D: ImageDecoder>(decoder: ImageResult<D>, is_animated: bool) -> Result<Decoded, Fault> {
    let mut decoder = decoder.map_err(fault)?;
    let (width, height) = decoder.dimensions();
    let color = decoder.color_type();
    check(width.into(), height.into(), color.bytes_per_pixel().into())?;
    decoder.set_limits(limits()).map_err(fault)?;
    let profile = decoder.icc_profile().ok().flatten();
    let len = decoder.total_bytes() as usize;
    let mut pixels = Vec::new();
    pixels.try_reserve_exact(len).map_err(|_| Fault::TooLarge)?;
    pixels.resize(len, 0);
    if let Err(error) = decoder.read_image(&mut pixels) {
        // What came before the fault is shown, as other viewers do.
        if pixels.iter().all(|byte| *byte == 0) {
            return Err(fault(error));
        }
    }
    let layout = match color {
        ColorType::L8 | ColorType::L16 => Layout::Gray,
        ColorType::La8 | ColorType::La16 => Layout::GrayAlpha,
        ColorType::Rgb8 | ColorType::Rgb16 | ColorType::Rgb32F => Layout::Rgb,
        ColorType::Rgba8 | ColorType::Rgba16 | ColorType::Rgba32F => Layout::Rgba,
        _ => return Err(Fault::Unknown),
    };
    match usize::from(color.bytes_per_pixel()) / layout.bytes() {
        2 => narrow(&mut pixels, |two: &[u8; 2]| {
            let value = u32::from(u16::from_ne_bytes(*two));
            ((value * 255 + 32_767) / 65_535) as u8
        }),
        4 => narrow(&mut pixels, |four: &[u8; 4]| {
            (f32::from_ne_bytes(*four).clamp(0.0, 1.0) * 255.0 + 0.5) as u8
        }),
        _ => {}
    }
    let raster = Raster::new(width, height, layout, pixels).ok_or(Fault::Broken)?;
    Ok(Decoded { raster, profile, is_animated })
}

/// Makes one byte of each `N`, in place.
fn narrow<const N: usize>(pixels: &mut Vec<u8>, to_byte: impl Fn(&[u8; N]) -> u8) {
    let count = pixels.len() / N;
    for at in 0..count {
        if let Some(channel) = pixels[at * N..].first_chunk::<N>() {
            pixels[at] = to_byte(channel);
        }
    }
    pixels.truncate(count);
}
