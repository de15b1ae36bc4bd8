//! Pixels in memory, of eight bits a channel.
//!
//! Owns [`Raster`] and what changes its shape: scaling and turning. Pure; runs in the child.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use crate::repository::picture::message::Fault;

/// What the bytes of a pixel are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    Gray,
    GrayAlpha,
    Rgb,
    Rgba,
    /// Ink: 255 is all of it.
    Cmyk,
}

impl Layout {
    pub(super) fn bytes(self) -> usize {
        match self {
            Layout::Gray => 1,
            Layout::GrayAlpha => 2,
            Layout::Rgb => 3,
            Layout::Rgba | Layout::Cmyk => 4,
        }
    }

    pub(super) fn has_alpha(self) -> bool {
        matches!(self, Layout::GrayAlpha | Layout::Rgba)
    }
}

/// A picture: row by row, without gaps. Alpha stands for itself: the colours are not multiplied by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Raster {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) layout: Layout,
    pub(super) pixels: Vec<u8>,
}

impl Raster {
    /// None where the pixels are not as many.
    pub(super) fn new(width: u32, height: u32, layout: Layout, pixels: Vec<u8>) -> Option<Raster> {
        let len = (width as usize).checked_mul(height as usize)?.checked_mul(layout.bytes())?;
        let is_right = width > 0 && height > 0 && pixels.len() == len;
        is_right.then_some(Raster { width, height, layout, pixels })
    }

    /// The same, of at most so many pixels in width and height. None where it is so already.
    pub(super) fn within(&self, edge_px: u32) -> Result<Option<Raster>, Fault> {
        let (width, height) = fitted(self.width, self.height, edge_px);
        if (width, height) == (self.width, self.height) {
            return Ok(None);
        }
        let pixel = match self.layout {
            Layout::Gray => PixelType::U8,
            Layout::GrayAlpha => PixelType::U8x2,
            Layout::Rgb => PixelType::U8x3,
            Layout::Rgba | Layout::Cmyk => PixelType::U8x4,
        };
        let source = ImageRef::new(self.width, self.height, &self.pixels, pixel);
        let source = source.map_err(|_| Fault::Broken)?;
        let mut target = Image::new(width, height, pixel);
        // Lanczos over three lobes: the sharpest without visible rings, as thumbnailers have it.
        let options = ResizeOptions::new()
            .resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3))
            .use_alpha(self.layout.has_alpha());
        Resizer::new().resize(&source, &mut target, &options).map_err(|_| Fault::Broken)?;
        let pixels = target.into_vec();
        Ok(Some(Raster { width, height, layout: self.layout, pixels }))
    }

    /// Upright: turned as EXIF's number says, 1 to 8.
    pub(super) fn upright(self, orientation: u8) -> Raster {
        match self.layout.bytes() {
            1 => self.turned::<1>(orientation),
            2 => self.turned::<2>(orientation),
            3 => self.turned::<3>(orientation),
            _ => self.turned::<4>(orientation),
        }
    }

    fn turned<const N: usize>(self, orientation: u8) -> Raster {
        let (pixels, _) = self.pixels.as_chunks::<N>();
        let (width, height) = (self.width as usize, self.height as usize);
        let (right, bottom) = (width - 1, height - 1);
        // Where the pixel of the new picture stood in the stored one.
        let stored: fn(usize, usize, usize, usize) -> (usize, usize) = match orientation {
            2 => |x, y, right, _| (right - x, y),
            3 => |x, y, right, bottom| (right - x, bottom - y),
            4 => |x, y, _, bottom| (x, bottom - y),
            5 => |x, y, _, _| (y, x),
            6 => |x, y, _, bottom| (y, bottom - x),
            7 => |x, y, right, bottom| (right - y, bottom - x),
            8 => |x, y, right, _| (right - y, x),
            _ => return self,
        };
        let (new_width, new_height) = match orientation {
            5.. => (height, width),
            _ => (width, height),
        };
        let mut turned = Vec::with_capacity(self.pixels.len());
        for y in 0..new_height {
            for x in 0..new_width {
                let (from_x, from_y) = stored(x, y, right, bottom);
                turned.extend_from_slice(&pixels[from_y * width + from_x]);
            }
        }
        let (width, height) = (new_width as u32, new_height as u32);
        Raster { width, height, layout: self.layout, pixels: turned }
    }

    /// Without its alpha, where that hides nothing.
    pub(super) fn without_idle_alpha(self) -> Raster {
        let bytes = self.layout.bytes();
        let layout = match self.layout {
            Layout::GrayAlpha => Layout::Gray,
            Layout::Rgba => Layout::Rgb,
            _ => return self,
        };
        if self.pixels.iter().skip(bytes - 1).step_by(bytes).any(|alpha| *alpha != 255) {
            return self;
        }
        let pixels = self
            .pixels
            .chunks_exact(bytes)
            .flat_map(|pixel| &pixel[..bytes - 1])
            .copied()
            .collect();
        Raster { layout, pixels, ..self }
    }
}

/// The size that fits into a square of this edge, never larger than it is.
pub(super) fn fitted(width: u32, height: u32, edge_px: u32) -> (u32, u32) {
    let longer = u64::from(width.max(height));
    let edge = u64::from(edge_px);
    if longer <= edge {
        return (width, height);
    }
    // Rounded, and never nothing: a line stays a line.
    let side = |side: u32| ((u64::from(side) * edge * 2 + longer) / (2 * longer)).max(1) as u32;
    (side(width), side(height))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three wide, two high: 1 2 3 / 4 5 6.
    fn numbers() -> Raster {
        Raster::new(3, 2, Layout::Gray, vec![1, 2, 3, 4, 5, 6]).unwrap()
    }

    #[test]
    fn each_orientation_turns_as_exif_says() {
        let turned = [
            (1, 3, vec![1, 2, 3, 4, 5, 6]),
            (2, 3, vec![3, 2, 1, 6, 5, 4]),
            (3, 3, vec![6, 5, 4, 3, 2, 1]),
            (4, 3, vec![4, 5, 6, 1, 2, 3]),
            (5, 2, vec![1, 4, 2, 5, 3, 6]),
            (6, 2, vec![4, 1, 5, 2, 6, 3]),
            (7, 2, vec![6, 3, 5, 2, 4, 1]),
            (8, 2, vec![3, 6, 2, 5, 1, 4]),
        ];
        for (orientation, width, pixels) in turned {
            let upright = numbers().upright(orientation);
            assert_eq!((upright.width, upright.pixels), (width, pixels), "{orientation}");
        }
    }

    #[test]
    fn sizes_fit_and_keep_their_shape() {
        assert_eq!(fitted(4000, 3000, 512), (512, 384));
        assert_eq!(fitted(3000, 4000, 512), (384, 512));
        assert_eq!(fitted(512, 512, 512), (512, 512));
        assert_eq!(fitted(40, 24, 256), (40, 24));
        assert_eq!(fitted(10_000, 1, 256), (256, 1));
        assert_eq!(fitted(u32::MAX, u32::MAX, 2560), (2560, 2560));
    }

    #[test]
    fn alpha_that_hides_nothing_goes() {
        let opaque = Raster::new(2, 1, Layout::GrayAlpha, vec![7, 255, 8, 255]).unwrap();
        assert_eq!(opaque.without_idle_alpha().pixels, [7, 8]);
        let seen = Raster::new(2, 1, Layout::GrayAlpha, vec![7, 255, 8, 254]).unwrap();
        assert_eq!(seen.clone().without_idle_alpha(), seen);
    }

    #[test]
    fn what_is_hidden_does_not_bleed_into_what_is_seen() {
        // Red that is seen beside green that is not: the small one is red.
        let row = [[255, 0, 0, 255], [0, 255, 0, 0]].concat();
        let raster = Raster::new(64, 64, Layout::Rgba, row.repeat(64 * 32)).unwrap();
        let small = raster.within(8).unwrap().unwrap();
        assert!(small.pixels.as_chunks::<4>().0.iter().all(|p| p[0] > 240 && p[1] < 15));
    }
}
