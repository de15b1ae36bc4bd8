//! Damage as disks do it: one bit of a file, or of a content wherever it is.

use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use imgrepo_proto::BlobHash;

use crate::support::hash;

/// Where a content has its place.
pub(crate) fn placed(data: &Path, hash: BlobHash) -> PathBuf {
    let name = hash.to_string();
    data.join("blobs").join(&name[..2]).join(name)
}

/// Flips one bit of a file.
pub(crate) fn flip(path: &Path, at: u64, bit: u8) {
    let mut file = fs::File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.seek(SeekFrom::Start(at)).unwrap();
    file.read_exact(&mut byte).unwrap();
    byte[0] ^= 1 << bit;
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(&byte).unwrap();
}

/// Flips one bit of a content, where it is now: in its place, or in the journal.
pub(crate) fn flip_content(data: &Path, content: &[u8], seed: u64) {
    let hash = hash(content);
    let (at, bit) = bit_of(content, seed);
    for segment in fs::read_dir(data.join("journal")).unwrap() {
        let path = segment.unwrap().path();
        // Settled meanwhile.
        let Ok(bytes) = fs::read(&path) else { continue };
        if let Some(head) = bytes.windows(32).position(|bytes| bytes == hash.0) {
            flip(&path, head as u64 + 32 + at, bit);
        }
    }
    flip_placed(data, content, seed);
}

/// Flips one bit of a content that has its place and is whole there.
pub(crate) fn flip_placed(data: &Path, content: &[u8], seed: u64) {
    let (at, bit) = bit_of(content, seed);
    let path = placed(data, hash(content));
    if fs::read(&path).is_ok_and(|bytes| bytes == content) {
        flip(&path, at, bit);
    }
}

/// Which bit of a content is flipped.
fn bit_of(content: &[u8], seed: u64) -> (u64, u8) {
    (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) % content.len() as u64, (seed % 8) as u8)
}
