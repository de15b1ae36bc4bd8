//! Pictures that scenes need and nobody has to keep: made here, each unlike the others.

use std::path::{Path, PathBuf};

/// Writes a small picture, unlike those of other numbers.
pub(crate) fn small(path: &Path, number: usize) {
    sized(path, number, 24 + number % 5 * 12, 24 + number % 3 * 12);
}

/// Writes a picture of these sides, unlike those of other numbers.
pub(crate) fn sized(path: &Path, number: usize, width: usize, height: usize) {
    let mut bytes = format!("P6\n{width} {height}\n255\n").into_bytes();
    for y in 0..height {
        for x in 0..width {
            // Its number stands in the colours, so that no two have the same content.
            let [.., high, low] = (number * 37).to_be_bytes();
            bytes.extend([low, (x * 255 / width) as u8 ^ high, (y * 255 / height) as u8]);
        }
    }
    std::fs::write(path, bytes).unwrap();
}

/// A folder with so many small pictures: `0.ppm` and so on.
pub(crate) fn many(folder: PathBuf, count: usize) -> PathBuf {
    std::fs::create_dir_all(&folder).unwrap();
    for number in 0..count {
        small(&folder.join(format!("{number}.ppm")), number);
    }
    folder
}
