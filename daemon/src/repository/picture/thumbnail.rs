//! A small copy of a picture, for programs that want one as a file. Called by the export to the old
//! system's folder, from a thread that may block.
//!
//! The only place here that decodes pixels: within bounds of size and memory, so that what is too
//! large, or of a kind that is not decoded here, has no small copy. A decoder may panic on a hostile
//! picture: who calls must survive that.

use std::io::{BufRead, Cursor, Seek};

use image::{DynamicImage, ImageDecoder as _, ImageFormat, ImageReader, Limits};

/// Pixels of the longer side: what Pillow's users ask for.
pub(crate) const EDGE_PX: u32 = 128;

/// Pixels of a side, at most: cameras and scanners stay below it.
const MAX_SIDE_PX: u32 = 12_000;

/// What a decoder may allocate: 40 megapixels of 24 bits and room for its own tables. Beyond this a
/// few hundred bytes could ask for gigabytes.
const MAX_BYTES: u64 = 128 * 1024 * 1024;

/// A picture's small copy, upright and in the same format. None where it cannot be made.
pub(crate) fn thumbnail<R: BufRead + Seek>(content: R) -> Option<Vec<u8>> {
    let mut reader = ImageReader::new(content).with_guessed_format().ok()?;
    let format = reader.format()?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE_PX);
    limits.max_image_height = Some(MAX_SIDE_PX);
    limits.max_alloc = Some(MAX_BYTES);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().ok()?;
    // The pixels themselves are not among what the decoder counts.
    if decoder.total_bytes() > MAX_BYTES {
        return None;
    }
    let orientation = decoder.orientation().ok();
    let picture = DynamicImage::from_decoder(decoder).ok()?;
    let mut small = match picture.width().max(picture.height()) > EDGE_PX {
        true => picture.thumbnail(EDGE_PX, EDGE_PX),
        false => picture,
    };
    if let Some(orientation) = orientation {
        small.apply_orientation(orientation);
    }
    encode(small, format)
}

fn encode(picture: DynamicImage, format: ImageFormat) -> Option<Vec<u8>> {
    // With eight bits a channel, which every format here writes.
    let picture = match format {
        ImageFormat::Jpeg | ImageFormat::Pnm => DynamicImage::ImageRgb8(picture.into_rgb8()),
        _ => DynamicImage::ImageRgba8(picture.into_rgba8()),
    };
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).ok()?;
    Some(bytes.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(name: &str) -> Vec<u8> {
        std::fs::read(format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    }

    fn size(bytes: &[u8]) -> (u32, u32) {
        let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().unwrap();
        reader.into_dimensions().unwrap()
    }

    #[test]
    fn a_small_copy_has_the_format_and_the_shape() {
        let large = DynamicImage::new_rgb8(640, 480);
        for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::Bmp, ImageFormat::WebP] {
            let mut bytes = Cursor::new(Vec::new());
            large.write_to(&mut bytes, format).unwrap();
            let small = thumbnail(Cursor::new(bytes.into_inner())).unwrap();
            assert_eq!(size(&small), (128, 96), "{format:?}");
            assert_eq!(image::guess_format(&small).unwrap(), format);
        }
    }

    #[test]
    fn what_is_small_already_keeps_its_size_and_stands_upright() {
        assert_eq!(size(&thumbnail(Cursor::new(sample("plain.gif"))).unwrap()), (40, 24));
        let oriented = sample("oriented.jpg");
        let (width, height) = size(&oriented);
        assert_eq!(size(&thumbnail(Cursor::new(oriented)).unwrap()), (height, width));
    }

    #[test]
    fn what_cannot_be_decoded_or_is_too_large_has_none() {
        for name in ["exif.heic", "head.nef", "exif.jxl"] {
            assert!(thumbnail(Cursor::new(sample(name))).is_none(), "{name}");
        }
        assert!(thumbnail(Cursor::new(b"GIF89a".to_vec())).is_none());
        let wide = DynamicImage::new_luma8(MAX_SIDE_PX + 1, 1);
        let mut bytes = Cursor::new(Vec::new());
        wide.write_to(&mut bytes, ImageFormat::Png).unwrap();
        assert!(thumbnail(Cursor::new(bytes.into_inner())).is_none());
    }
}
