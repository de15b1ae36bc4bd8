//! From pixels to the bytes that a viewer shows.
//!
//! Owns the choice of format and quality: JPEG where nothing can be seen through, PNG elsewhere. Pure;
//! runs in the child.

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder as _};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

use super::raster::{Layout, Raster};
use crate::repository::picture::message::{Fault, Sheet, SheetFormat};

/// Where nobody sees a difference at the picture's own size; the bytes double above 90.
const QUALITY: u8 = 82;

/// The picture, encoded.
pub(super) fn encode(raster: Raster) -> Result<Sheet, Fault> {
    let raster = raster.without_idle_alpha();
    let (format, bytes) = match raster.layout {
        Layout::Gray => (SheetFormat::Jpeg, jpeg(&raster, ColorType::Luma)?),
        Layout::Rgb => (SheetFormat::Jpeg, jpeg(&raster, ColorType::Rgb)?),
        Layout::GrayAlpha => (SheetFormat::Png, png(&raster, ExtendedColorType::La8)?),
        Layout::Rgba => (SheetFormat::Png, png(&raster, ExtendedColorType::Rgba8)?),
        // Colours come first.
        Layout::Cmyk => return Err(Fault::Unknown),
    };
    Ok(Sheet { format, width: raster.width, height: raster.height, bytes })
}

fn jpeg(raster: &Raster, colour: ColorType) -> Result<Vec<u8>, Fault> {
    let side = |side: u32| u16::try_from(side).map_err(|_| Fault::TooLarge);
    let (width, height) = (side(raster.width)?, side(raster.height)?);
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, QUALITY);
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    encoder.encode(&raster.pixels, width, height, colour).map_err(|_| Fault::Broken)?;
    Ok(bytes)
}

fn png(raster: &Raster, colour: ExtendedColorType) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    PngEncoder::new_with_quality(&mut bytes, CompressionType::Fast, FilterType::Adaptive)
        .write_image(&raster.pixels, raster.width, raster.height, colour)
        .map_err(|_| Fault::Broken)?;
    Ok(bytes)
}
