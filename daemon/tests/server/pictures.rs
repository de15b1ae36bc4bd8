//! Pictures to upload: any number of bytes that pass for one, and one that can be decoded.

/// A content of this many bytes that is a PNG by its header, unlike any of another seed.
pub(crate) fn picture(bytes: usize, seed: u64) -> Vec<u8> {
    let mut content = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x40\0\0\0\x30\x08\x02\0\0\0".to_vec();
    content.extend_from_slice(&[0xd8, 0x60, 0x6f, 0xc5]);
    assert!(bytes >= content.len() + 8, "too small to be a picture");
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    content.extend_from_slice(&seed.to_be_bytes());
    while content.len() < bytes {
        // xorshift64: any bytes do.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        content.extend_from_slice(&state.to_be_bytes());
    }
    content.truncate(bytes);
    content
}

/// A photograph of these sides, another one for each seed, as a BMP.
pub(crate) fn photograph(width: u32, height: u32, seed: u32) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let pixel = |x, y| image::Rgb([(x + seed) as u8, (y * 2) as u8, (x ^ y) as u8]);
    let image = image::RgbImage::from_fn(width, height, pixel);
    image.write_to(&mut bytes, image::ImageFormat::Bmp).unwrap();
    bytes.into_inner()
}
