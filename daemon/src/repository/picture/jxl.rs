//! The size of a JPEG XL codestream, from its first bits.
//!
//! Owns the size header of ISO/IEC 18181-1. Pure; never decodes further.

/// Bytes that hold the longest size header (68 bits), the magic of two among them.
pub(super) const HEADER_BYTES: usize = 12;

/// Pixels of the highest level of the format (level 10).
const MAX_PIXELS: u64 = 1 << 40;

/// Width and height as stored; None where the stream ends within its header, or where this is no
/// size that the format allows.
pub(super) fn dimensions(stream: &[u8]) -> Option<(u32, u32)> {
    let [0xff, 0x0a, header @ ..] = stream else { return None };
    let header = &header[..header.len().min(HEADER_BYTES - 2)];
    // At most 80 bits, the first one lowest.
    let mut bits = header.iter().rev().fold(0u128, |bits, byte| bits << 8 | u128::from(*byte));
    let mut taken = 0;
    let mut take = |count: u32| {
        let value = (bits & ((1 << count) - 1)) as u64;
        bits >>= count;
        taken += count as usize;
        value
    };
    let small = take(1) == 1;
    let side = |take: &mut dyn FnMut(u32) -> u64| {
        if small {
            return 8 * (1 + take(5));
        }
        let count = match take(2) {
            0 => 9,
            1 => 13,
            2 => 18,
            _ => 30,
        };
        1 + take(count)
    };
    let height = side(&mut take);
    let width = match take(3) {
        0 => side(&mut take),
        1 => height,
        2 => height * 12 / 10,
        3 => height * 4 / 3,
        4 => height * 3 / 2,
        5 => height * 16 / 9,
        6 => height * 5 / 4,
        _ => height * 2,
    };
    if taken > 8 * header.len() || width == 0 || width.checked_mul(height)? > MAX_PIXELS {
        return None;
    }
    Some((u32::try_from(width).ok()?, u32::try_from(height).ok()?))
}
