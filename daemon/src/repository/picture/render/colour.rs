//! Colours as their profile means them, in sRGB.
//!
//! Owns the use of ICC profiles, and what becomes of ink. Pure; runs in the child. A profile that
//! cannot be used is as none.

use moxcms::{ColorProfile, DataColorSpace, Layout as Channels, TransformOptions};

use super::raster::{Layout, Raster};

/// The same picture in sRGB. Ink becomes light; gray stays gray where it has no profile.
pub(super) fn to_srgb(raster: Raster, profile: Option<&[u8]>) -> Raster {
    match profile.and_then(|profile| by_profile(&raster, profile)) {
        Some(converted) => converted,
        None if raster.layout == Layout::Cmyk => plain(&raster),
        None => raster,
    }
}

fn by_profile(raster: &Raster, profile: &[u8]) -> Option<Raster> {
    let profile = ColorProfile::new_from_slice(profile).ok()?;
    let (space, from, layout, to) = match raster.layout {
        Layout::Gray => (DataColorSpace::Gray, Channels::Gray, Layout::Rgb, Channels::Rgb),
        Layout::GrayAlpha => {
            (DataColorSpace::Gray, Channels::GrayAlpha, Layout::Rgba, Channels::Rgba)
        }
        Layout::Rgb => (DataColorSpace::Rgb, Channels::Rgb, Layout::Rgb, Channels::Rgb),
        Layout::Rgba => (DataColorSpace::Rgb, Channels::Rgba, Layout::Rgba, Channels::Rgba),
        // moxcms has the four inks where others have red, green, blue and alpha.
        Layout::Cmyk => (DataColorSpace::Cmyk, Channels::Rgba, Layout::Rgb, Channels::Rgb),
    };
    // Of another image, or of one that its decoder has converted already.
    if profile.color_space != space {
        return None;
    }
    let srgb = ColorProfile::new_srgb();
    let transform =
        profile.create_transform_8bit(from, &srgb, to, TransformOptions::default()).ok()?;
    let mut pixels = vec![0; raster.pixels.len() / raster.layout.bytes() * layout.bytes()];
    transform.transform(&raster.pixels, &mut pixels).ok()?;
    Raster::new(raster.width, raster.height, layout, pixels)
}

/// What is left of the light behind each ink and the black.
fn plain(raster: &Raster) -> Raster {
    let mut pixels = Vec::with_capacity(raster.pixels.len() / 4 * 3);
    for [cyan, magenta, yellow, black] in raster.pixels.as_chunks::<4>().0 {
        let left = 255 - u32::from(*black);
        let light = |ink: &u8| (((255 - u32::from(*ink)) * left + 127) / 255) as u8;
        pixels.extend([light(cyan), light(magenta), light(yellow)]);
    }
    Raster { layout: Layout::Rgb, pixels, ..*raster }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ink_becomes_light_without_a_profile() {
        let inks = [[0, 0, 0, 0], [255, 0, 0, 0], [0, 0, 0, 255], [0, 128, 255, 0]].concat();
        let raster = Raster::new(4, 1, Layout::Cmyk, inks).unwrap();
        let light = to_srgb(raster, Some(b"no profile"));
        let expected = [[255, 255, 255], [0, 255, 255], [0, 0, 0], [255, 127, 0]].concat();
        assert_eq!((light.layout, light.pixels), (Layout::Rgb, expected));
    }

    #[test]
    fn a_profile_of_other_colours_is_as_none() {
        let srgb = ColorProfile::new_srgb().encode().unwrap();
        let gray = Raster::new(1, 1, Layout::Gray, vec![100]).unwrap();
        assert_eq!(to_srgb(gray.clone(), Some(&srgb)), gray);
        let red = Raster::new(1, 1, Layout::Rgba, vec![200, 10, 10, 77]).unwrap();
        let same = to_srgb(red.clone(), Some(&srgb));
        assert!(same.pixels.iter().zip(&red.pixels).all(|(a, b)| a.abs_diff(*b) <= 1));
        assert_eq!(same.pixels[3], 77);
    }

    #[test]
    fn a_wider_gamut_is_brought_into_srgb() {
        let wide = ColorProfile::new_display_p3().encode().unwrap();
        let raster = Raster::new(1, 1, Layout::Rgb, vec![180, 90, 60]).unwrap();
        let there = to_srgb(raster, Some(&wide)).pixels;
        // Red is redder there, so its number here is larger.
        assert!(there[0] > 185 && there[1] < 90, "{there:?}");
    }
}
