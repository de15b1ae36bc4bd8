//! Real samples, whole, cut, and with other things behind them.

use std::io::Cursor;
use std::path::PathBuf;

use proptest::prelude::*;

use crate::repository::picture::{DECIDING_BYTES, Guess, kind_of};

use super::*;

fn data() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

fn sample(name: &str) -> Vec<u8> {
    std::fs::read(data().join(name)).unwrap()
}

/// None where it is no image by its first bytes.
fn ending(content: &[u8]) -> Option<Ending> {
    let Guess::Image(kind) = kind_of(&content[..content.len().min(DECIDING_BYTES)]) else {
        return None;
    };
    Some(ending_of(&mut Cursor::new(content), content.len() as u64, kind).unwrap())
}

/// Samples that tell, and where a cut is not seen: right between two parts.
const TELLING: [(&str, &[usize]); 13] = [
    ("exif.jpg", &[]),
    ("local.jpg", &[]),
    ("oriented.jpg", &[]),
    ("exif.png", &[]),
    ("plain.gif", &[]),
    ("exif.webp", &[148]),
    ("lossy.webp", &[]),
    ("lossless.webp", &[]),
    ("plain.bmp", &[]),
    ("plain.qoi", &[]),
    ("exif.heic", &[473, 474, 475, 476, 477, 478, 479, 480]),
    ("exif.avif", &[332, 333, 334, 335, 336, 337, 338, 339]),
    ("exif.jxl", &[164, 165, 166, 167, 168, 169, 170, 171]),
];

#[test]
fn no_sample_is_torn() {
    let mut seen = 0;
    for entry in std::fs::read_dir(data()).unwrap() {
        let path = entry.unwrap().path();
        let Ok(content) = std::fs::read(&path) else { continue };
        if let Some(ending) = ending(&content) {
            seen += 1;
            assert_ne!(ending, Ending::Torn, "{}", path.display());
        }
    }
    assert!(seen > 30, "only {seen} samples");
    for (name, _) in TELLING {
        assert_eq!(ending(&sample(name)), Some(Ending::Whole), "{name}");
    }
}

#[test]
fn a_sample_cut_anywhere_is_torn() {
    for (name, between) in TELLING {
        let content = sample(name);
        for len in DECIDING_BYTES.min(content.len() - 1)..content.len() {
            let cut = ending(&content[..len]);
            // So short that it is no image is told by others.
            let is_torn = matches!(cut, Some(Ending::Torn) | None);
            assert!(is_torn != between.contains(&len), "{name} cut at {len}: {cut:?}");
        }
    }
}

/// Bytes without any order.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 1u64;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..len).map(|_| next()).collect()
}

/// Some hundred KiB of a photograph.
fn large(format: image::ImageFormat) -> Vec<u8> {
    let pixels = image::RgbImage::from_raw(500, 400, noise(500 * 400 * 3)).unwrap();
    let mut into = Cursor::new(Vec::new());
    image::DynamicImage::from(pixels).write_to(&mut into, format).unwrap();
    into.into_inner()
}

#[test]
fn a_large_picture_cut_anywhere_is_torn_and_what_is_behind_it_is_no_fault() {
    use image::ImageFormat::{Bmp, Gif, Jpeg, Png, Qoi, WebP};
    for format in [Jpeg, Png, Gif, WebP, Bmp, Qoi] {
        let whole = large(format);
        assert!(whole.len() as u64 > 2 * TAIL_BYTES, "{format:?} of {} bytes", whole.len());
        assert_eq!(ending(&whole), Some(Ending::Whole), "{format:?}");
        let steps = (100..whole.len()).step_by(4_099);
        for len in steps.chain([whole.len() - 9, whole.len() - 2]) {
            assert_eq!(ending(&whole[..len]), Some(Ending::Torn), "{format:?} cut at {len}");
        }
        // Where that is padding, nothing is missing.
        let almost = ending(&whole[..whole.len() - 1]);
        assert!(almost == Some(Ending::Torn) || format == WebP, "{format:?}");
        for behind in [b"\n".to_vec(), vec![0; 5_000], noise(60_000)] {
            let and_more = [&whole[..], &behind].concat();
            assert_eq!(ending(&and_more), Some(Ending::Whole), "{format:?} and {}", behind.len());
        }
        if format != Qoi {
            for behind in [vec![0; 500_000], noise(500_000)] {
                let and_more = [&whole[..], &behind].concat();
                assert_ne!(ending(&and_more), Some(Ending::Torn), "{format:?}");
            }
        }
    }
}

#[test]
fn the_end_of_a_preview_is_not_the_picture_s() {
    let whole = large(image::ImageFormat::Jpeg);
    let preview = sample("local.jpg");
    let len = u16::try_from(preview.len() + 2).unwrap().to_be_bytes();
    let head = [b"\xff\xd8\xff\xe1".as_slice(), &len, &preview].concat();
    let both = [&head, &whole[2..]].concat();
    assert_eq!(ending(&both), Some(Ending::Whole));
    // Cut right behind the preview it ends with a mark: that is believed.
    for len in [head.len() - 1, head.len() + 1, head.len() + 10_000, both.len() - 70_000] {
        assert_eq!(ending(&both[..len]), Some(Ending::Torn), "cut at {len}");
    }
}

#[test]
fn room_that_was_never_filled_is_seen() {
    let mut content = large(image::ImageFormat::Png);
    let at = content.windows(4).rposition(|name| name == b"IDAT").unwrap() - 4;
    content[at..].fill(0);
    assert_eq!(ending(&content), Some(Ending::Torn));
}

#[test]
fn a_length_that_is_wrong_but_misses_nothing_is_no_fault() {
    let wrong = |name: &str, at: usize| {
        let mut content = sample(name);
        content[at + 1] += 1;
        ending(&content)
    };
    assert_eq!(wrong("lossy.webp", 4), Some(Ending::Unknown));
    assert_eq!(wrong("plain.bmp", 2), Some(Ending::Unknown));
}

proptest! {
    #[test]
    fn any_change_of_a_sample_is_survived(
        index in 0..TELLING.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        size_bytes: u64,
    ) {
        let mut content = sample(TELLING[index].0);
        for (at, byte) in changes {
            let at = at.index(content.len());
            content[at] = byte;
        }
        ending(&content);
        if let Guess::Image(kind) = kind_of(&content[..content.len().min(DECIDING_BYTES)]) {
            ending_of(&mut Cursor::new(&content), size_bytes, kind).unwrap();
        }
    }
}
