//! Every format and sort of it, beside how another decoder shows the same.

use image::RgbaImage;
use imgrepo_proto::session::view::Variant;

use crate::support::{all, picture, refusal, sample};

/// A sample, what it has to look like, how far the mean of all channels may be from that, and the
/// media type of its pictures.
const LOOKS: &[(&str, &str, f64, &str)] = &[
    ("baseline.jpg", "look", 3.0, "image/jpeg"),
    ("s444.jpg", "look", 3.0, "image/jpeg"),
    ("s422.jpg", "look", 3.0, "image/jpeg"),
    ("progressive.jpg", "look", 3.0, "image/jpeg"),
    ("restarts.jpg", "look", 3.0, "image/jpeg"),
    ("gray.jpg", "gray", 2.0, "image/jpeg"),
    ("cmyk.jpg", "ink", 3.0, "image/jpeg"),
    // Colours by its profile: without it red and blue have changed places.
    ("profile.jpg", "look", 3.0, "image/jpeg"),
    ("profile.png", "look", 3.0, "image/jpeg"),
    ("rgb.png", "look", 2.5, "image/jpeg"),
    ("rgb16.png", "look", 2.5, "image/jpeg"),
    ("gray.png", "gray", 2.0, "image/jpeg"),
    ("gray16.png", "gray", 2.0, "image/jpeg"),
    ("seen.png", "seen", 1.0, "image/png"),
    ("seen16.png", "seen", 1.0, "image/png"),
    ("palette.png", "look", 6.0, "image/jpeg"),
    ("palette-seen.png", "palette-seen", 1.0, "image/png"),
    ("still.gif", "look", 4.0, "image/jpeg"),
    ("lossy.webp", "look", 3.0, "image/jpeg"),
    ("lossless.webp", "seen", 1.0, "image/png"),
    ("icon.ico", "icon", 1.0, "image/png"),
    ("deflate.tif", "look", 2.5, "image/jpeg"),
    ("cmyk.tif", "ink", 2.5, "image/jpeg"),
    ("look.bmp", "half", 3.5, "image/jpeg"),
    ("look.ppm", "half", 3.5, "image/jpeg"),
    ("animated.gif", "look", 6.0, "image/jpeg"),
    ("animated.webp", "look", 6.0, "image/jpeg"),
    ("animated.png", "look", 9.0, "image/jpeg"),
    ("orientation-6.png", "look", 2.5, "image/jpeg"),
    ("orientation-7.png", "look", 2.5, "image/jpeg"),
    ("orientation-6.webp", "look", 3.0, "image/jpeg"),
    ("orientation-7.webp", "look", 3.0, "image/jpeg"),
    ("orientation-6.tif", "look", 2.5, "image/jpeg"),
];

pub(crate) fn large(name: &str) -> Vec<u8> {
    sample(&format!("pictures/{name}"))
}

fn decoded(bytes: &[u8]) -> RgbaImage {
    image::load_from_memory(bytes).unwrap().into_rgba8()
}

/// The mean distance of all channels. What cannot be seen has no colour.
fn distance(one: &RgbaImage, other: &RgbaImage) -> f64 {
    assert_eq!(one.dimensions(), other.dimensions());
    let mut sum = 0;
    for (one, other) in one.pixels().zip(other.pixels()) {
        let seen = |channel: usize, pixel: &image::Rgba<u8>| match channel {
            3 => u32::from(pixel[3]),
            _ => u32::from(pixel[channel]) * u32::from(pixel[3]) / 255,
        };
        sum += (0..4).map(|c| u64::from(seen(c, one).abs_diff(seen(c, other)))).sum::<u64>();
    }
    sum as f64 / (one.len() as f64)
}

/// Fails unless all pictures of this content look as expected.
pub(crate) fn check(content: &[u8], name: &str, look: &str, most: f64, media_type: &str) {
    let distance = distance_of(content, name, look, media_type);
    assert!(distance <= most, "{name}: {distance}");
}

/// How far the small picture of this content is from what it has to look like.
fn distance_of(content: &[u8], name: &str, look: &str, media_type: &str) -> f64 {
    let made = all(content).unwrap_or_else(|why| panic!("{name}: {why}"));
    let small = picture(&made, Variant::Small);
    let expected = decoded(&large(&format!("expected-{look}.png")));
    let distance = distance(&decoded(&small.bytes), &expected);
    assert_eq!(small.media_type, media_type, "{name}");
    let shape = |width: u32, height: u32| f64::from(width) / f64::from(height);
    for (variant, picture) in &made.pictures {
        let there = decoded(&picture.bytes);
        assert_eq!(there.dimensions(), (picture.width, picture.height), "{name}, {variant:?}");
        let expected = shape(expected.width(), expected.height());
        assert!((shape(picture.width, picture.height) - expected).abs() < 0.02, "{name}");
    }
    let placeholder = made.placeholder.unwrap();
    assert!((8..=36).contains(&placeholder.len()), "{name}: {placeholder}");
    distance
}

#[test]
fn every_sort_looks_as_another_decoder_shows_it() {
    let mut far = Vec::new();
    for (name, look, most, media_type) in LOOKS {
        let distance = distance_of(&large(name), name, look, media_type);
        if distance > *most {
            far.push(format!("{name}: {distance}"));
        }
    }
    assert!(far.is_empty(), "{far:#?}");
}

#[test]
fn all_eight_orientations_stand_upright() {
    for number in 1..=8 {
        let name = format!("orientation-{number}.jpg");
        check(&large(&name), &name, "look", 3.0, "image/jpeg");
        assert_eq!(all(&large(&name)).unwrap().orientation, number);
    }
}

#[test]
fn nothing_is_larger_than_it_was() {
    let made = all(&large("baseline.jpg")).unwrap();
    let sizes = made.pictures.iter().map(|(_, picture)| (picture.width, picture.height));
    assert_eq!(sizes.collect::<Vec<_>>(), [(256, 171), (300, 200), (300, 200)]);
}

#[test]
fn small_animations_are_shown_as_they_are() {
    for name in ["animated.gif", "animated.webp", "animated.png"] {
        let content = large(name);
        let made = all(&content).unwrap();
        let display = picture(&made, Variant::Display);
        assert_eq!(display.bytes, content, "{name}");
        assert!(display.media_type.ends_with(name.rsplit('.').next().unwrap()), "{name}");
    }
    for name in ["still.gif", "lossy.webp", "rgb.png"] {
        let content = large(name);
        assert_ne!(picture(&all(&content).unwrap(), Variant::Display).bytes, content, "{name}");
    }
}

#[test]
fn what_was_cut_short_is_shown_as_far_as_it_goes() {
    for name in ["cut.jpg", "cut.png"] {
        let made = all(&large(name)).unwrap();
        let there = decoded(&picture(&made, Variant::Small).bytes);
        let expected = decoded(&large("expected-look.png"));
        // The upper half is there.
        let top = |whole: &RgbaImage| image::imageops::crop_imm(whole, 0, 0, 256, 80).to_image();
        let distance = distance(&top(&there), &top(&expected));
        assert!(distance < 3.5, "{name}: {distance}");
    }
    // A header alone shows nothing.
    assert!(refusal(&large("rgb.png")[..60]).contains("broken"));
}
