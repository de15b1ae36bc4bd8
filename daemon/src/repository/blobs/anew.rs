//! The hash of a file's bytes as the disk has them, not as the page cache remembers them: past the
//! cache (`O_DIRECT`) where the file system can, else after the cache was asked to forget them.
//! Called by the blob store for the check.

use std::fs::File;
use std::io;
use std::path::Path;

use imgrepo_proto::BlobHash;

/// What memory, offset and length of a read past the cache are multiples of: the page, which every
/// file system takes (open(2): the logical block, 512 or 4,096 bytes).
const BLOCK_BYTES: usize = 4096;

/// Bytes of a read: large enough for a disk's full speed, small enough to have a few of.
const PIECE_BYTES: usize = 1024 * 1024;

/// How bytes were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reading {
    /// From memory: there is no disk.
    Memory,
    /// From the disk itself.
    PastCache,
    /// The cache was asked to forget them first.
    CacheDropped,
}

impl Reading {
    /// In words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Reading::Memory => "from memory",
            Reading::PastCache => "past the page cache",
            Reading::CacheDropped => "with the page cache asked to forget them",
        }
    }
}

/// What was read anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anew {
    /// The hash of the bytes that are there.
    pub hash: BlobHash,
    /// How many they are.
    pub bytes: u64,
    /// How they were read.
    pub reading: Reading,
}

/// Hashes `bytes` bytes of a file from `start` on, or all that follow where None, fewer where the
/// file ends. `goes_on` hears of the bytes of each piece, and ends it by false: `Interrupted`.
pub(super) fn hash(
    path: &Path,
    start: u64,
    bytes: Option<u64>,
    goes_on: &mut dyn FnMut(u64) -> bool,
) -> io::Result<Anew> {
    if let Some(file) = open_direct(path)? {
        match walk(&file, start, bytes, goes_on) {
            // Some take the flag and refuse the read.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
            walked => return told(walked?, Reading::PastCache),
        }
    }
    let file = File::open(path)?;
    #[cfg(target_os = "linux")]
    // What is not forgotten is read from memory.
    let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed);
    told(walk(&file, start, bytes, goes_on)?, Reading::CacheDropped)
}

fn told((hash, bytes): (BlobHash, u64), reading: Reading) -> io::Result<Anew> {
    Ok(Anew { hash, bytes, reading })
}

/// The file, opened to be read past the cache; None where its file system cannot.
#[cfg(target_os = "linux")]
fn open_direct(path: &Path) -> io::Result<Option<File>> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let direct = i32::try_from(rustix::fs::OFlags::DIRECT.bits()).unwrap_or(0);
    match File::options().read(true).custom_flags(direct).open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(not(target_os = "linux"))]
fn open_direct(_: &Path) -> io::Result<Option<File>> {
    Ok(None)
}

fn walk(
    file: &File,
    start: u64,
    bytes: Option<u64>,
    goes_on: &mut dyn FnMut(u64) -> bool,
) -> io::Result<(BlobHash, u64)> {
    let block = BLOCK_BYTES as u64;
    let len = file.metadata()?.len();
    let end = bytes.map_or(len, |bytes| start.saturating_add(bytes).min(len));
    let mut at = start - start % block;
    let wanted = usize::try_from(end.saturating_sub(at)).unwrap_or(usize::MAX);
    let piece = wanted.min(PIECE_BYTES).next_multiple_of(BLOCK_BYTES);
    // Room to begin at a block's multiple.
    let mut buffer = vec![0; piece + BLOCK_BYTES];
    let from = buffer.as_ptr().align_offset(BLOCK_BYTES).min(BLOCK_BYTES);
    let buffer = &mut buffer[from..from + piece];
    let (mut hasher, mut hashed) = (blake3::Hasher::new(), 0);
    while at < end {
        let read = match read_at(file, buffer, at) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        let skipped = usize::try_from(start.saturating_sub(at)).unwrap_or(usize::MAX).min(read);
        let left = usize::try_from(end - at).unwrap_or(usize::MAX).min(read);
        let piece = buffer.get(skipped..left).unwrap_or_default();
        hasher.update(piece);
        hashed += piece.len() as u64;
        at += read as u64;
        if !goes_on(piece.len() as u64) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        // A read that ends within a block has come to the file's end.
        if read == 0 || read % BLOCK_BYTES != 0 {
            break;
        }
    }
    Ok((BlobHash(*hasher.finalize().as_bytes()), hashed))
}

#[cfg(unix)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

#[cfg(windows)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_part_of_a_file_of_any_length() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        for size in [0, 1, 4095, 4096, 4097, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1] {
            let content: Vec<u8> = (0..size).map(|at| (at / 7) as u8).collect();
            std::fs::write(&path, &content).unwrap();
            for start in [0, 1.min(size), size / 2, size.saturating_sub(1), size] {
                for bytes in [None, Some(0), Some(1), Some(5000), Some(size)] {
                    let end = bytes.map_or(size, |bytes| (start + bytes).min(size));
                    let expected = *blake3::hash(&content[start..end]).as_bytes();
                    let bytes = bytes.map(|bytes| bytes as u64);
                    let anew = hash(&path, start as u64, bytes, &mut |_| true).unwrap();
                    assert_eq!(anew.hash, BlobHash(expected), "{size} from {start}, {bytes:?}");
                    assert_eq!(anew.bytes, (end - start) as u64);
                }
            }
        }
        let ended = hash(&path, 0, None, &mut |_| false).unwrap_err();
        assert_eq!(ended.kind(), io::ErrorKind::Interrupted);
    }
}
