//! Whether a GIF has more than one picture.
//!
//! Owns the walk over its blocks: no pixel is decoded for it. Pure; runs in the child. The decoders
//! of PNG and WebP tell it by themselves.

/// Whether a second picture follows the first.
pub(super) fn of_gif(content: &[u8]) -> bool {
    pictures(content).unwrap_or(0) > 1
}

/// How many, counted up to two; None where the blocks end early with fewer.
fn pictures(content: &[u8]) -> Option<u32> {
    let colours = |flags: u8| if flags & 0x80 == 0 { 0 } else { 3 * (2 << (flags & 7)) };
    let mut at = 13 + colours(*content.get(10)?);
    let mut seen = 0;
    loop {
        match content.get(at)? {
            // An extension: its label, then its blocks.
            b'!' => at = behind_blocks(content, at + 2)?,
            // A picture: where it is and its colours, the width of its codes, then its blocks.
            b',' => {
                seen += 1;
                if seen > 1 {
                    return Some(seen);
                }
                at = behind_blocks(content, at + 11 + colours(*content.get(at + 9)?))?;
            }
            _ => return Some(seen),
        }
    }
}

/// Behind a row of blocks, each with its length before it, the last of none.
fn behind_blocks(content: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let len = usize::from(*content.get(at)?);
        at += 1 + len;
        if len == 0 {
            return Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use image::codecs::gif::GifEncoder;
    use image::{Frame, RgbaImage};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn frames_are_counted() {
        for frames in 1..4 {
            let mut content = Vec::new();
            let mut encoder = GifEncoder::new(&mut content);
            for shade in 0..frames {
                let picture = RgbaImage::from_pixel(9, 7, [shade * 40, 0, 0, 255].into());
                encoder.encode_frame(Frame::new(picture)).unwrap();
            }
            drop(encoder);
            assert_eq!(of_gif(&content), frames > 1, "{frames}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(rest: Vec<u8>) {
            of_gif(&[b"GIF89a\x08\0\x08\0".as_slice(), &rest].concat());
        }
    }
}
